"""The post: composes the mail that tells a requester how it went, and hands it to a mail server or a maildir.

Sending the same mail twice is possible where a server's last answer gets lost, so a mail's Message-ID depends on the
job alone: mail programs, and the maildir here, recognise the second one.
"""

import os
import re
import smtplib
import ssl
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from urllib.parse import quote

from ckanpackager import durable_files
from ckanpackager.config.settings import Mail
from ckanpackager.config.templates import PLACEHOLDERS, render
from ckanpackager.errors import CkanpackagerError, PermanentFailure, TemporaryFailure

ASCII = SMTP.clone(cte_type="7bit")  # short lines of ASCII, which every server takes (RFC 5321, RFC 2045)
_BLANK = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")  # what breaks lines, or is no text at all
_LOCAL_PART = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff@<>()\[\]\\,;:\"]+")
_DOMAIN = re.compile(r"[\w-]+(\.[\w-]+)*", re.ASCII)


def compose(
    settings: Mail, recipient: str, values: Mapping[str, str], *, failed: bool, job: str, now: datetime
) -> EmailMessage:
    """The mail with the link, or the one that says that the job was `failed`, to the address `recipient`.

    `values` are those of the placeholders by name; missing ones are empty, line breaks in them become blanks.
    `{doi_body}` and `{doi_body_html}` are made here.  The headers say that no human wrote it (RFC 3834).
    Raises PermanentFailure if the recipient's address is none, TemporaryFailure if the sender's is none.
    """
    values = _placeholders(settings, values)
    subject, body, html = (
        (settings.email_failure_subject, settings.email_failure_body, settings.email_failure_body_html)
        if failed
        else (settings.email_subject, settings.email_body, settings.email_body_html)
    )
    sender = _sender(settings.email_from)
    message = EmailMessage(ASCII)
    message["From"] = sender
    message["To"] = _recipient(recipient)
    message["Subject"] = _one_line(render(subject, values))
    message["Date"] = now
    message["Message-ID"] = f"<{_one_line(job)}.{'failure' if failed else 'link'}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "OOF, AutoReply"  # what Microsoft Exchange heeds
    message.set_content(render(body, values))
    if html is not None:
        message.add_alternative(render(html, values, html=True), subtype="html")
    return message


def send(message: EmailMessage, settings: Mail, accepted: Callable[[], object] = lambda: None) -> None:
    """Hand the mail to the server, or put it into the maildir; `accepted` is called the moment that it is taken.

    Raises PermanentFailure if the server refuses this mail or its recipient for good (RFC 5321: 5yz), and
    TemporaryFailure for all that time or an administrator can mend.
    """
    if settings.mail_transport == "maildir":
        _deliver(message, Path(settings.mail_directory))
        accepted()
        return
    sender, recipient = (message[name].addresses[0].addr_spec for name in ("From", "To"))
    with _session(settings) as smtp:
        if _international(message) and not smtp.has_extn("smtputf8"):
            raise PermanentFailure(
                f"{_server(settings)} takes no address with non-ASCII characters before the @ (SMTPUTF8): {recipient}"
            )
        smtp.send_message(message, sender, [recipient])
        accepted()


def check(settings: Mail) -> str:
    """Try everything short of sending; returns what was found, as a sentence.  Raises as `send` does."""
    _sender(settings.email_from)
    if settings.mail_transport == "maildir":
        directory = Path(settings.mail_directory).absolute()
        for folder in (directory, directory / "tmp", directory / "new"):
            nearest = next(path for path in (folder, *folder.parents) if os.path.exists(path))
            if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
                raise TemporaryFailure(f"mail_directory: {nearest} is no directory that this user may write to")
        return f"Mail is written into the maildir {directory}."
    with _session(settings) as smtp:
        code, words = smtp.noop()
        if code != 250:
            raise smtplib.SMTPResponseException(code, words)
    security = {"none": "unencrypted", "starttls": "encrypted by STARTTLS", "tls": "encrypted by TLS"}
    login = f"logged in as {settings.smtp_login}" if settings.smtp_login else "without login"
    return f"The {_server(settings)} answers, {security[settings.smtp_security]}, {login}."


def _placeholders(settings: Mail, values: Mapping[str, str]) -> dict[str, str]:
    known = {name: _one_line(values.get(name, "")) for name in PLACEHOLDERS}
    doi = known["doi"]
    known["doi_body"] = render(settings.doi_body, known) if doi else ""
    known["doi_body_html"] = render(settings.doi_body_html, known, html=True) if doi else ""
    return known


def _one_line(text: str) -> str:
    """Without anything that could begin a new line, and so a new header."""
    return _BLANK.sub(" ", text).strip()


def _sender(text: str) -> Address:
    name, _, address = text.strip().removesuffix(">").rpartition("<")
    try:
        return _address(address, _one_line(name).strip('"'))
    except ValueError as error:
        raise TemporaryFailure(f"email_from: {error}") from None


def _recipient(text: str) -> Address:
    try:
        return _address(text.strip())
    except ValueError as error:
        raise PermanentFailure(str(error)) from None


def _address(text: str, name: str = "") -> Address:
    """Raises ValueError unless the text is exactly one address, of the form local@domain."""
    local, _, domain = text.rpartition("@")
    domain = _ascii(domain)
    if not _LOCAL_PART.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise ValueError(f"{_one_line(text)!r} is no e-mail address, as in someone@example.org")
    return Address(name, local, domain)


def _ascii(domain: str) -> str:
    """The domain as the DNS has it (RFC 5891).

    Not Python's "idna" codec: it follows RFC 3490, by which straße.example is strasse.example, somebody else's.
    """
    labels = unicodedata.normalize("NFKC", domain.lower()).replace("\u3002", ".").split(".")
    return ".".join(label if label.isascii() else "xn--" + label.encode("punycode").decode() for label in labels)


def _international(message: EmailMessage) -> bool:
    """Whether an address can only travel in UTF-8 (RFC 6531)."""
    return not all(message[name].addresses[0].addr_spec.isascii() for name in ("From", "To"))


@contextmanager
def _session(settings: Mail) -> Iterator[smtplib.SMTP]:
    """A session with the mail server, encrypted and logged in as the settings say, whose errors are explained."""
    smtp = None
    try:
        smtp = _connect(settings)
        if settings.smtp_security == "starttls":
            smtp.starttls(context=ssl.create_default_context())
        if settings.smtp_login:
            _log_in(smtp, settings.smtp_login, settings.smtp_password or "")
        smtp.ehlo_or_helo_if_needed()
        yield smtp
    except (OSError, ValueError) as error:  # an smtplib.SMTPException is an OSError, an impossible host name the other
        raise _failure(settings, error) from error
    finally:
        if smtp is not None:
            with suppress(OSError):  # the mail is accepted, or refused, whatever the server makes of our leaving
                smtp.quit()
            smtp.close()


def _connect(settings: Mail) -> smtplib.SMTP:
    place = (settings.smtp_host, settings.smtp_port)
    if settings.smtp_security == "tls":
        return smtplib.SMTP_SSL(*place, timeout=settings.smtp_timeout, context=ssl.create_default_context())
    return smtplib.SMTP(*place, timeout=settings.smtp_timeout)


def _log_in(smtp: smtplib.SMTP, login: str, password: str) -> None:
    if not (login + password).isascii():  # the error that smtplib would raise quotes from it
        raise TemporaryFailure("smtp_login and smtp_password must be ASCII: no more can be sent to a mail server")
    smtp.login(login, password)


def _server(settings: Mail) -> str:
    return f"mail server {settings.smtp_host}:{settings.smtp_port}"


def _failure(settings: Mail, error: OSError | ValueError) -> CkanpackagerError:
    """What went wrong in an SMTP session, in the server's own words and with what can be done about it."""
    code, said, about = 0, getattr(error, "strerror", None) or str(error), ""
    match error:
        case smtplib.SMTPRecipientsRefused():
            recipient, (code, said) = next(iter(error.recipients.items()))
            about = f"refused {recipient}: {code} "
        case smtplib.SMTPResponseException():
            code, said = error.smtp_code, error.smtp_error
            about = f"answered {code} "
    words = said.decode(errors="replace") if isinstance(said, bytes) else said
    text = f"{_server(settings)}: {about}{_one_line(words)[:500]}"
    if 400 <= code < 500:  # it asks for patience: nothing is to be mended
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
            file.write(message.as_bytes(policy=ASCII.clone(linesep="\n", utf8=_international(message))))
            file.flush()
            os.fsync(file.fileno())
        durable_files.rename(Path(temporary), maildir / "new" / name)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        words = _one_line(error.strerror or str(error))
        raise TemporaryFailure(f"maildir {maildir}: {words}; check mail_directory, and who may write there") from error
