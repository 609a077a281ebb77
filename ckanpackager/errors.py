"""What can go wrong, by what it means to the caller; every message is one line fit for a user."""


def one_line(text: str, longest: int | None = None) -> str:
    """A text on one line, fit for a message and for a job's file: half a character is written as its code."""
    return " ".join(text.encode("utf-8", "backslashreplace").decode().split())[:longest]


class CkanpackagerError(Exception):
    """The base of all errors that a user can meet."""


class ConfigError(CkanpackagerError):
    """The configuration cannot be used; the message may hold several lines, one a fault."""


class BadRequest(CkanpackagerError):
    """A task or a parameter is wrong; the message names it."""


class NotAuthorized(CkanpackagerError):
    """The secret is wrong or missing."""


class TooMany(CkanpackagerError):
    """Somebody has asked for as much as one may ask for at once."""


class TemporaryFailure(CkanpackagerError):
    """It failed now and may work later.

    `retry_after` is the number of seconds the other side asked us to wait, if it did.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PermanentFailure(CkanpackagerError):
    """It failed and will fail again: trying later makes no sense."""
