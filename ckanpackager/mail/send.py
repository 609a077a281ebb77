"""Sending a mail: to a mail server (SMTP), or into a maildir."""

import os
import re
import smtplib
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import quote

from ckanpackager import durable_files
from ckanpackager.config.settings import Mail
from ckanpackager.config.templates import IN_SENDER
from ckanpackager.errors import (
    MESSAGE_LENGTH,
    CkanpackagerError,
    PermanentFailure,
    TemporaryFailure,
    Unanswered,
    one_line,
)
from ckanpackager.mail import smtp_session
from ckanpackager.mail.address import sender_address
from ckanpackager.mail.compose import ASCII, is_international
from ckanpackager.mail.smtp_session import Interruption, Uninterrupted


def send(
    message: EmailMessage,
    settings: Mail,
    accepted: Callable[[], object] = lambda: None,
    stop: Interruption | None = None,
) -> None:
    """Send the mail, or put it into the maildir; `accepted` is called at the moment when it is accepted.

    Raises PermanentFailure if the server refuses this mail or its recipient for good (RFC 5321: 5yz), Unanswered if it
    may have accepted the mail, and TemporaryFailure for everything that time or an administrator can mend; and what
    `stop` raises before the mail is sent.
    """
    if settings.mail_transport == "maildir":
        _deliver(message, Path(settings.mail_directory))
        accepted()
        return
    stop = stop or Uninterrupted()
    sender, recipient = (message[name].addresses[0].addr_spec for name in ("From", "To"))
    international = is_international(message)
    with _session(settings, stop, recipient) as smtp:
        if international and not smtp.has_extn("smtputf8"):
            raise PermanentFailure(
                f"{_server(settings)} takes no address with non-ASCII characters before the @ (SMTPUTF8)"
            )
        mail = message.as_bytes(policy=ASCII.clone(utf8=international))
        options = ["SMTPUTF8", "BODY=8BITMIME"] if international else []
        size = [f"size={len(mail)}"] if smtp.has_extn("size") else []
        smtp.deliver(sender, recipient, options + size, mail)
        accepted()


def check(settings: Mail) -> str:
    """Try everything but sending; the result in a sentence.  Raises as `send` does."""
    sender_address(settings.email_from, dict.fromkeys(IN_SENDER, "example.org"))
    if settings.mail_transport == "maildir":
        directory = Path(settings.mail_directory).absolute()
        for folder in (directory, directory / "tmp", directory / "new"):
            nearest = next(path for path in (folder, *folder.parents) if os.path.exists(path))
            if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
                raise TemporaryFailure(f"mail_directory: {nearest} is no directory that this user may write to")
        return f"Mail is written into the maildir {directory}."
    with _session(settings, Uninterrupted()) as smtp:
        code, words = smtp.noop()
        if code != 250:
            raise smtplib.SMTPResponseException(code, words)
    security = {"none": "unencrypted", "starttls": "encrypted by STARTTLS", "tls": "encrypted by TLS"}
    login = f"logged in as {settings.smtp_login}" if settings.smtp_login else "without login"
    return f"The {_server(settings)} answers, {security[settings.smtp_security]}, {login}."


@contextmanager
def _session(settings: Mail, stop: Interruption, recipient: str = "") -> Iterator[smtp_session.Session]:
    """A session with the mail server, whose errors are explained."""
    smtp = None
    try:
        with stop.interruptible():
            smtp = smtp_session.connect(settings, stop)
        yield smtp
    except (OSError, ValueError) as error:  # SMTPException is an OSError, an impossible host name a ValueError
        raise _failure(settings, error, recipient) from error
    finally:
        if smtp is not None:
            smtp.leave()


def _server(settings: Mail) -> str:
    return f"mail server {settings.smtp_host}:{settings.smtp_port}"


def _failure(settings: Mail, error: OSError | ValueError, recipient: str) -> CkanpackagerError:
    """What went wrong in an SMTP session, in the server's own words and with what can be done about it.

    The recipient's address is left out: the message goes into logs, statistics and onto the job's page.
    """
    if isinstance(error, smtp_session.AnswerMissing):
        words = one_line(error, MESSAGE_LENGTH)
        return Unanswered(f"{_server(settings)} did not say whether it accepted the mail: {words}")
    code, said, about = 0, getattr(error, "strerror", None) or str(error), ""
    match error:
        case smtplib.SMTPRecipientsRefused():
            code, said = next(iter(error.recipients.values()))
            about = f"refused the recipient: {code} "
        case smtplib.SMTPResponseException():
            code, said = error.smtp_code, error.smtp_error
            about = f"answered {code} "
    words = said.decode(errors="replace") if isinstance(said, bytes) else said
    words = re.sub(re.escape(recipient), "the recipient", words, flags=re.IGNORECASE) if recipient else words
    text = f"{_server(settings)}: {about}{one_line(words, MESSAGE_LENGTH)}"
    if 400 <= code < 500:  # later it may accept the mail: the administrator has nothing to change
        return TemporaryFailure(text)
    if code == 530:  # RFC 4954, RFC 3207
        return TemporaryFailure(f"{text}; it may want smtp_login, or smtp_security: starttls")
    if code >= 500 and isinstance(error, smtplib.SMTPRecipientsRefused | smtplib.SMTPDataError):
        return PermanentFailure(text)
    return TemporaryFailure(f"{text}; {next(advice for kind, advice in _ADVICE if isinstance(error, kind))}")


_ADVICE = (
    (ssl.SSLCertVerificationError, "smtp_host must be the name in its certificate, and this machine trust the issuer"),
    (ssl.SSLError, "is smtp_security right for this port? (tls: 465, starttls: 587, none: 25)"),
    (smtplib.SMTPAuthenticationError, "check smtp_login and smtp_password"),
    (smtplib.SMTPNotSupportedError, "the server does not offer it here: check smtp_security, smtp_login and smtp_port"),
    (smtplib.SMTPSenderRefused, "check email_from"),
    (Exception, "check smtp_host, smtp_port and smtp_security, and whether the server runs"),
)


def _deliver(message: EmailMessage, maildir: Path) -> None:
    """Put the mail into the maildir, unless it is there already, read or unread."""
    name = quote(str(message["Message-ID"]).strip("<>"), safe="@")
    temporary = None
    try:
        for folder in (maildir, maildir / "tmp", maildir / "new", maildir / "cur"):
            folder.mkdir(mode=0o700, parents=folder is maildir, exist_ok=True)
        if name in (seen.partition(":")[0] for folder in ("new", "cur") for seen in os.listdir(maildir / folder)):
            return
        descriptor, temporary = tempfile.mkstemp(dir=maildir / "tmp")
        with open(descriptor, "wb") as file:
            file.write(message.as_bytes(policy=ASCII.clone(linesep="\n", utf8=is_international(message))))
            file.flush()
            os.fsync(file.fileno())
        durable_files.rename(Path(temporary), maildir / "new" / name)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        words = one_line(error.strerror or str(error))
        raise TemporaryFailure(f"maildir {maildir}: {words}; check mail_directory, and who may write there") from error
