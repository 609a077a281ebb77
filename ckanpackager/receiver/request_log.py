"""One log line for each request that is accepted or refused: never with a secret, a key or a requester's address.

Lines go to the web server's log (`wsgi.errors`), and to `log` if that is configured.  Without it, `logging` is not
imported: under CGI that would take longer than the response.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ckanpackager.errors import one_line
from ckanpackager.receiver.client_address import client_address
from ckanpackager.receiver.response import Response

_LONGEST = 500  # characters
_PAGES = ("/jobs/", "/archives/")  # an unknown one is no news: their links are old, or guessed


def tell(environ: Mapping[str, Any], words: str, *, to_target: bool, quiet: bool = False, error: bool = False) -> None:
    """Log a line; only an error is logged to the web server with `quiet`."""
    line = one_line(words, _LONGEST)
    if error or not quiet:
        print(f"ckanpackager: {line}", file=environ["wsgi.errors"], flush=True)
    if to_target:
        import logging

        logger = logging.getLogger("ckanpackager")
        level = logging.ERROR if error else logging.INFO
        record = logger.makeRecord(logger.name, level, "", 0, "%s", (line,), None)
        for handler in logger.handlers:
            handler.handle(record)


def line_about(
    environ: Mapping[str, Any], response: Response, about: Mapping[str, str], trusted_proxies: Sequence[str] = ()
) -> str | None:
    """What is logged about a response; None: nothing, as about a look at statistics or at a page."""
    refused = not response.status.startswith(("2", "304"))
    path = readable(environ.get("PATH_INFO", ""))
    if not refused and "accepted" not in about:
        return None
    if refused and response.status.startswith(("404", "410")) and path.startswith(_PAGES):
        return None
    code = response.status.partition(" ")[0]
    caller = f" from {address}" if (address := client_address(environ, trusted_proxies)) else ""
    resource = f" {about['resource']}" if "resource" in about else ""
    reason = about.get("accepted") or about.get("refused") or response.status
    return f"{code} {environ['REQUEST_METHOD']} {path}{resource}{caller}: {reason}"


def readable(path: str) -> str:
    """A path as people read it: PEP 3333 has it as bytes in disguise."""
    return path.encode("latin-1", "replace").decode(errors="replace")
