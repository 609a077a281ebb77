"""The body of a request: read it within bounds, and the parameters in it."""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec

from ckanpackager.errors import BadRequest, CkanpackagerError, one_line
from ckanpackager.jobs.faults import in_words

Environ = Mapping[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

MAX_DIGITS = 18  # of a number: what a database takes
_BLOCK = 64 * 1024
_MAX_PARAMETERS = 100


class TooLarge(CkanpackagerError):
    """The body is larger than the receiver accepts."""


class NoLength(CkanpackagerError):
    """The length of the body is not announced."""


def read_parameters(environ: Environ, max_bytes: int) -> dict[str, Any]:
    """The parameters in a body of at most `max_bytes`: form fields, JSON, URL-quoted JSON, or a multipart form.

    The body itself decides what it is: the original's documentation sends quoted JSON with the content type of a form.
    """
    body = _read_body(environ, max_bytes)
    content_type = environ.get("CONTENT_TYPE") or ""
    if content_type.lower().startswith("multipart/"):
        return _multipart(content_type, body)
    body = body.strip()
    if body[:3].upper() == b"%7B":
        body = unquote_to_bytes(body.replace(b"+", b"%20"))
    try:
        if body[:1] != b"{":
            text = body.decode()
            return dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS))
        values = msgspec.json.decode(body, type=dict[str, Any])
        if len(values) > _MAX_PARAMETERS:
            raise ValueError(f"more than {_MAX_PARAMETERS} of them")
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BadRequest(f"neither form fields nor a JSON object: {one_line(in_words(error), 200)}") from None
    return values


def _multipart(content_type: str, body: bytes) -> dict[str, Any]:
    """The fields of a multipart form (RFC 7578), which hold text: the receiver takes no files."""
    from email.parser import BytesParser  # rarely needed, and the receiver must start fast
    from email.policy import HTTP

    if not content_type.lower().startswith("multipart/form-data"):
        raise BadRequest(f"Content-Type: expected multipart/form-data, got {one_line(content_type, 60)}")
    form = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + body)
    parts: Any = form.get_payload() if form.is_multipart() else []
    if not parts or form.defects:
        raise BadRequest("no multipart form, or one that ends early")
    if len(parts) > _MAX_PARAMETERS:
        raise BadRequest(f"more than {_MAX_PARAMETERS} parameters")
    values: dict[str, Any] = {}
    for part in parts:
        name = part.get_param("name", None, "Content-Disposition")
        if not isinstance(name, str):
            raise BadRequest("a field of the multipart form has no name")
        if part.get_filename() is not None:
            raise BadRequest(f"{one_line(name, 60)}: is a file; the receiver takes texts")
        try:
            content: bytes = part.get_payload(decode=True)
            values[name] = content.decode()
        except (UnicodeDecodeError, AttributeError):
            raise BadRequest(f"{one_line(name, 60)}: expected text in UTF-8") from None
    return values


def _read_body(environ: Environ, max_bytes: int) -> bytes:
    length = environ.get("CONTENT_LENGTH") or ""
    digits = length.lstrip("0") or "0"
    if not (digits.isascii() and digits.isdecimal()):
        raise BadRequest("Content-Length: expected a number")
    if len(digits) > MAX_DIGITS or int(digits) > max_bytes:
        raise TooLarge(f"a request may have {max_bytes} bytes")
    if not length and environ.get("HTTP_TRANSFER_ENCODING"):
        if not environ.get("wsgi.input_terminated"):
            raise NoLength("Content-Length: missing, and this server cannot do without it")
        size = max_bytes + 1  # the server knows where the body ends
    else:
        size = int(digits)
    try:
        body: bytes = environ["wsgi.input"].read(size)
    except OSError as error:
        raise BadRequest("the body ended early") from error
    if len(body) > max_bytes:
        raise TooLarge(f"a request may have {max_bytes} bytes")
    if length and len(body) < size:
        raise BadRequest("the body ended early")
    return body


def drain_body(application: Application) -> Application:
    """Read what the application left of the body: Apache and fcgiwrap lose the response if they cannot pass it on."""

    def drained(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = _CountedBody(environ)
        response = application({**environ, "wsgi.input": body}, start_response)
        with contextlib.suppress(OSError):
            while body.left > 0 and body.read(min(body.left, _BLOCK)):
                pass
        return response

    return drained


class _CountedBody:
    """The body of a request, and how much of it is `left`."""

    def __init__(self, environ: Environ) -> None:
        length = environ.get("CONTENT_LENGTH") or "0"
        self.left = int(length) if length.isdecimal() and len(length) <= MAX_DIGITS else 0
        self._stream = environ["wsgi.input"]

    def read(self, size: int) -> bytes:
        data: bytes = self._stream.read(size)
        self.left -= len(data)
        return data
