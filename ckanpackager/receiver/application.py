"""The receiver: a WSGI application (PEP 3333) that writes each request into the spool and responds at once.

Under CGI every request starts a process, so this module imports nothing heavy; what statistics and job pages need is
imported where it is needed.
"""

import hmac
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ckanpackager.config.load import PUBLISHED_SECRETS, find_configuration, load_settings
from ckanpackager.config.settings import Settings
from ckanpackager.errors import BadRequest, CkanpackagerError, ConfigError, NotAuthorized, TooMany
from ckanpackager.receiver.body import (
    Application,
    Environ,
    NoLength,
    StartResponse,
    TooLarge,
    drain_body,
    read_parameters,
)
from ckanpackager.receiver.handlers import HANDLERS, HandlerRequest
from ckanpackager.receiver.pages import PageRequest, page_at
from ckanpackager.receiver.request_log import line_about, readable, tell
from ckanpackager.receiver.response import Response, error_response, success_response
from ckanpackager.spool.queue import Spool

RETRY_AFTER = "60"  # seconds, for callers while the spool is not writable
_ANY_TEXT = ("utf-8", "surrogatepass")  # encodes every text


def make_application(settings: Settings, *, quiet: bool = False) -> Application:
    """The receiver for these settings; with `quiet` it logs errors alone.

    Raises ConfigError if the secret is missing or published.
    """
    if not settings.receiver.secret:
        raise ConfigError(
            "secret: missing; the receiver accepts no request without one (see ckanpackager.yaml.example)"
        )
    if settings.receiver.secret in PUBLISHED_SECRETS:
        raise ConfigError("secret: this one is published in the documentation; set one of your own")
    spool = Spool(Path(settings.spool.spool_directory))
    if settings.logging.log:
        from ckanpackager import logs

        logs.add_target(settings.logging.log)

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        about: dict[str, str] = {}
        try:
            response = respond(environ, settings, spool, about)
        except Exception as error:  # a fault of ours; the caller must see nothing of the inside
            about["refused"] = f"internal error: {error!r}"
            response = error_response("500 Internal Server Error", "internal error; the log of the receiver has more")
            if settings.logging.debug:
                import traceback

                traceback.print_exc(file=environ["wsgi.errors"])
        if line := line_about(environ, response, about, settings.receiver.trusted_proxies):
            failed = response.status.startswith("5")
            tell(environ, line, to_target=bool(settings.logging.log), quiet=quiet, error=failed)
        headers = [("Content-Type", response.content_type), ("Content-Length", str(len(response.body)))]
        fixed = [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]
        start_response(response.status, [*headers, *response.headers, *fixed])
        return [b""] if environ["REQUEST_METHOD"] == "HEAD" else [response.body]

    return application


def load() -> Application:
    """The receiver for the configuration that the environment names, for mod_wsgi and other WSGI servers."""
    return drain_body(make_application(load_settings(find_configuration(None, os.environ, Path.cwd()), os.environ)))


def run_cgi() -> None:
    """Respond to the one request of a CGI process (RFC 3875)."""
    from wsgiref.handlers import CGIHandler

    try:
        application = load()
    except CkanpackagerError as error:
        words = "ckanpackager is not configured; the web server's log has more"
        response = error_response("500 Internal Server Error", words)
        why = str(error)

        def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            for line in why.splitlines():
                tell(environ, line, to_target=False, error=True)
            start_response(response.status, [("Content-Type", response.content_type)])
            return [response.body]

    CGIHandler().run(application)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # nothing is left to clean up, and the interpreter's own clean-up takes time


def respond(environ: Environ, settings: Settings, spool: Spool, about: dict[str, str]) -> Response:
    """The response to one HTTP request; what the log should say of it goes into `about`."""
    try:
        return _respond(environ, settings, spool, about)
    except CkanpackagerError as error:
        about["refused"] = "too many open requests of one address" if isinstance(error, TooMany) else str(error)
        for kind, status, headers in _REFUSALS:
            if isinstance(error, kind):
                allow = {"Allow": error.allowed} if isinstance(error, _BadMethod) else {}
                return error_response(status, str(error), {**headers, **allow})
        words = "this cannot be done right now; please try again later"
        return error_response("503 Service Unavailable", words, {"Retry-After": RETRY_AFTER})


def _respond(environ: Environ, settings: Settings, spool: Spool, about: dict[str, str]) -> Response:
    path, method = environ.get("PATH_INFO", "").rstrip("/") or "/", environ["REQUEST_METHOD"]
    handler = HANDLERS.get(path)
    if handler is not None:
        _check_method(path, method, "POST")
        parameters = read_parameters(environ, settings.receiver.max_request_size)
        _check_secret(parameters.pop("secret", None), settings.receiver.secret)
        named = parameters.get("resource_id") or parameters.get("dataset_id") or parameters.get("name")
        if isinstance(named, str):
            about["resource"] = named
        spool.prepare()
        return success_response(handler(HandlerRequest(parameters, settings, spool, about)))
    if page := page_at(path, settings):
        _check_method(path, method, *page.methods)
        if response := page.respond(PageRequest(path, environ, settings, spool, about)):
            return response
    raise _NotFound(f"there is nothing at {readable(path)}")


def _check_method(path: str, method: str, *allowed: str) -> None:
    if method not in allowed:
        raise _BadMethod(f"{path} takes {' and '.join(allowed)}", ", ".join(allowed))


def _check_secret(given: Any, secret: str | None) -> None:
    """In constant time, so that the secret cannot be found letter by letter."""
    known, sent = (secret or "").encode(*_ANY_TEXT), (given if isinstance(given, str) else "").encode(*_ANY_TEXT)
    if not known or not hmac.compare_digest(sent, known):
        raise NotAuthorized("the secret is wrong or missing")


class _NotFound(CkanpackagerError):
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
    (NoLength, "411 Length Required", {}),
    (TooLarge, "413 Content Too Large", {}),
    (TooMany, "429 Too Many Requests", {"Retry-After": RETRY_AFTER}),
)
