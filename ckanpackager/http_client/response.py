"""Reading a response: its body as it arrives, its headers, and why it broke off, in words."""

import contextlib
import email.utils
import re
import time
from collections.abc import Iterator

import requests
import urllib3

from ckanpackager.errors import TemporaryFailure
from ckanpackager.hosts import without_secrets

BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
_MAX_REFUSAL = 64 * 1024  # bytes; a longer one is no message
CHUNK = 128 * 1024  # bytes
_OBJECT = re.compile(r"(<[^>]*>|\w+\(host=[^)]*\)): ")  # how urllib3 names a connection


def start_of(response: requests.Response) -> bytes:
    """The first bytes of a refusal; what follows is not read."""
    read = b""
    with contextlib.suppress(TemporaryFailure):  # the status says enough
        for chunk in chunks(response, ""):
            read += chunk
            if len(read) >= _MAX_REFUSAL:
                break
    return read[:_MAX_REFUSAL]


def chunks(response: requests.Response, stalled: str, *, most: int = CHUNK, decode: bool = True) -> Iterator[bytes]:
    """The body as it arrives, up to `most` bytes at a time.

    It is checked against its announced length (urllib3 does so where there is one).
    """
    try:
        while chunk := response.raw.read1(most, decode_content=decode):  # read would wait until it has that many
            yield chunk
    except (urllib3.exceptions.ReadTimeoutError, TimeoutError) as error:
        raise TemporaryFailure(f"{without_secrets(response.url)}: {stalled}", kind="network") from error
    except BROKEN as error:
        raise TemporaryFailure(
            f"{without_secrets(response.url)}: the answer broke off: {cause_of(error)}", kind="network"
        ) from error


def seconds_to_wait(value: str | None) -> float | None:
    """Seconds to wait; the header has them, or a date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def header_text(header: str) -> str:
    """A header that holds UTF-8, which browsers accept although it is not allowed."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header


def cause_of(error: Exception) -> str:
    """The innermost reason, without what the libraries wrap around it."""
    cause: BaseException = error
    while inner := getattr(cause, "reason", None) or (cause.args and cause.args[-1]) or None:
        if not isinstance(inner, BaseException):
            break
        cause = inner
    text = " ".join(str(cause).split())
    return _OBJECT.sub("", text, count=1)
