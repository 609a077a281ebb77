"""A small CKAN API on this machine, over tables in memory: for the demo, and for tests that need a CKAN.

    with CkanApi({"specimens": Resource(FIELDS, list(rows(1000)))}) as api:
        requests.post(api.api_url, json={"resource_id": "specimens"})

`python -m ckanpackager.demo.ckan_api --rows 1000 --port 8080` serves the sample until it is interrupted.
"""

import argparse
import contextlib
import json
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from email.message import Message
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct, field

from ckanpackager.demo import sample
from ckanpackager.demo.actions import ACTIONS, Refusal, Site
from ckanpackager.demo.search import ServerError
from ckanpackager.demo.table import JSON_NULL, InvalidRequest, Resource
from ckanpackager.demo.versions import Version, whole

__all__ = ["JSON_NULL", "CkanApi", "File", "Request", "Resource"]

JSON_TYPE = "application/json;charset=utf-8"
HTML_TYPE = "text/html; charset=utf-8"


class File(Struct):
    """A file to download from `/files/<name>`, or as an upload of a resource, with headers of its own."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Request(NamedTuple):
    """What was asked: an action with its parameters, or `dump` or `files` with what they name."""

    action: str
    params: dict[str, Any]
    headers: Message


Fault = Callable[["Handler", str, dict[str, Any], int], bool]


class CkanApi:
    """A CKAN of that `version`, with its quirks, on 127.0.0.1; a context manager that starts and stops it.

    `resources` by id, `datasets` by id or name as `package_show` gives them, `files` by name: all may be changed
    while it runs.  `key` opens what is private.  `log` holds every request, in the order of arrival.  A `fault` is
    called with the handler, the action, its parameters and how many times that action was asked, from 1 on; when it
    returns true it has answered (or closed the connection) itself.
    """

    def __init__(
        self,
        resources: dict[str, Resource],
        *,
        version: Version = (2, 12),
        rows_max: int = 32_000,
        key: str = "demo-key",
        files: Mapping[str, File | bytes] | None = None,
        datasets: Mapping[str, dict[str, Any]] | None = None,
        port: int = 0,
    ) -> None:
        self.resources, self.datasets, self.files = resources, dict(datasets or {}), dict(files or {})
        self.fault: Fault | None = None
        self.log: list[Request] = []
        self.stopped = False
        self._started = False
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), partial(Handler, self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.api_url = f"{self.url}/api/3/action/datastore_search"
        self.site = Site(self.url, self.resources, self.datasets, whole(version), rows_max, key)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Answer requests, in threads of their own."""
        self._started = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Answer no more: close the port, and every open connection at its next request."""
        self.stopped = True
        if self._started:
            self._server.shutdown()  # which would wait for ever for a server that never served
        self._server.server_close()

    def record(self, action: str, params: dict[str, Any], headers: Message) -> int:
        """Note a request in the log; how many there were for this action."""
        with self._lock:
            self.log.append(Request(action, params, headers))
            self._counts[action] += 1
            return self._counts[action]


class Handler(BaseHTTPRequestHandler):
    """One connection: reads requests and answers them with CKAN's statuses, headers and envelopes."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, api: CkanApi, *connection: Any) -> None:
        self.api = api
        super().__init__(*connection)

    def do_GET(self) -> None:
        """Answer whatever is asked, by its path."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.api.stopped:
            self.close_connection = True
            return
        url = urlsplit(self.path)
        if found := re.fullmatch(r"/api/(?:3/)?action/([^/]+)", url.path):
            self._action(found[1], url.query, body)
        elif found := re.fullmatch(r"/datastore/dump/([^/]+)", url.path):
            self._unless_fault("dump", {"resource_id": unquote(found[1])}, self._dump)
        elif found := re.fullmatch(r"/(?:files|dataset/[^/]+/resource/[^/]+/download)/(.+)", url.path):
            self._unless_fault("files", {"name": unquote(found[1])}, self._file)
        else:
            self._page(HTTPStatus.NOT_FOUND)

    do_POST = do_GET

    def reply(self, status: int, body: str | bytes, content_type: str = JSON_TYPE, **headers: str) -> None:
        """Send one whole answer; underscores in the names of headers stand for hyphens."""
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: the requests are in the API's log."""

    def _unless_fault(self, action: str, params: dict[str, Any], answer: Callable[[dict[str, Any]], None]) -> None:
        nth = self.api.record(action, params, self.headers)
        if not (self.api.fault and self.api.fault(self, action, params, nth)):
            answer(params)

    def _action(self, action: str, query: str, body: bytes) -> None:
        try:
            params = _params(self.headers.get_content_type(), query, body)
        except ValueError as error:
            self.api.record(action, {}, self.headers)
            self.reply(HTTPStatus.BAD_REQUEST, json.dumps(f"Bad request: JSON Error: {error}"))
        except TypeError:
            self.api.record(action, {}, self.headers)
            self._page(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        else:
            self._unless_fault(action, params, partial(self._act, action))

    def _act(self, action: str, params: dict[str, Any]) -> None:
        if action not in ACTIONS:
            self.reply(HTTPStatus.BAD_REQUEST, json.dumps(f"Bad request: Action name not known: {action}"))
            return
        about = f"{self.api.url}/api/3/action/help_show?name={action}"
        try:
            result = self.api.site.act(action, params, self.headers.get("Authorization"))
        except InvalidRequest as error:
            self._refuse(HTTPStatus.CONFLICT, about, {**error.errors, "__type": "Validation Error"})
        except Refusal as refusal:
            self._refuse(refusal.status, about, refusal.error)
        except ServerError:
            self._page(HTTPStatus.INTERNAL_SERVER_ERROR)
        else:
            self.reply(HTTPStatus.OK, f'{{"help": "{about}", "success": true, "result": {result}}}')

    def _refuse(self, status: HTTPStatus, about: str, error: dict[str, Any]) -> None:
        self.reply(status, json.dumps({"help": about, "error": error, "success": False}))

    def _page(self, status: HTTPStatus, **headers: str) -> None:
        title = f"{status.value} {status.phrase}"
        self.reply(
            status, f"<!DOCTYPE html>\n<html><title>{title}</title><h1>{title}</h1></html>\n", HTML_TYPE, **headers
        )

    def _dump(self, params: dict[str, Any]) -> None:
        resource_id = params["resource_id"]
        try:
            rows = self.api.site.dump(resource_id, self.headers.get("Authorization"))
        except Refusal:
            self._page(HTTPStatus.NOT_FOUND)  # not 403, and HTML: it is a page of the site, not of its API
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-disposition", f'attachment; filename="{resource_id}.csv"')
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        data = rows.encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n0\r\n\r\n")

    def _file(self, params: dict[str, Any]) -> None:
        file = self.api.files.get(params["name"])
        if file is None:
            self._page(HTTPStatus.NOT_FOUND)
            return
        file = File(file) if isinstance(file, bytes) else file
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", **file.headers}
        content_type = headers.pop("Content-Type")
        part = _part(self.headers.get("Range"), len(file.body))
        if part is None:
            self.reply(HTTPStatus.OK, file.body, content_type, **headers)
        elif not part:
            self._page(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, Content_Range=f"bytes */{len(file.body)}")
        else:
            headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{len(file.body)}"
            body = file.body[part.start : part.stop]
            self.reply(HTTPStatus.PARTIAL_CONTENT, body, content_type, **headers)


class _Server(ThreadingHTTPServer):
    """The standard server, with room for many to connect at once, and no word about a client that leaves."""

    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _params(content_type: str, query: str, body: bytes) -> dict[str, Any]:
    """The parameters, wherever they are; ValueError for what is no JSON object, TypeError for what is not called so."""
    if content_type == "application/x-www-form-urlencoded" and body:
        return _mixed(body.decode())
    if query or not body:
        return _mixed(query)
    if content_type != "application/json":
        raise TypeError(content_type)
    try:
        params = json.loads(body)
    except ValueError:
        about = "Error: <BadRequest '400: Bad Request'> JSON data extracted from the request: {}"
        raise ValueError(f"Error decoding JSON data. {about}") from None
    if not isinstance(params, dict):
        raise ValueError(f"Request data JSON decoded to {params!r} but it needs to be a dictionary.")
    return params


def _mixed(query: str) -> dict[str, Any]:
    values = parse_qs(query, keep_blank_values=True)
    return {name: several[0] if len(several) == 1 else several for name, several in values.items()}


def _part(header: str | None, size: int) -> range | None:
    """Which bytes a Range header asks for: an empty range where there are none such, None for the whole."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "")
    if not found or found[0] == "bytes=-":
        return None
    first, last = found[1], found[2]
    if not first:
        return range(max(0, size - int(last)), size)
    return range(int(first), min(size, int(last) + 1 if last else size))


def main() -> None:
    """Serve the sample until interrupted."""
    parser = argparse.ArgumentParser(description="A small CKAN API on 127.0.0.1 over made-up specimens.")
    parser.add_argument("--rows", type=int, default=1000, help="how many specimens there are")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    options = parser.parse_args()
    resource = Resource(sample.FIELDS, list(sample.rows(options.rows)))
    with CkanApi({"specimens": resource}, port=options.port) as api, contextlib.suppress(KeyboardInterrupt):
        print(f"{api.api_url}?resource_id=specimens", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
