"""What can go wrong, by what it means to the caller; every message is one line that a user can read."""

import re
from collections.abc import Collection

_BREAKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")  # ends lines, or controls terminals
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # but for tab and line end
MESSAGE_LENGTH = 500  # characters of another program's words
OUR_FAULT = "The service that packs the data has a problem. Its administrators can see what it is."


FAILURE_KINDS = {
    "request": "the request is wrong, or names a host that is not allowed",
    "refused": "the site refused it",
    "site": "the site cannot answer, or not as CKAN does",
    "network": "the site cannot be reached",
    "data": "the data cannot be packed",
    "bounds": "it exceeds a limit of this service",
    "storage": "the disk or the store of archives",
    "mail": "the mail could not be delivered",
    "statistics": "the statistics could not be written",
    "configuration": "the configuration",
    "worker": "the worker died, or the workers cannot be reached",
    "internal": "an error in ckanpackager",
}
"""What kinds of failures the statistics tell apart, and what each is about."""


class CkanpackagerError(Exception):
    """The base of all errors that a user can meet.

    `public` is what requesters read instead of the message, where that is meant for administrators.  `kind` is one of
    FAILURE_KINDS, or empty where only the caller knows.
    """

    kind: str = ""

    def __init__(self, message: str, *, public: str = "", kind: str = "") -> None:
        super().__init__(message)
        self.public = public
        self.kind = kind or self.kind


class ConfigError(CkanpackagerError):
    """The configuration cannot be used; the message may hold several lines, one for each fault."""

    kind = "configuration"


class BadRequest(CkanpackagerError):
    """A task or a parameter is wrong; the message names it."""

    kind = "request"


class NotAuthorized(CkanpackagerError):
    """The secret is wrong or missing."""


class TooMany(CkanpackagerError):
    """The requester has reached a limit; `reason` says which, without the address, `retry_after` how long it holds."""

    def __init__(self, message: str, reason: str, retry_after: int) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after  # seconds


class TemporaryFailure(CkanpackagerError):
    """It failed now and may work later.

    `retry_after` is the number of seconds the other side asked us to wait, if it did.
    """

    def __init__(self, message: str, retry_after: float | None = None, *, public: str = "", kind: str = "") -> None:
        super().__init__(message, public=public, kind=kind)
        self.retry_after = retry_after


class SpoolFailure(TemporaryFailure):
    """The spool cannot be read or written."""

    kind = "storage"


class Unanswered(TemporaryFailure):
    """It may have happened: the other side did not say so in time."""


class WorkerDied(TemporaryFailure):
    """The process on another machine that did it has died; a job that kills `max_attempts` of them fails."""

    kind = "worker"


class NoRoom(TemporaryFailure):
    """The store, or a disk, is as full as it may be; a job that waits for room waits for as long as it takes."""

    kind = "storage"


class PermanentFailure(CkanpackagerError):
    """It failed and will fail again: a retry makes no sense."""


class OverLimit(PermanentFailure):
    """A request is for more than the administrators let one request have; its requester can ask for less."""

    kind = "bounds"


def one_line(text: object, most: int | None = None) -> str:
    """The text on one line, cut to `most` characters: no line breaks, control characters or halves of characters."""
    whole = str(text).encode("utf-8", "backslashreplace").decode()
    return _BREAKS.sub(" ", whole).strip()[:most]


def printable(text: str) -> str:
    """A text of several lines for a terminal or a log: other programs' control characters must not work there."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def did_you_mean(name: str, known: Collection[str], cutoff: float = 0.6) -> str:
    """The known name that is closest to a mistyped one, or an empty text if none is close."""
    from difflib import get_close_matches  # rarely needed, and the receiver must start fast

    return next(iter(get_close_matches(name.lower(), known, 1, cutoff)), "")
