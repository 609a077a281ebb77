"""What the tests of the client door work with: calls of the WSGI application, as a server makes them, and a server."""

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

from support.workspace import PATIENCE, Workspace

from ckanpackager.jobs.job import Job
from ckanpackager.receiver.application import make_application
from ckanpackager.receiver.body import Application

SECRET = "Sésame, öffne dich 🔑"
REQUESTS: dict[str, dict[str, Any]] = {
    "package_datastore": {
        "api_url": "https://ckan.example.org/api/3/action/datastore_search",
        "resource_id": "r",
        "email": "ann@example.org",
    },
    "package_dwc_archive": {
        "api_url": "https://ckan.example.org/api/3/action/datastore_search",
        "resource_id": "r",
        "email": "ann@example.org",
    },
    "package_dataset": {
        "api_url": "https://ckan.example.org/api/3/action/datastore_search",
        "dataset_id": "d",
        "email": "ann@example.org",
    },
    "package_url": {
        "resource_id": "r",
        "resource_url": "https://ckan.example.org/files/a.pdf",
        "email": "ann@example.org",
    },
}


class Answer(NamedTuple):
    """What came back."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes
    log: str = ""  # what the application wrote to the web server's log

    @property
    def json(self) -> Any:
        assert self.headers["Content-Type"] == "application/json"
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class WsgiClient:
    """The receiver of a workspace, called directly and held to PEP 3333 by wsgiref's validator."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.workspace = Workspace(directory, **{"secret": SECRET} | settings)
        self.application = make_application(self.workspace.settings)

    @property
    def spool(self) -> Path:
        return self.workspace.spool.directory

    def post(self, path: str, /, secret: str | None = SECRET, **parameters: Any) -> Answer:
        """A form, as ckanext-ckanpackager sends it."""
        return self.send(path, urlencode({**({} if secret is None else {"secret": secret}), **parameters}).encode())

    def post_json(self, path: str, /, **parameters: Any) -> Answer:
        return self.send(path, json.dumps({"secret": SECRET, **parameters}).encode(), CONTENT_TYPE="application/json")

    def send(self, path: str, body: bytes, **environ: Any) -> Answer:
        environ = {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(body))} | environ
        return call(self.application, path, body, **environ)

    def get(self, path: str, accept: str = "text/html", **environ: Any) -> Answer:
        path, _, query = path.partition("?")
        return call(self.application, path, HTTP_ACCEPT=accept, QUERY_STRING=query, **environ)

    def jobs(self) -> dict[str, Job]:
        """What waits, by id."""
        return {job.id: job for queue in ("fast", "slow") for job in self.workspace.spool.jobs(queue)}


def call(application: Application, path: str, body: bytes = b"", *, validate: bool = True, **environ: Any) -> Answer:
    """One request; an `environ` value of None is left out."""
    whole: dict[str, Any] = {"SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "", "wsgi.input": io.BytesIO(body)}
    errors = whole["wsgi.errors"] = io.StringIO()
    setup_testing_defaults(whole)
    whole = {name: value for name, value in {**whole, **environ}.items() if value is not None}
    begun: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> Any:
        begun.append((status, headers))
        return lambda _data: None

    parts = (validator(application) if validate else application)(whole, start_response)
    try:
        content = b"".join(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    ((status, headers),) = begun
    assert len({name.lower() for name, _ in headers}) == len(headers), "a header twice"
    code, _, reason = status.partition(" ")
    answer = Answer(int(code), reason, dict(headers), content, errors.getvalue())
    if whole["REQUEST_METHOD"] != "HEAD" and "Content-Length" in answer.headers:
        assert answer.headers["Content-Length"] == str(len(content))
    return answer


@contextmanager
def serving(workspace: Workspace, *words: str) -> Iterator[str]:
    """A running `ckanpackager serve`; its address."""
    process = workspace.start("serve", "--port", "0", *words)
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        address = re.search(r"http://\S+", said)
        assert address, said
        yield address[0].rstrip("/")
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0
        process.communicate()
