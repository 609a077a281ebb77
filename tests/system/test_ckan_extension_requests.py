"""contrib/ckanext-packager: what its action sends, to the real receiver and to servers that misbehave."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from xml.etree import ElementTree

import pytest
from support.ckan_toolkit import NotAuthorized, StubToolkit, ValidationError, stub_ckan
from support.servers import running
from support.wsgi_client import SECRET, WsgiClient

TABLE = {"id": "table", "package_id": "set", "datastore_active": True, "url": "https://data.example.org/dump"}
FILE = {"id": "file", "package_id": "set", "url": "https://data.example.org/dataset/set/a.pdf"}
SET = {"id": "set", "resources": [TABLE, FILE], "doi": "10.5519/x"}
UNAVAILABLE = {"packager": ["The download service cannot be reached just now. Please try again in a few minutes."]}


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[WsgiClient]:
    client = WsgiClient(tmp_path, public_url="https://packager.example.org", max_jobs_per_email=3)
    with running(make_server("127.0.0.1", 0, client.application, handler_class=Quiet)) as url:
        client.url = url  # type: ignore[attr-defined]
        yield client


@contextmanager
def portal(url: str, **config: Any) -> Iterator[tuple[StubToolkit, Callable[..., Any]]]:
    """A stub of CKAN with a dataset, and the extension's actions."""
    with stub_ckan(**{"url": url, "secret": SECRET, "ckan_url": "https://data.example.org", **config}) as toolkit:
        for resource in (TABLE, FILE):
            toolkit.actions["resource_show", str(resource["id"])] = resource
        toolkit.actions["package_show", "set"] = SET
        action = importlib.import_module("ckanext.packager.logic.action")

        def ask(user: str = "", name: str = "packager_request", **data: Any) -> Any:
            return getattr(action, name)({"user": user}, data)

        yield toolkit, ask


def waiting(receiver: WsgiClient) -> Any:
    (job,) = receiver.jobs().values()
    return job.request


def test_the_receiver_takes_the_rows_that_are_selected(receiver: WsgiClient) -> None:
    with portal(receiver.url) as (_, ask):  # type: ignore[attr-defined]
        search = {"q": {"Country": "Ken:*"}, "plain": False, "language": "simple", "filters": {"Year": ["1901"]}}
        answer = ask(resource_id="table", email="ann@example.org", format="xlsx", **search)
    job = waiting(receiver)
    assert answer["status_url"] == f"https://packager.example.org/jobs/{answer['job']}"
    assert (job.task, job.resource_id, job.email, job.format) == (
        "package_datastore",
        "table",
        "ann@example.org",
        "xlsx",
    )
    assert (job.q, job.plain, job.language, job.filters) == tuple(search.values())
    assert job.api_url == "https://data.example.org/api/3/action/datastore_search"
    assert (job.doi, job.key) == ("10.5519/x", None)


def test_the_receiver_takes_files_datasets_and_darwin_core_archives(receiver: WsgiClient) -> None:
    with portal(receiver.url) as (_, ask):  # type: ignore[attr-defined]
        ask(resource_id="file", email="ann@example.org")
        ask(dataset_id="set", email="ann@example.org", format="csv")
        ask(resource_id="table", email="ann@example.org", format="dwca")
    assert sorted(job.request.task for job in receiver.jobs().values()) == [
        "package_dataset",
        "package_dwc_archive",
        "package_url",
    ]


def test_a_key_goes_along_only_for_what_the_public_cannot_read(receiver: WsgiClient) -> None:
    with portal(receiver.url, api_token="reader") as (toolkit, ask):  # type: ignore[attr-defined]
        toolkit.denied = {("", "table"), ("outsider", "table")}
        with pytest.raises(NotAuthorized):
            ask("outsider", resource_id="table", email="ann@example.org")
        assert receiver.jobs() == {}
        ask("member", resource_id="table", email="ann@example.org")
    assert waiting(receiver).key == "reader"


def test_a_private_dataset_needs_the_right_to_each_of_its_resources(receiver: WsgiClient) -> None:
    with portal(receiver.url, api_token="reader") as (toolkit, ask):  # type: ignore[attr-defined]
        toolkit.denied = {("", "set"), ("member", "file")}
        with pytest.raises(NotAuthorized):
            ask("member", dataset_id="set", email="ann@example.org")
        toolkit.denied = {("", "set")}
        ask("member", dataset_id="set", email="ann@example.org")
    assert waiting(receiver).key == "reader"


def test_the_receivers_refusals_arrive_in_its_own_words(receiver: WsgiClient) -> None:
    with portal(receiver.url) as (_, ask):  # type: ignore[attr-defined]
        with pytest.raises(ValidationError) as caught:
            ask(resource_id="table", email="nonsense")
        assert caught.value.error_dict["email"][0].startswith("email: ")
        for _number in range(3):
            ask(resource_id="table", email="ann@example.org")
        with pytest.raises(ValidationError) as caught:
            ask(resource_id="table", email="ann@example.org")
        assert (
            "ann@example.org" in caught.value.error_dict["packager"][0] or "3" in caught.value.error_dict["packager"][0]
        )


def test_the_state_of_a_job_is_told_and_an_unknown_one_is_not_found(receiver: WsgiClient) -> None:
    with portal(receiver.url) as (_, ask):  # type: ignore[attr-defined]
        job = ask(resource_id="table", email="ann@example.org")["job"]
        assert ask(name="packager_status", job=job)["state"] == "waiting"
        for unknown in ("20260101T000000000000-" + 32 * "0", "../x"):
            with pytest.raises(LookupError):
                ask(name="packager_status", job=unknown)


def test_a_wrong_secret_is_a_fault_that_people_cannot_mend(receiver: WsgiClient) -> None:
    with portal(receiver.url, secret="another") as (_, ask):  # type: ignore[attr-defined]
        with pytest.raises(ValidationError) as caught:
            ask(resource_id="table", email="ann@example.org")
    assert caught.value.error_dict == UNAVAILABLE


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {}, b"<html>a proxy says hello</html>"),
        (200, {}, b'["no object"]'),
        (200, {}, b"x" * (1024 * 1024 + 1)),
        (302, {"Location": "http://127.0.0.1:9/"}, b""),
        (500, {}, b"oops"),
        (503, {"Retry-After": "60"}, b'{"success": false, "msg": "cannot write"}'),
    ],
)
def test_what_is_no_answer_is_a_fault_in_plain_words(status: int, headers: dict[str, str], body: bytes) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url, portal(url) as (_, ask):
        with pytest.raises(ValidationError) as caught:
            ask(resource_id="table", email="ann@example.org")
        assert caught.value.error_dict == UNAVAILABLE


def test_a_packager_that_does_not_answer_in_time_is_not_waited_for() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and says nothing
        with portal(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.2) as (_, ask):
            with pytest.raises(ValidationError) as caught:
                ask(resource_id="table", email="ann@example.org")
    assert caught.value.error_dict == UNAVAILABLE


@pytest.mark.parametrize("kind", ["resources", "domains", "formats"])
def test_the_receivers_charts_are_images_that_the_extension_shows(receiver: WsgiClient, kind: str) -> None:
    with receiver.workspace.statistics() as database:
        database.record_request(job="a", resource_id="table", email="ann@x.org", count=1, now=1, format="csv")
    with portal(receiver.url):  # type: ignore[attr-defined]
        packager = importlib.import_module("ckanext.packager.client").Packager(receiver.url, SECRET)  # type: ignore[attr-defined]
        svg = packager.chart(f"/statistics/{kind}")
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert float(root.attrib["width"]) > 300 and "1 request" in svg.decode()
