"""`ckanpackager serve`: the receiver and the archives behind one production-grade server, waitress."""

import logging
import os
import re
import resource
import signal
from collections.abc import Callable, Iterable
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, cast

from ckanpackager.archives import layout
from ckanpackager.config.settings import Settings
from ckanpackager.errors import ConfigError
from ckanpackager.receiver.application import make_application
from ckanpackager.receiver.body import Application, Environ, StartResponse

THREADS = 8
ARCHIVES = "/archives/"
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE)
_BLOCK = 256 * 1024
_TOO_MUCH = 16 * 1024 * 1024  # read to its end, then refused: a proxy that cannot pass a body on loses the response


def serve(settings: Settings, host: str, port: int, say: Callable[[str], None], *, quiet: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; `say` gets each address.  Raises ConfigError, OSError."""
    from waitress.server import create_server

    from ckanpackager.receiver import slow_clients

    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # requests may wait for a thread
    application = make_application(settings, quiet=quiet)
    if not settings.archives.store_url:
        application = with_archives(application, Path(settings.archives.store_directory))
    most, limits = settings.receiver.max_request_size + _TOO_MUCH, slow_clients.Limits()
    _allow_files(2 * limits.connections + 200)
    try:
        servers: dict[int, Any] = {}
        server: Any = create_server(
            application,
            servers,
            host=host,
            port=port,
            threads=THREADS,
            max_request_body_size=most,
            ident=None,
            connection_limit=limits.connections + 100,  # never reached: beyond ours, the slowest makes room
            cleanup_interval=1,
            clear_untrusted_proxy_headers=False,  # `client_address` decides whom to believe
            asyncore_use_poll=True,  # select takes no descriptors above 1023
        )
        slow_clients.limit([each for each in servers.values() if hasattr(each, "active_channels")], limits)
    except ValueError:
        raise ConfigError(f"cannot listen on {host}: neither an address of this machine nor a name for one") from None
    signal.signal(signal.SIGTERM, _end)  # waitress completes the current requests
    one = [] if hasattr(server, "effective_listen") else [(server.effective_host, server.effective_port)]
    for address, number in one or server.effective_listen:  # several if the host is a name, as localhost often is
        say(f"http://[{address}]:{number}/" if ":" in address else f"http://{address}:{number}/")
    server.run()


def _allow_files(number: int) -> None:
    """Allow so many open files, as far as that may be: a connection needs one, and its archive another."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < number:
        most = number if hard == resource.RLIM_INFINITY else min(number, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def with_archives(application: Application, store: Path) -> Application:
    """The application, and under /archives/ the store: nothing but finished archives, by their full names."""

    def both(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        name = path.removeprefix(ARCHIVES)
        if name == path or not layout.LINK.fullmatch(name) or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return application(environ, start_response)
        try:
            file = (store / name).open("rb")
        except OSError:
            return application(environ, start_response)  # which says whether it has expired
        return _send(file, Path(name).name, environ, start_response)

    return both


def _send(file: BinaryIO, name: str, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """A file or a part of it (RFC 9110, 14: one range, and only of what the client has already seen)."""
    state = os.fstat(file.fileno())
    tag = f'"{state.st_mtime_ns:x}-{state.st_size:x}"'  # a named package changes under its name
    headers = [
        ("Content-Type", "application/zip"),
        ("Content-Disposition", f'attachment; filename="{name}"'),
        ("Accept-Ranges", "bytes"),
        ("ETag", tag),
        ("Last-Modified", formatdate(state.st_mtime, usegmt=True)),
        ("X-Content-Type-Options", "nosniff"),
    ]
    head = environ["REQUEST_METHOD"] == "HEAD"
    wanted = "" if head or environ.get("HTTP_IF_RANGE", tag) != tag else environ.get("HTTP_RANGE", "")
    first, last, status = _range(wanted, state.st_size)
    if _is_known(tag, state.st_mtime, environ):
        status = "304 Not Modified"
    elif status.startswith("416"):
        headers = [("Content-Range", f"bytes */{state.st_size}"), ("Content-Length", "0")]
    else:
        headers.append(("Content-Length", str(last - first + 1)))
    if status.startswith("206"):
        headers.append(("Content-Range", f"bytes {first}-{last}/{state.st_size}"))
    start_response(status, headers)
    if head or not status.startswith("2"):
        file.close()
        return []
    file.seek(first)
    if wrapper := environ.get("wsgi.file_wrapper"):  # waitress sends it without keeping a thread for a slow reader
        return cast(Iterable[bytes], wrapper(file, _BLOCK))
    return _FilePart(file, last - first + 1)


def _is_known(tag: str, modified: float, environ: Environ) -> bool:
    """Whether the client has it already (RFC 9110, 13.2.2: entity tags, else the date)."""
    if (known := environ.get("HTTP_IF_NONE_MATCH")) is not None:
        return known.strip() == "*" or tag in [entry.strip().removeprefix("W/") for entry in known.split(",")]
    try:
        return int(modified) <= parsedate_to_datetime(environ.get("HTTP_IF_MODIFIED_SINCE", "")).timestamp()
    except (ValueError, OverflowError):  # none, or no date
        return False


def _range(wanted: str, size: int) -> tuple[int, int, str]:
    """First and last byte, and the status."""
    found = _RANGE.fullmatch(wanted.strip())
    if found is None or found[1] == found[2] == "" or (found[1] and found[2] and int(found[2]) < int(found[1])):
        return 0, size - 1, "200 OK"  # several ranges, or nonsense: the whole is always allowed
    first = int(found[1]) if found[1] else max(0, size - int(found[2]))
    last = min(int(found[2]), size - 1) if found[1] and found[2] else size - 1
    return first, last, "206 Partial Content" if first <= last else "416 Range Not Satisfiable"


class _FilePart:
    """The next so many bytes of a file; closes it at the end (PEP 3333)."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file = file
        self._left = length

    def __iter__(self) -> "_FilePart":
        return self

    def __next__(self) -> bytes:
        block = self._file.read(min(_BLOCK, self._left))
        if not block:
            raise StopIteration
        self._left -= len(block)
        return block

    def close(self) -> None:
        self._file.close()


def _end(number: int, frame: FrameType | None) -> Any:
    raise SystemExit
