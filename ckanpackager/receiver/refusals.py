"""Why a request is refused, and the status, words and headers of the response."""

from typing import NamedTuple

from ckanpackager.errors import BadRequest, CkanpackagerError, NotAuthorized, TooMany
from ckanpackager.receiver.body import NoLength, TooLarge

RETRY_AFTER = "60"  # seconds, for callers while the spool is not writable
CHALLENGE = 'Basic realm="ckanpackager", charset="UTF-8"'  # RFC 7617


class PasswordNeeded(NotAuthorized):
    """The browser is to ask its user for the password."""


class Forbidden(CkanpackagerError):
    """The request comes from elsewhere than from a page of the dashboard, or from an old one."""


class Impossible(CkanpackagerError):
    """The job is not where it would have to be; the message says why."""


class NotFound(CkanpackagerError):
    """Nothing is at the path."""


class BadMethod(CkanpackagerError):
    """The path takes other methods."""

    def __init__(self, message: str, allowed: str) -> None:
        super().__init__(message)
        self.allowed = allowed


class Refusal(NamedTuple):
    """Status line, words and headers."""

    status: str
    words: str
    headers: dict[str, str]


def refusal_of(error: CkanpackagerError) -> Refusal:
    """What the caller is told; of what is wrong here nothing but that it may work later."""
    for kind, status, headers in _REFUSALS:
        if isinstance(error, kind):
            allow = {"Allow": error.allowed} if isinstance(error, BadMethod) else {}
            later = {"Retry-After": str(error.retry_after)} if isinstance(error, TooMany) else {}
            return Refusal(status, str(error), {**headers, **allow, **later})
    words = "this cannot be done right now; please try again later"
    return Refusal("503 Service Unavailable", words, {"Retry-After": RETRY_AFTER})


_REFUSALS: tuple[tuple[type[CkanpackagerError], str, dict[str, str]], ...] = (
    (BadRequest, "400 Bad Request", {}),
    (PasswordNeeded, "401 Unauthorized", {"WWW-Authenticate": CHALLENGE}),
    (NotAuthorized, "401 Unauthorized", {}),
    (Forbidden, "403 Forbidden", {}),
    (NotFound, "404 Not Found", {}),
    (BadMethod, "405 Method Not Allowed", {}),
    (Impossible, "409 Conflict", {}),
    (NoLength, "411 Length Required", {}),
    (TooLarge, "413 Content Too Large", {}),
    (TooMany, "429 Too Many Requests", {}),
)
