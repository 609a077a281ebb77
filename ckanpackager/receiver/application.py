"""The porch: a WSGI application (PEP 3333) that writes each request into the spool, and answers at once.

Under CGI every request starts a process, so nothing heavy is imported here; what statistics and job pages need is
imported where it is needed.  Replies carry the original's documented names (`success`, `msg`) and its actual ones
(`status`, `message`).
"""

import contextlib
import hmac
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec

from ckanpackager.config.load import PUBLISHED_SECRETS, find_configuration, load_settings
from ckanpackager.config.settings import Settings
from ckanpackager.errors import BadRequest, CkanpackagerError, ConfigError, NotAuthorized, TooMany
from ckanpackager.receiver.handlers import HANDLERS, HandlerRequest, log
from ckanpackager.spool.queue import Spool

Environ = Mapping[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

RETRY_AFTER = "60"  # seconds, for callers who find the spool not writable
_BLOCK = 64 * 1024
_MOST_DIGITS = 18  # of a number: what a database takes
_MOST_PARAMETERS = 100
_ANY = ("utf-8", "surrogatepass")  # encodes every text


class Reply(NamedTuple):
    """An answer."""

    status: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"


def make_application(settings: Settings) -> Application:
    """The receiver for these settings.  Raises ConfigError if its secret is none."""
    if not settings.receiver.secret:
        raise ConfigError("secret: missing; the receiver answers nobody without one (see ckanpackager.yaml.example)")
    if settings.receiver.secret in PUBLISHED_SECRETS:
        raise ConfigError("secret: everybody can read that one in the documentation; set one of your own")
    spool = Spool(Path(settings.spool.spool_directory))
    if settings.spool.log:
        from ckanpackager import logs

        logs.also_to(settings.spool.log)

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            reply = answer(environ, settings, spool)
        except Exception as error:  # a fault of ours must show the caller nothing of the inside
            log(f"internal error: {error!r}", traceback=settings.receiver.debug)
            reply = _refusal("500 Internal Server Error", "internal error; the log of the receiver has more")
        headers = [("Content-Type", reply.content_type), ("Content-Length", str(len(reply.body))), *reply.headers]
        start_response(reply.status, [*headers, ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")])
        return [b""] if environ["REQUEST_METHOD"] == "HEAD" else [reply.body]

    return application


def load() -> Application:
    """The receiver for the configuration that the environment names, for mod_wsgi and other WSGI servers."""
    return _hearing_out(make_application(load_settings(find_configuration(None, os.environ, Path.cwd()), os.environ)))


def _hearing_out(application: Application) -> Application:
    """Read what a refusal has left of the body: Apache and fcgiwrap lose the answer if they cannot pass it all on."""

    def patient(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = _Body(environ)
        answer = application({**environ, "wsgi.input": body}, start_response)
        with contextlib.suppress(OSError):
            while body.left > 0 and body.read(min(body.left, _BLOCK)):
                pass
        return answer

    return patient


class _Body:
    """The body of a request, and how much of it is `left`."""

    def __init__(self, environ: Environ) -> None:
        length = environ.get("CONTENT_LENGTH") or "0"
        self.left = int(length) if length.isdecimal() and len(length) <= _MOST_DIGITS else 0
        self._stream = environ["wsgi.input"]

    def read(self, size: int) -> bytes:
        data: bytes = self._stream.read(size)
        self.left -= len(data)
        return data


def run_cgi() -> None:
    """Answer the one request of a CGI process (RFC 3875)."""
    from wsgiref.handlers import CGIHandler

    try:
        application = load()
    except CkanpackagerError as error:
        refusal = _refusal("500 Internal Server Error", "ckanpackager is not configured; the web server's log has more")
        log(str(error))

        def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            start_response(refusal.status, [("Content-Type", refusal.content_type)])
            return [refusal.body]

    CGIHandler().run(application)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # there is nothing to tidy up, and it would take a while


def answer(environ: Environ, settings: Settings, spool: Spool) -> Reply:
    """The answer to one HTTP request."""
    try:
        return _answer(environ, settings, spool)
    except CkanpackagerError as error:
        status, words, headers = "503 Service Unavailable", None, {"Retry-After": RETRY_AFTER}
        for kind, its_status, its_headers in _REFUSALS:
            if isinstance(error, kind):
                status, words, headers = its_status, str(error), its_headers
        if words is None:  # what is wrong inside is for the log
            log(str(error))
            words = "this cannot be done right now; please try again later"
        return _refusal(
            status, words, {**headers, **({"Allow": error.allowed} if isinstance(error, _BadMethod) else {})}
        )


def _answer(environ: Environ, settings: Settings, spool: Spool) -> Reply:
    path, method = environ.get("PATH_INFO", "").rstrip("/") or "/", environ["REQUEST_METHOD"]
    handler = HANDLERS.get(path)
    if handler is not None:
        _check_method(path, method, "POST")
        parameters = read_parameters(environ, settings.receiver.max_request_size)
        _check_secret(parameters.pop("secret", None), settings.receiver.secret)
        spool.prepare()
        values = handler(HandlerRequest(parameters, settings, spool))
        return Reply("200 OK", _json({"status": "success", "success": True, **values}))
    if path.startswith("/jobs/"):
        from ckanpackager.receiver import job_page

        _check_method(path, method, "GET", "HEAD")
        asked = (path.removeprefix("/jobs/"), environ.get("QUERY_STRING", ""), environ.get("HTTP_ACCEPT", ""))
        return Reply(*job_page.answer(*asked, settings, spool, time.time()))
    shown = path.encode("latin-1", "replace").decode(errors="replace")  # PEP 3333 has it as bytes in disguise
    raise _NotFound(f"there is nothing at {shown}")


def _check_method(path: str, method: str, *allowed: str) -> None:
    if method not in allowed:
        raise _BadMethod(f"{path} takes {' and '.join(allowed)}", ", ".join(allowed))


def read_parameters(environ: Environ, most: int) -> dict[str, Any]:
    """The parameters in a body of at most `most` bytes: form fields, JSON, or URL-quoted JSON.

    What it is, the body itself says: the original's documentation sends quoted JSON under the type of a form.
    """
    body = _read_body(environ, most).strip()
    if body[:3].upper() == b"%7B":
        body = unquote_to_bytes(body.replace(b"+", b"%20"))
    try:
        if body[:1] != b"{":
            text = body.decode()
            return dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS))
        values = msgspec.json.decode(body, type=dict[str, Any])
        if len(values) > _MOST_PARAMETERS:
            raise ValueError(f"more than {_MOST_PARAMETERS} of them")
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BadRequest(f"neither form fields nor a JSON object: {' '.join(str(error).split())[:200]}") from None
    return values


def _read_body(environ: Environ, most: int) -> bytes:
    length = environ.get("CONTENT_LENGTH") or ""
    digits = length.lstrip("0") or "0"
    if not (digits.isascii() and digits.isdecimal()):
        raise BadRequest("Content-Length: expected a number")
    if len(digits) > _MOST_DIGITS or int(digits) > most:
        raise _TooLarge(f"a request may have {most} bytes")
    if not length and environ.get("HTTP_TRANSFER_ENCODING"):
        if not environ.get("wsgi.input_terminated"):
            raise _NoLength("Content-Length: missing, and this server cannot do without it")
        size = most + 1  # the server knows where the body ends
    else:
        size = int(digits)
    try:
        body: bytes = environ["wsgi.input"].read(size)
    except OSError as error:
        raise BadRequest("the body ended early") from error
    if len(body) > most:
        raise _TooLarge(f"a request may have {most} bytes")
    if length and len(body) < size:
        raise BadRequest("the body ended early")
    return body


def _check_secret(given: Any, secret: str | None) -> None:
    """In constant time, so that nobody can find the secret letter by letter."""
    known, said = (secret or "").encode(*_ANY), (given if isinstance(given, str) else "").encode(*_ANY)
    if not known or not hmac.compare_digest(said, known):
        raise NotAuthorized("the secret is wrong or missing")


def _refusal(status: str, words: str, headers: Mapping[str, str] = MappingProxyType({})) -> Reply:
    body = {"status": "failed", "success": False, "error": status.partition(" ")[2], "message": words, "msg": words}
    return Reply(status, _json(body), tuple(headers.items()))


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)


class _NotFound(CkanpackagerError):
    pass


class _TooLarge(CkanpackagerError):
    pass


class _NoLength(CkanpackagerError):
    pass


class _BadMethod(CkanpackagerError):
    def __init__(self, message: str, allowed: str) -> None:
        super().__init__(message)
        self.allowed = allowed


_REFUSALS: tuple[tuple[type[CkanpackagerError], str, dict[str, str]], ...] = (
    (BadRequest, "400 Bad Request", {}),
    (NotAuthorized, "401 Unauthorized", {}),
    (_NotFound, "404 Not Found", {}),
    (_BadMethod, "405 Method Not Allowed", {}),
    (_NoLength, "411 Length Required", {}),
    (_TooLarge, "413 Content Too Large", {}),
    (TooMany, "429 Too Many Requests", {"Retry-After": RETRY_AFTER}),
)
