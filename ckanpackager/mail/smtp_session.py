"""An SMTP session in which every wait is bounded, whatever the server sends, and however slowly."""

import contextlib
import re
import smtplib
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ckanpackager.config.settings import Mail
from ckanpackager.errors import TemporaryFailure

ANSWER_TIMEOUT = 600.0  # seconds that a server may take to accept a mail after its last byte (RFC 5321, 4.5.3.2.6)
STOP_PATIENCE = 60.0  # seconds that a worker which was told to stop still waits for that answer
QUIT_TIMEOUT = 5.0  # seconds; the mail is accepted or refused already
_SLICE = 0.5  # seconds between two looks at the clock, and whether to stop
_MOST_BYTES = 64 * 1024  # of one reply


class Interruption(Protocol):
    """Whether the program was told to stop; within `interruptible` that raises an exception."""

    @property
    def told(self) -> bool: ...

    def interruptible(self) -> contextlib.AbstractContextManager[None]: ...


class Uninterrupted:
    """For callers that nothing tells to stop."""

    told = False

    def interruptible(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


class AnswerMissing(OSError):
    """The whole mail was sent, and the server did not say whether it has accepted it."""


class Session(smtplib.SMTP):
    """smtplib's session, with replies that must be complete within the time-out: there, each byte may take it."""

    def __init__(self, *server: Any, stop: Interruption, **options: Any) -> None:
        self._unread = b""
        self._stop = stop
        super().__init__(*server, **options)

    def getreply(self) -> tuple[int, bytes]:
        end = time.monotonic() + self.timeout

        def deadline() -> float:
            with self._stop.interruptible():  # a thread that no signal interrupts stops here
                return end

        return self._reply(deadline)

    def encrypt(self) -> None:
        """Begin to encrypt (STARTTLS)."""
        self.starttls(context=ssl.create_default_context())
        self._unread = b""  # what came before the encryption is not to be trusted

    def deliver(self, sender: str, recipient: str, options: Sequence[str], mail: bytes) -> None:
        """Send a mail; returns once it is accepted.

        Until its last byte is sent, it is given up when the program is told to stop; then the answer is waited for.
        Raises OSError, and AnswerMissing if there is none.
        """
        with self._stop.interruptible():
            code, words = self.mail(sender, options)
            if code != 250:
                raise smtplib.SMTPSenderRefused(code, words, sender)
            code, words = self.rcpt(recipient)
            if code not in (250, 251):
                raise smtplib.SMTPRecipientsRefused({recipient: (code, words)})
            code, words = self.docmd("DATA")
            if code != 354:
                raise smtplib.SMTPDataError(code, words)
        self.send(_stuffed(mail))
        try:
            code, words = self._reply(_answer_deadline(self._stop))
        except OSError as error:
            raise AnswerMissing(str(error)) from error
        if code // 100 != 2:
            raise smtplib.SMTPDataError(code, words)

    def leave(self) -> None:
        """End the session."""
        self.timeout = QUIT_TIMEOUT
        self._stop = Uninterrupted()
        with contextlib.suppress(OSError):
            self.quit()
        self.close()

    def _reply(self, deadline: Callable[[], float]) -> tuple[int, bytes]:
        """One reply, of one or more lines (RFC 5321, 4.2.1).  Raises OSError."""
        lines: list[bytes] = []
        size = 0
        while True:
            line = self._line(deadline)
            size += len(line)
            if not re.fullmatch(rb"[2-5][0-9]{2}([ -].*)?", line, re.DOTALL) or size > _MOST_BYTES:
                self.close()
                raise smtplib.SMTPResponseException(0, b"no SMTP reply: " + line[:100])
            lines.append(line[4:].strip())
            if line[3:4] != b"-":
                return int(line[:3]), b"\n".join(lines)

    def _line(self, deadline: Callable[[], float]) -> bytes:
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("please run connect() first")
        try:
            while b"\n" not in self._unread:
                if (left := deadline() - time.monotonic()) <= 0 or len(self._unread) > _MOST_BYTES:
                    raise TimeoutError("timed out")
                self.sock.settimeout(min(left, _SLICE))
                with contextlib.suppress(TimeoutError):
                    received = self.sock.recv(4096)
                    if not received:
                        raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")
                    self._unread += received
            self.sock.settimeout(self.timeout)
        except OSError:
            self.close()
            raise
        line, _, self._unread = self._unread.partition(b"\n")
        return line.rstrip(b"\r")


class _TlsSession(Session, smtplib.SMTP_SSL):
    """The same, encrypted from the first byte on."""


def connect(settings: Mail, stop: Interruption) -> Session:
    """A session with the mail server, encrypted and logged in as the settings say.  Raises OSError, ValueError."""
    server = (settings.smtp_host, settings.smtp_port)
    smtp = (
        _TlsSession(*server, stop=stop, timeout=settings.smtp_timeout, context=ssl.create_default_context())
        if settings.smtp_security == "tls"
        else Session(*server, stop=stop, timeout=settings.smtp_timeout)
    )
    try:
        if settings.smtp_security == "starttls":
            smtp.encrypt()
        if settings.smtp_login:
            _log_in(smtp, settings.smtp_login, settings.smtp_password or "")
        smtp.ehlo_or_helo_if_needed()
    except BaseException:
        smtp.close()
        raise
    return smtp


def _log_in(smtp: smtplib.SMTP, login: str, password: str) -> None:
    if not (login + password).isascii():  # the error that smtplib would raise quotes from it
        raise TemporaryFailure("smtp_login and smtp_password must be ASCII: no more can be sent to a mail server")
    smtp.login(login, password)


def _answer_deadline(stop: Interruption) -> Callable[[], float]:
    sent = time.monotonic()
    told: list[float] = []

    def deadline() -> float:
        if stop.told and not told:
            told.append(time.monotonic())
        return min(sent + ANSWER_TIMEOUT, *(at + STOP_PATIENCE for at in told), float("inf"))

    return deadline


def _stuffed(mail: bytes) -> bytes:
    """The mail as it is sent: dots at the beginning of lines are doubled, one alone is the end (RFC 5321, 4.5.2)."""
    return re.sub(rb"^\.", b"..", mail.removesuffix(b"\r\n"), flags=re.MULTILINE) + b"\r\n.\r\n"
