"""The porch: every path, every refusal, every form of a body; and as a CGI process."""

import contextlib
import errno
import hmac
import json
import logging
import os
import re
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from urllib.parse import quote, quote_plus, urlencode
from xml.etree import ElementTree

import msgspec
import pytest
import yaml
from support.workspace import PATIENCE, Workspace, environment
from support.wsgi_client import REQUESTS, SECRET, Answer, WsgiClient, call

import ckanpackager
from ckanpackager.config.settings import Receiver, Settings
from ckanpackager.errors import ConfigError
from ckanpackager.jobs.job import Archive
from ckanpackager.jobs.parameters import request_from
from ckanpackager.jobs.request import TASKS
from ckanpackager.receiver import application, handlers, pages
from ckanpackager.receiver.application import make_application
from ckanpackager.spool import worker_slots
from ckanpackager.spool.listing import Listing

DATASTORE = REQUESTS["package_datastore"]
FIRST, LATER = "package_datastore", "/package_datastore"
CGI = Path(ckanpackager.__file__).parents[1] / "contrib/cgi/ckanpackager.cgi"
PATHS = ("/", "/status", *(f"/{task}" for task in REQUESTS), "/clear_caches")
PATHS += ("/statistics", "/statistics/requests", "/statistics/errors")
FIGURES = ("resources", "domains", "formats")
PATHS += tuple(f"/statistics/{kind}" for kind in FIGURES)
CKANEXT = {  # what ckanext-ckanpackager 2.2 sends, and what a portal's own extension of it may add
    "secret": SECRET,
    "resource_id": "05ff2255-c38a-40c9-b657-4ccb55ab2feb",
    "email": "ann@example.org",
    "format": "csv",
    "key": "0f1e2d3c-aaaa-bbbb-cccc-0123456789ab",
}


@pytest.fixture
def client(tmp_path: Path) -> WsgiClient:
    return WsgiClient(tmp_path)


def refused(answer: Answer, status: int, *words: str) -> None:
    """Hold a refusal to its shape."""
    said = answer.json
    assert (answer.status, said["status"], said["success"]) == (status, "failed", False), said
    assert said["error"] == answer.reason
    assert said["message"] == said["msg"]
    for word in words:
        assert word in said["message"]
    assert "Traceback" not in answer.text


def accepted(answer: Answer) -> dict[str, Any]:
    said: dict[str, Any] = answer.json
    assert (answer.status, said["status"], said["success"]) == (200, "success", True), said
    return said


# --- the secret


def test_no_secret_no_receiver() -> None:
    with pytest.raises(ConfigError, match="secret: missing"):
        make_application(Settings())


@pytest.mark.parametrize("secret", ["change-me", "8ba6d280d4ce9a416e9b604f3f0ebb"])
def test_a_published_secret_is_none(secret: str) -> None:
    with pytest.raises(ConfigError, match="secret: this one is published"):
        make_application(Settings(receiver=Receiver(secret=secret)))


@pytest.mark.parametrize("path", PATHS)
def test_without_the_secret_every_path_is_refused(client: WsgiClient, path: str) -> None:
    for secret in (None, "", "wrong", SECRET + " ", SECRET[:-1], SECRET.upper(), "\0"):
        refused(client.post(path, secret, **DATASTORE), 401)
    assert client.jobs() == {}


def test_a_secret_is_text(client: WsgiClient) -> None:
    for secret in (0, 1, True, None, [], [SECRET], {"secret": SECRET}, [[[[SECRET]]]], 1.5):
        refused(client.post_json("/status", secret=secret), 401)


def test_the_secret_is_compared_in_constant_time_as_bytes(client: WsgiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[Any, Any]] = []

    def compare(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for secret in (None, "a", SECRET):
        refused(client.post("/status", secret), 401)
    assert compared == [(text.encode(), SECRET.encode()) for text in ("", "a", SECRET)]


def test_a_strange_secret_of_the_environment_is_no_internal_error(tmp_path: Path) -> None:
    application = make_application(Settings(receiver=Receiver(secret="a\udcff")))
    refused(call(application, "/status", b"secret=a", REQUEST_METHOD="POST", CONTENT_LENGTH="8"), 401)


# --- what is not there, and how it is not asked for


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_unknown_paths(client: WsgiClient, method: str) -> None:
    for path in ("/nothing", "/package", "/statistics/x", "/jobs", "/jobs/", "//status", "/STATUS", "/x/../status"):
        refused(client.send(path, f"secret={quote(SECRET)}".encode(), REQUEST_METHOD=method), 404)


def test_the_path_in_a_refusal_is_as_it_was_sent(client: WsgiClient) -> None:
    refused(client.get("/Größe".encode().decode("latin-1")), 404, "/Größe")
    refused(call(client.application, "/\xff\udcff\u20ac", validate=False), 404)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD", "BREW"])
@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
def test_wrong_methods(client: WsgiClient, method: str) -> None:
    for path in PATHS:
        answer = client.send(path, b"", REQUEST_METHOD=method)
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        if method == "HEAD":
            assert answer.body == b""
        else:
            refused(answer, 405, path, "POST")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_wrong_methods_of_a_job_page(client: WsgiClient, method: str) -> None:
    answer = client.send("/jobs/x", b"", REQUEST_METHOD=method)
    refused(answer, 405, "GET and HEAD")
    assert answer.headers["Allow"] == "GET, HEAD"


def test_a_slash_at_the_end_does_not_matter(client: WsgiClient) -> None:
    accepted(client.post("/status/"))
    accepted(client.post("/statistics/requests//"))
    accepted(client.post(""))  # as CGI has it where the original had /


# --- bodies


@pytest.mark.parametrize("length", ["x", "-1", "1.5", "+3", "1 2", "\u00b2", "\u0661"])
def test_content_length_is_a_number(client: WsgiClient, length: str) -> None:
    answer = call(client.application, "/status", b"abc", validate=False, REQUEST_METHOD="POST", CONTENT_LENGTH=length)
    refused(answer, 400, "Content-Length")


@pytest.mark.parametrize("length", ["1048577", "9" * 30, "9" * 5000, "0" * 5000 + "1048577"])
def test_a_body_that_is_too_large_is_not_read(client: WsgiClient, length: str) -> None:
    unread = {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": length, "wsgi.input": None}
    refused(call(client.application, "/status", validate=False, **unread), 413, "1048576")


def test_the_largest_body(tmp_path: Path) -> None:
    client = WsgiClient(tmp_path, max_request_size=1024)
    secret = quote(SECRET)
    fits = f"secret={secret}&x=".ljust(1024, "x").encode()
    accepted(client.send("/status", fits))
    refused(client.send("/status", fits + b"x"), 413, "1024")


def test_a_body_shorter_than_it_says(client: WsgiClient) -> None:
    body = urlencode({"secret": SECRET, **DATASTORE}).encode()
    refused(client.send(LATER, body, CONTENT_LENGTH=str(len(body) + 1)), 400, "ended early")
    assert client.jobs() == {}


def test_a_connection_that_breaks(client: WsgiClient) -> None:
    class Broken:
        def read(self, _size: int) -> bytes:
            raise OSError("Apache/mod_wsgi request data read error")

    environ: dict[str, Any] = {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": "9", "wsgi.input": Broken()}
    refused(call(client.application, "/status", validate=False, **environ), 400, "ended early")


def test_a_body_without_a_length(client: WsgiClient) -> None:
    body = f"secret={quote(SECRET)}".encode()
    refused(client.send("/status", body, CONTENT_LENGTH=""), 401)  # none at all
    refused(client.send("/status", body, CONTENT_LENGTH=None, HTTP_TRANSFER_ENCODING="chunked"), 411, "Content-Length")
    chunked: dict[str, Any] = {"CONTENT_LENGTH": None, "HTTP_TRANSFER_ENCODING": "chunked"}
    accepted(client.send("/status", body, **chunked, **{"wsgi.input_terminated": True}))
    huge = body + b"&x=" + b"x" * 1024 * 1024
    refused(client.send("/status", huge, **chunked, **{"wsgi.input_terminated": True}), 413)


README = {  # the example of the original's README
    "secret": SECRET,
    "api_url": "http://ckan.example.com/api/action/datastore_search",
    "resource_id": "r",
    "email": "recipient@example.com",
    "filters": json.dumps({"somefield": "somevalue"}),
    "q": "a search",
    "offset": 1000,
    "limit": 1000000,
    "key": "k",
}
FORMS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "form": lambda values: urlencode(values).encode(),
    "JSON": lambda values: json.dumps(values).encode(),
    "JSON in UTF-8": lambda values: json.dumps(values, ensure_ascii=False, indent=2).encode(),
    "JSON as the README quotes it": lambda values: quote(json.dumps(values)).encode(),
    "JSON with plus for space": lambda values: quote_plus(json.dumps(values)).encode(),
    "JSON quoted in lower case": lambda values: re.sub(
        "%[0-9A-F]{2}", lambda found: found[0].lower(), quote(json.dumps(values))
    ).encode(),
    "with a line end": lambda values: b"\r\n" + json.dumps(values).encode() + b"\r\n",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "application/json", "text/plain", ""])
def test_forms_of_a_body(client: WsgiClient, form: str, kind: str) -> None:
    said = accepted(client.send(LATER, FORMS[form](README), CONTENT_TYPE=kind))
    request = client.jobs()[said["job"]].request
    assert request == request_from(FIRST, {name: value for name, value in README.items() if name != "secret"})
    assert (request.filters, request.q, request.offset) == ({"somefield": "somevalue"}, "a search", 1000)


def test_json_may_have_the_real_types(client: WsgiClient) -> None:
    values = {**DATASTORE, "filters": {"Größe": ["groß", 1]}, "fields": ["a", "b"], "limit": 5, "plain": True}
    (job,) = (accepted(client.post_json(LATER, **values)), *client.jobs().values())[1:]
    assert (job.request.filters, job.request.fields, job.request.limit) == ({"Größe": ["groß", 1]}, ["a", "b"], 5)
    assert (job.request.plain, job.queue) == (True, "fast")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{}}",
        b'{"secret": "',
        b'{"secret": "\xff"}',
        b'{"secret": "\\ud800"}',
        b'{"secret": NaN}',
        b'{"secret": 1e999}',
        b'{"secret": ' + b"9" * 5000 + b"}",
        b'{"secret": "\0"}',
        b"{1: 2}",
        b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b"[" * 5 + b'{"a": ' * 100_000,
        b"%7B%22a%22",
        b"%7B%FF%7D",
        b"secret=\xff",
        b"secret=%FF",
        b"secret=%ED%A0%80",
        b"&".join(b"a=1" for _ in range(101)),
        json.dumps({f"a{number}": 1 for number in range(101)}).encode(),
    ],
)
def test_bodies_that_are_nothing(client: WsgiClient, body: bytes) -> None:
    answer = client.send("/status", body)
    if body.startswith(b"["):
        refused(answer, 401)  # a form, with one field
    else:
        refused(answer, 400, "neither form fields nor a JSON object")


@pytest.mark.parametrize("depth", [40, 60, 900, 960, 990, 5000, 30_000])  # which later Pythons read
@pytest.mark.parametrize("path", ["/status", "/statistics/requests", LATER])
def test_no_depth_of_nesting_is_an_internal_error(client: WsgiClient, path: str, depth: int) -> None:
    start = json.dumps({**DATASTORE, "secret": SECRET}).removesuffix("}")
    for name in ("secret", "filters", "q", "limit", "offset", "resource_id", "email", "job", "x", "emai"):
        answer = client.send(path, f'{start}, "{name}": {"[" * depth}{"]" * depth}}}'.encode())
        assert answer.status in (200, 400, 401), answer.text
        if answer.status == 200 and path == LATER:
            assert answer.json["job"] in client.jobs()


# --- the tasks


def test_every_task_has_a_request_here() -> None:
    """Who adds a task adds a request of it to client.REQUESTS, to docs/openapi.yaml, and is tested."""
    assert REQUESTS.keys() == TASKS.keys()


@pytest.mark.parametrize("task", REQUESTS)
def test_a_task_is_spooled(client: WsgiClient, task: str) -> None:
    said = accepted(client.post(f"/{task}", **REQUESTS[task]))
    assert said["message"] == said["msg"] == client.workspace.settings.receiver.success_message
    assert said.keys() == {"status", "success", "message", "msg", "job"}
    assert {said["job"]: request_from(task, REQUESTS[task])} == {id: job.request for id, job in client.jobs().items()}
    assert SECRET not in client.workspace.spool.files.path(client.jobs()[said["job"]].queue, said["job"]).read_text()


@pytest.mark.parametrize("task", REQUESTS)
def test_every_missing_parameter_is_named(client: WsgiClient, task: str) -> None:
    for name in REQUESTS[task]:
        rest = {other: value for other, value in REQUESTS[task].items() if other != name}
        refused(client.post(f"/{task}", **rest), 400, f"{name}: missing")
        refused(client.post(f"/{task}", **rest, **{name: ""}), 400, f"{name}: missing")
    refused(client.post(f"/{task}"), 400, *(f"{name}: missing" for name in REQUESTS[task]))
    assert client.jobs() == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("email", email) for email in ("ann", "a@b@c", "a b@c.org", "ann@example.org\nBcc: x@y.org", "@", 5, [])),
        *(("email", email) for email in ("ann@example.org, bob@example.org", "<ann@example.org>", "a" * 250 + "@b.cd")),
        *(("api_url", url) for url in ("ftp://a/b", "file:///etc/passwd", "//a", "http://", "http://a b/", "x", 1)),
        *(("api_url", url) for url in ("http://[::1/", "http://a:99999/", "http://a/\nX: y", "javascript:alert(1)")),
        *(("limit", limit) for limit in ("-1", "x", "1.5", -1, 1.5, [], 2**63, 1e300, "9" * 5000, True, "٣" * 3)),
        *(("offset", offset) for offset in ("-1", {}, 2**70)),
        *(("filters", filters) for filters in ("{", "x", 5, '"a"', "[1]", "[" * 5000)),
        *(("format", format) for format in ("exe", "dwca", 1, "../../x")),
        *(("fields", fields) for fields in (5, [5], "[1]", {})),
        *(("sort", sort) for sort in (5, [5])),
        *(("plain", plain) for plain in ("perhaps", 7, [])),
        *(("q", q) for q in (5, [])),
        *(("resource_id", id) for id in ("a\nb", "a\0b", 5, [])),
        *(("key", key) for key in ("a\r\nX: y", "é", 5)),
        ("doi", "a\nb"),
        ("language", "a\0"),
    ],
)
def test_wrong_values_are_named(client: WsgiClient, name: str, value: Any) -> None:
    answer = client.post_json(LATER, **{**DATASTORE, name: value})
    refused(answer, 400)
    assert re.match(rf"{name}(\[\d+\])?: ", answer.json["message"])
    assert client.jobs() == {}


@pytest.mark.parametrize(
    ("near", "meant"),
    [("emial", "email"), ("filter", "filters"), ("Limit", "limit"), ("resourceid", "resource_id"), ("ofset", "offset")],
)
def test_a_misspelt_parameter_is_refused(client: WsgiClient, near: str, meant: str) -> None:
    refused(client.post(LATER, **DATASTORE, **{near: "1"}), 400, near, f"did you mean {meant}?")
    assert client.jobs() == {}


def test_ckanext_package_datastore(client: WsgiClient) -> None:
    fields = {"api_url": "https://data.example.org/api/3/action/datastore_search", "q": "", "limit": "100"}
    fields |= {"offset": "0"}
    fields |= {"filters": json.dumps({"Family": ["Felidae", "Canidae"]}), "sort": "_id asc", "anon": "1", "debug": ""}
    fields["resource_url"] = "https://data.example.org/datastore/dump/05ff2255"
    (job,) = (accepted(client.post(LATER, **CKANEXT, **fields)), *client.jobs().values())[1:]
    assert job.request.filters == {"Family": ["Felidae", "Canidae"]}
    assert (job.request.key, job.request.sort, job.request.limit) == (CKANEXT["key"], "_id asc", 100)


def test_ckanext_package_url(client: WsgiClient) -> None:
    said = accepted(client.post("/package_url", **CKANEXT, resource_url="https://data.example.org/a.pdf", api_url="x"))
    assert client.jobs()[said["job"]].request.task == "package_url"


def test_where_to_follow_it_and_how_many_are_ahead(tmp_path: Path) -> None:
    client = WsgiClient(tmp_path, public_url="https://packager.example.org/", success_message="Please wait.")
    said = [accepted(client.post(LATER, **DATASTORE)) for _ in range(3)]
    for number, ahead in enumerate(["", " (1 request is ahead of yours.)", " (2 requests are ahead of yours.)"]):
        url = f"https://packager.example.org/jobs/{said[number]['job']}"
        assert said[number]["status_url"] == url
        assert said[number]["message"] == f"Please wait. You can follow it at {url}{ahead}"


def test_a_job_on_disk_is_never_refused(client: WsgiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_path: Any) -> list[str]:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "listdir", fail)
    said = accepted(client.post(LATER, **DATASTORE))
    monkeypatch.undo()
    assert list(client.jobs()) == [said["job"]]


def test_only_allowed_hosts(tmp_path: Path) -> None:
    client = WsgiClient(tmp_path, allowed_hosts=["ckan.example.org", "other.example.org:8443"])
    accepted(client.post(LATER, **DATASTORE))
    for url in ("http://evil.example.org/a", "http://ckan.example.org@evil.example.org/", "https://other.example.org/"):
        refused(client.post(LATER, **{**DATASTORE, "api_url": url}), 400, "api_url: ", "allowed_hosts")
    assert len(client.jobs()) == 1


def test_so_many_jobs_for_one_address_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = WsgiClient(tmp_path, max_jobs_per_email=5)
    counted = threading.Barrier(8)
    count = Listing.open_jobs_of

    def slowly(spool: Listing, email: str) -> int:
        number = count(spool, email)
        with contextlib.suppress(threading.BrokenBarrierError):
            counted.wait(0.1)  # if all could count before one is added, all would be accepted
        return number

    monkeypatch.setattr(Listing, "open_jobs_of", slowly)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post(LATER, **DATASTORE), range(8)))
    assert sorted(answer.status for answer in answers) == [200] * 5 + [429] * 3
    assert len(client.jobs()) == 5


def test_so_many_jobs_for_one_address(tmp_path: Path) -> None:
    client = WsgiClient(tmp_path, max_jobs_per_email=2)
    first = accepted(client.post(LATER, **DATASTORE))["job"]
    accepted(client.post("/package_url", **{**REQUESTS["package_url"], "email": "ANN@example.org"}))
    answer = client.post(LATER, **DATASTORE)
    refused(answer, 429, "ann@example.org", "2 open requests")
    assert int(answer.headers["Retry-After"]) > 0
    accepted(client.post(LATER, **{**DATASTORE, "email": "bob@example.org"}))
    claim = client.workspace.spool.claim(first, "slow")
    assert claim
    refused(client.post(LATER, **DATASTORE), 429)  # what is worked on is open
    claim.finish()
    accepted(client.post(LATER, **DATASTORE))


# --- a spool that cannot be written


def unavailable(answer: Answer) -> None:
    refused(answer, 503, "try again later")
    assert int(answer.headers["Retry-After"]) > 0
    assert "/" not in answer.json["message"]  # nothing of the inside


def test_a_spool_that_is_a_file(tmp_path: Path) -> None:
    application = make_application(Workspace(tmp_path, secret=SECRET).settings)
    shutil.rmtree(tmp_path / "spool")
    (tmp_path / "spool").write_text("")
    body = urlencode({"secret": SECRET, **DATASTORE}).encode()
    answer = call(application, LATER, body, REQUEST_METHOD="POST", CONTENT_LENGTH=str(len(body)))
    unavailable(answer)
    unavailable(call(application, "/jobs/x", b""))
    assert str(tmp_path / "spool") in answer.log  # but for the administrator


@pytest.mark.parametrize("folder", ["tmp", "slow"])
def test_a_folder_that_is_a_file(client: WsgiClient, folder: str) -> None:
    (client.spool / folder).rmdir()
    (client.spool / folder).write_text("")
    unavailable(client.post(LATER, **DATASTORE))
    assert files_in(client.spool) == [folder]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("step", ["open", "fchmod", "fsync", "rename"])
def test_a_disk_that_takes_no_more(client: WsgiClient, monkeypatch: pytest.MonkeyPatch, code: int, step: str) -> None:
    really = getattr(os, step)

    def fail(what: Any, *others: Any, **named: Any) -> Any:
        if isinstance(what, int) or str(client.spool / "tmp") in str(what):
            raise OSError(code, os.strerror(code))
        return really(what, *others, **named)

    monkeypatch.setattr(os, step, fail)
    unavailable(client.post(LATER, **DATASTORE))
    monkeypatch.undo()
    assert files_in(client.spool) == []
    accepted(client.post(LATER, **DATASTORE))


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_the_spool_is_made_where_it_is_missing(client: WsgiClient) -> None:
    shutil.rmtree(client.spool)
    accepted(client.post(LATER, **DATASTORE))
    assert len(client.jobs()) == 1


# --- faults of our own


def test_an_internal_error_shows_nothing(client: WsgiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(application, "respond", fail)
    answer = client.post("/status")
    refused(answer, 500)
    assert "hunter2" not in answer.text
    assert "hunter2" in answer.log
    assert "Traceback" not in answer.log


def test_debug_logs_the_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "respond", lambda *_: 1 / 0)
    answer = WsgiClient(tmp_path, debug=True).post("/status")
    refused(answer, 500)
    assert "Traceback" in answer.log


def test_statistics_out_of_reach(tmp_path: Path) -> None:
    client = WsgiClient(tmp_path, stats_db=f"sqlite:///{tmp_path}/no/such/directory/stats.db")
    unavailable(client.post("/statistics"))
    accepted(client.post(LATER, **DATASTORE))  # which needs none


@pytest.mark.parametrize("path", ["/status", "/nothing", "/jobs/x", LATER])
def test_headers_of_all_answers(client: WsgiClient, path: str) -> None:
    for answer in (client.post(path), client.get(path)):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Type"] in ("application/json", "text/html; charset=utf-8")


# --- what is known


@pytest.mark.parametrize("path", ["/", "/status", ""])
def test_status(client: WsgiClient, path: str) -> None:
    assert accepted(client.post(path)) == {
        "status": "success",
        "success": True,
        "worker_count": 0,
        "queue_length": 0,
        "processed_requests": 0,
        "queues": {"fast": 0, "slow": 0, "claimed": 0, "failed": 0, "done": 0},
        "named_packages": [],
        "oldest_waiting": None,
        "failed_last_24_hours": 0,
        "workers": [],
        "tasks": ["package_datastore", "package_url", "package_dwc_archive", "package_dataset"],
        "formats": ["csv", "tsv", "xlsx", "ndjson", "parquet"],
        "version": ckanpackager.__version__,
    }
    ids = [accepted(client.post(LATER, **DATASTORE, limit=limit))["job"] for limit in (1, 1, 1, 0, 0)]
    claims = [client.workspace.spool.claim(id, "fast") for id in ids[:2]]
    assert all(claims)
    claims[1].fail()
    for name in ("README", "README.reason"):  # set aside, with the reason
        (client.spool / "failed" / name).write_text("no job")
    slot = worker_slots.acquire(client.spool / "workers", "fast", 1)
    assert slot
    slot.write_progress(worker_slots.Worker(worker="w", job=ids[0], since=0, rows=3, expected=9))
    with client.workspace.statistics() as statistics:
        statistics.record_request(job="x", resource_id="r", email="ann@example.org", count=3, now=1)
    said = accepted(client.post(path))
    assert (said["worker_count"], said["queue_length"], said["processed_requests"]) == (1, 4, 1)
    assert said["queues"] == {"fast": 1, "slow": 2, "claimed": 1, "failed": 2, "done": 0}
    worker = {"slot": "fast-1", "worker": "w", "job": ids[0], "since": 0, "rows": 3, "expected": 9}
    assert said["workers"] == [worker]
    assert 0 <= said["oldest_waiting"] < 60
    assert said["failed_last_24_hours"] == 1
    slot.close()
    claims[0].close()


def test_status_of_a_job(client: WsgiClient) -> None:
    ids = [accepted(client.post(LATER, **DATASTORE, limit=1))["job"] for _ in range(3)]
    said = accepted(client.post("/status", job=ids[2]))
    assert (said["job"], said["state"], said["position"], said["resource_id"]) == (ids[2], "waiting", 2, "r")
    assert said["message"] == said["msg"]
    claim = client.workspace.spool.claim(ids[2], "fast")
    slot = worker_slots.acquire(client.spool / "workers", "fast", 1)
    assert claim
    assert slot
    slot.write_progress(worker_slots.Worker(worker="w", job=ids[2], since=0, rows=3, expected=9))
    said = accepted(client.post("/status", job=ids[2]))
    assert (said["state"], said["rows"], said["expected"]) == ("running", 3, 9)
    slot.close()
    claim.finish(archive=Archive(name="a.zip", size=5, rows=9, published=4e9))
    said = accepted(client.post("/status", job=ids[2]))
    assert (said["state"], said["rows"], said["download_url"]) == ("done", 9, "https://data.example.org/dl/a.zip")
    assert "ann@example.org" not in json.dumps(said)
    report = accepted(client.post("/status", job=ids[2], report="yes"))
    assert said.items() <= report.items()
    assert (report["task"], report["email"], report["folder"]) == ("package_datastore", "ann@example.org", "done")
    assert report["history"] == [{"at": 4e9, "words": "archive a.zip (9 rows, 5 bytes)"}]


@pytest.mark.parametrize("job", ["x", "../../etc/passwd", "a/b", "\0", "🔑", ".", "x" * 1000])
def test_status_of_no_job(client: WsgiClient, job: str) -> None:
    refused(client.post("/status", job=job), 400, "job: ")


def test_status_with_an_empty_job_is_status(client: WsgiClient) -> None:
    assert "worker_count" in accepted(client.post("/status", job=""))
    refused(client.post_json("/status", job=[]), 400, "job: expected text")


def test_clear_caches(client: WsgiClient) -> None:
    store = client.workspace.store
    directory = store.new_directory("0" * 32)
    with store.part(directory) as part:
        part.write_bytes(b"x")
        store.publish(part, directory, "title.zip", rows=1, now=1)
    assert accepted(client.post("/clear_caches"))["removed"] == 1
    said = accepted(client.post("/clear_caches"))
    assert (said["removed"], said["message"], said["msg"]) == (0, "0 archives removed", "0 archives removed")
    assert client.workspace.archives == []


@pytest.fixture
def statistics(client: WsgiClient) -> WsgiClient:
    with client.workspace.statistics() as statistics:
        for number in range(5):
            email = f"{'Ann' if number % 2 else 'bob'}@example.org"
            own = {"size": 1000, "format": "csv", "task": "package_datastore"} if number else {}
            statistics.record_request(
                job=f"r{number}", resource_id=f"r{number % 2}", email=email, count=7, now=number, **own
            )
        statistics.record_error(job="e", resource_id="r0", email="ann@example.org", message="no", now=9.5, kind="site")
    return client


def test_totals(statistics: WsgiClient) -> None:
    assert accepted(statistics.post("/statistics"))["totals"] == {
        "*": {"emails": 2, "requests": 5, "errors": 1},
        "r0": {"emails": 1, "requests": 3, "errors": 1},
        "r1": {"emails": 1, "requests": 2, "errors": 0},
    }
    only = accepted(statistics.post("/statistics", resource_id="r1"))
    assert only["totals"] == {"r1": {"emails": 1, "requests": 2, "errors": 0}}
    assert accepted(statistics.post("/statistics", resource_id="other"))["totals"] == {}
    assert accepted(statistics.post("/statistics", resource_id="")) == accepted(statistics.post_json("/statistics"))


def test_requests_and_errors(statistics: WsgiClient) -> None:
    def stamps(**parameters: Any) -> list[int]:
        answers = [post("/statistics/requests", **parameters) for post in (statistics.post, statistics.post_json)]
        (one, other) = (accepted(answer)["requests"] for answer in answers)
        assert one == other
        return [row["timestamp"] for row in one]

    assert stamps() == [4, 3, 2, 1, 0]
    assert stamps(offset=1, limit=2) == [3, 2]
    assert stamps(resource_id="r1") == [3, 1]
    assert stamps(email="ann@EXAMPLE.org") == [3, 1]
    assert stamps(limit="", offset="", email="", resource_id="") == [4, 3, 2, 1, 0]
    assert stamps(offset="9" * 18) == stamps(limit=0) == []
    row = {"email": "ann@example.org", "domain": "example.org", "resource_id": "r0", "timestamp": 9}
    row |= {"message": "no", "kind": "site", "job": "e"}
    assert accepted(statistics.post("/statistics/errors"))["errors"] == [row]


def test_figures_by_resource_domain_and_format(statistics: WsgiClient) -> None:
    def figures(kind: str, **parameters: Any) -> Any:
        return accepted(statistics.post(f"/statistics/{kind}", **parameters))[kind]

    r0 = {"resource_id": "r0", "requests": 3, "rows": 21, "bytes": 2000, "emails": 1, "errors": 1}
    r1 = {"resource_id": "r1", "requests": 2, "rows": 14, "bytes": 2000, "emails": 1, "errors": 0}
    assert figures("resources") == [r0, r1]
    assert figures("resources", limit=1) == figures("resources", resource_id="r0") == [r0]
    assert figures("resources", since=1, until=2) == [{**r1, "requests": 1, "rows": 7, "bytes": 1000}]
    assert figures("resources", since="1970-01-02") == []
    assert figures("resources", until="1970-01-01", by="year") == [{**r, "period": "1970"} for r in (r0, r1)]
    assert figures("formats") == [
        {"format": "csv", "requests": 4, "rows": 28, "bytes": 4000, "emails": 2},
        {"format": None, "requests": 1, "rows": 7, "bytes": 0, "emails": 1},
    ]
    (domain,) = figures("domains")
    assert domain == {"domain": "example.org", "requests": 5, "rows": 35, "bytes": 4000, "emails": 2, "errors": 1}


def test_totals_requests_and_errors_of_a_period(statistics: WsgiClient) -> None:
    of_period = accepted(statistics.post("/statistics", since=3))["totals"]
    assert of_period["*"] == {"emails": 2, "requests": 2, "errors": 1, "rows": 14, "bytes": 2000}
    assert accepted(statistics.post("/statistics", until=1, resource_id="r1"))["totals"] == {}
    numbers = {"requests": 5, "rows": 35, "bytes": 4000, "emails": 2}
    assert accepted(statistics.post("/statistics", by="day"))["totals"] == [
        {"period": "1970-01-01", **numbers, "errors": 1}
    ]
    assert [r["job"] for r in accepted(statistics.post("/statistics/requests", since=1, until=3))["requests"]] == [
        "r2",
        "r1",
    ]
    by_year = accepted(statistics.post("/statistics/errors", by="year"))["errors"]
    assert by_year == [{"period": "1970", "kind": "site", "errors": 1}]
    assert accepted(statistics.post("/statistics/requests", by="year"))["requests"] == [{"period": "1970", **numbers}]


@pytest.mark.parametrize("kind", FIGURES)
@pytest.mark.parametrize("by", ["", "month"])
def test_a_chart_is_an_image_without_scripts_and_addresses(statistics: WsgiClient, kind: str, by: str) -> None:
    with statistics.workspace.statistics() as database:
        script = "<script>alert(1)</script>"
        database.record_request(job="x", resource_id=script, email=f"eve@{script}", count=1, now=1, format="csv")
    answer = statistics.post(f"/statistics/{kind}", format="svg", by=by)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/svg+xml; charset=utf-8")
    root = ElementTree.fromstring(answer.text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not [element for element in root.iter() if element.tag.endswith(("script", "image", "use", "a"))]
    assert not re.search(r"ann@|bob@|eve@|href|url\(|@import", answer.text)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("kind", ["requests", "errors", *FIGURES, ""])
def test_wrong_periods_are_named(client: WsgiClient, kind: str) -> None:
    for name in ("since", "until"):
        for value in ("yesterday", "2026-13-01", "2026-02-30", "-1", "1e9", "2026-1-1", "9" * 99, [], True, -1):
            refused(client.post_json(f"/statistics/{kind}", **{name: value}), 400, f"{name}: expected a date")
    for value in ("week", "DAY", 1, []):
        refused(client.post_json(f"/statistics/{kind}", by=value), 400, "by: expected day, month or year")
    if kind in FIGURES:
        refused(client.post_json(f"/statistics/{kind}", format="png"), 400, "format: expected json or svg")


@pytest.mark.parametrize("path", ["/statistics/requests", "/statistics/errors"])
@pytest.mark.parametrize("name", ["offset", "limit"])
def test_pages_are_numbers(client: WsgiClient, path: str, name: str) -> None:
    for value in ("-1", "x", "1.0", "9" * 19, "9" * 5000, -1, 1.5, True, [], {}, "\u0661"):
        refused(client.post_json(path, **{name: value}), 400, f"{name}: ")


@pytest.mark.parametrize("path", ["/statistics", "/statistics/requests", "/statistics/errors"])
def test_filters_of_statistics_are_text(client: WsgiClient, path: str) -> None:
    for value in ([], {}, 5, True):
        refused(client.post_json(path, resource_id=value), 400, "resource_id: expected text")
    assert accepted(client.post_json(path, resource_id="'; DROP TABLE requests; --\0", email="%"))


# --- as it is described

OPENAPI = yaml.safe_load((CGI.parents[2] / "docs/openapi.yaml").read_text())


def looked_up(value: Any) -> Any:
    """A part of the description, a reference followed."""
    while "$ref" in value:
        found = OPENAPI
        for step in value["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        value = found
    return value


def body_of(path: str) -> Any:
    """The schema of the parameters, which is one for all types of bodies."""
    kinds = looked_up(OPENAPI["paths"][path]["post"]["requestBody"])["content"]
    (form, other) = (
        looked_up(kinds[kind]["schema"]) for kind in ("application/x-www-form-urlencoded", "application/json")
    )
    assert form is other
    return form


def members(schema: Any) -> tuple[set[str], set[str]]:
    """The names that an object must have, and those that it may have."""
    schema = looked_up(schema)
    must, may = set(schema.get("required", ())), set(schema.get("properties", ()))
    for part in schema.get("allOf", ()):
        must, may = must | members(part)[0], may | members(part)[1]
    return must, may


def described(answer: Answer, path: str, which: int = 0) -> None:
    """Hold an answer to its description; `which` of the possible ones."""
    method = OPENAPI["paths"][path]["get" if path.startswith("/jobs") else "post"]
    response = looked_up(method["responses"].get(str(answer.status)) or method["responses"]["default"])
    schema = looked_up(response["content"]["application/json"]["schema"])
    must, may = members(schema)
    if "anyOf" in schema:
        must, may = must | members(schema["anyOf"][which])[0], may | members(schema["anyOf"][which])[1]
    assert must <= answer.json.keys() <= may
    for name in ("Allow", "Retry-After"):
        assert name not in answer.headers or name in response["headers"]


def test_the_description_has_every_path() -> None:
    assert OPENAPI["paths"].keys() == {*handlers.HANDLERS, "/jobs/{job}", *pages.PAGES}
    for path in handlers.HANDLERS:
        assert OPENAPI["paths"][path].keys() == {"post"}
        assert body_of(path)["properties"]["secret"]
        assert "secret" in body_of(path)["required"]


@pytest.mark.parametrize("task", TASKS)
def test_the_description_has_every_parameter(task: str) -> None:
    fields = {field.name: field for field in msgspec.structs.fields(TASKS[task])}
    schema = body_of(f"/{task}")
    assert schema["properties"].keys() == {"secret", *fields}
    assert set(schema["required"]) == {"secret", *(name for name, field in fields.items() if field.required)}
    for name, field in fields.items():
        choices = get_args(field.type) if get_origin(field.type) is Literal else None
        assert schema["properties"][name].get("enum") == (choices and list(choices))
        default = None if field.required else field.default
        assert schema["properties"][name].get("default") == default


def test_the_description_is_true(statistics: WsgiClient) -> None:
    for task, request in REQUESTS.items():
        described(statistics.post(f"/{task}", **request), f"/{task}")
        described(statistics.post(f"/{task}"), f"/{task}")
    for path in PATHS:
        described(statistics.post(path), path)
        described(statistics.get(path), path)
    for table in ("requests", "errors", *FIGURES):
        said = accepted(statistics.post(f"/statistics/{table}"))[table]
        schema = OPENAPI["paths"][f"/statistics/{table}"]["post"]["responses"]["200"]["content"]["application/json"][
            "schema"
        ]
        must, may = members(schema["properties"][table]["items"])
        assert all(must == entry.keys() == may for entry in said)
    job = accepted(statistics.post(LATER, **DATASTORE))["job"]
    described(statistics.post("/status", job=job), "/status", 1)
    described(statistics.get(f"/jobs/{job}", "application/json"), "/jobs/{job}")
    described(statistics.get("/jobs/x", "application/json"), "/jobs/{job}")
    claim = statistics.workspace.spool.claim(job, "slow")
    assert claim
    claim.finish(archive=Archive(name="a.zip", size=5, rows=9, published=4e9))
    described(statistics.get(f"/jobs/{job}", "application/json"), "/jobs/{job}")


# --- as a CGI process


def cgi(workspace: Workspace, body: bytes = b"", *, before: tuple[str, ...] = (), **environ: Any) -> Answer:
    """A request through contrib/cgi/ckanpackager.cgi; what it wrote to the log is the answer's reason."""
    known = {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "/ckanpackager",
        "CONTENT_LENGTH": str(len(body)),
        "CKANPACKAGER_CONFIG": str(workspace.file),
        "PYTHONPATH": str(CGI.parents[2]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    limit = environ.pop("limit", None)
    run = subprocess.run(
        [*before, sys.executable, str(CGI)],
        input=body,
        env=environment(known | environ),
        capture_output=True,
        timeout=PATIENCE,
        check=True,
        preexec_fn=limit,
    )
    head, _, content = run.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
    status = headers.pop("Status")
    if status.startswith("5"):
        assert run.stderr.count(b"\n") == 1, run.stderr
    else:
        assert run.stderr.count(b"\n") <= 1, run.stderr
    return Answer(int(status[:3]), run.stderr.decode() if status.startswith("5") else status[4:], headers, content)


BODY = urlencode({"secret": SECRET, **DATASTORE}).encode()


def test_cgi_spools(client: WsgiClient) -> None:
    said = accepted(cgi(client.workspace, BODY, PATH_INFO=LATER))
    assert list(client.jobs()) == [said["job"]]
    page = cgi(client.workspace, REQUEST_METHOD="GET", PATH_INFO=f"/jobs/{said['job']}")
    assert (page.status, "Your request is waiting" in page.text) == (200, True)


def test_cgi_refuses(client: WsgiClient) -> None:
    refused(cgi(client.workspace, b"secret=x", PATH_INFO=LATER), 401)
    answer = cgi(client.workspace, REQUEST_METHOD="GET", PATH_INFO=LATER)
    refused(answer, 405)
    assert answer.headers["Allow"] == "POST"
    refused(cgi(client.workspace, BODY, PATH_INFO="/größe"), 404, "/größe")
    refused(cgi(client.workspace, BODY, PATH_INFO=LATER, CONTENT_LENGTH=str(len(BODY) + 1)), 400, "ended early")
    assert client.jobs() == {}


@pytest.mark.parametrize(
    ("settings", "logged"),
    [
        ({"secret": "change-me"}, "secret: this one is published"),
        ({"secret": None}, "secret: missing"),
        ({"secret": SECRET, "spool_directry": "x"}, "did you mean spool_directory?"),
    ],
)
def test_cgi_that_is_not_configured(tmp_path: Path, settings: dict[str, Any], logged: str) -> None:
    answer = cgi(Workspace(tmp_path, **settings), BODY, PATH_INFO=LATER)
    assert (answer.status, answer.json["status"], answer.json["error"]) == (500, "failed", "Internal Server Error")
    assert answer.json["message"].startswith("ckanpackager is not configured")
    assert answer.json["message"] == answer.json["msg"]
    assert logged in answer.reason


def test_cgi_on_a_disk_that_takes_no_byte(client: WsgiClient) -> None:
    answer = cgi(
        client.workspace, BODY, PATH_INFO=LATER, limit=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    )
    assert (answer.status, "Retry-After" in answer.headers, "try again" in answer.text) == (503, True, True)
    assert str(client.spool) in answer.reason
    assert files_in(client.spool) == []


@pytest.mark.parametrize("folder", ["tmp", "slow"])
def test_cgi_that_may_not_write(client: WsgiClient, folder: str) -> None:
    mortal: tuple[str, ...] = ()
    if os.geteuid() == 0:
        mortal = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
        if not shutil.which("setpriv") or subprocess.run([*mortal, "true"], check=False).returncode:
            pytest.skip("root may write everywhere, and there is no setpriv that takes this away")
    (client.spool / folder).chmod(0o500)
    answer = cgi(client.workspace, BODY, before=mortal, PATH_INFO=LATER)
    (client.spool / folder).chmod(0o700)
    assert (answer.status, "Retry-After" in answer.headers) == (503, True)
    assert "Permission denied" in answer.reason
    assert files_in(client.spool) == []


def test_the_log_is_ours(client: WsgiClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        answers = [client.post(LATER, **DATASTORE, key="hush-hush"), client.post("/status", "hush-hush")]
    accepted(answers[0])
    refused(answers[1], 401)
    assert caplog.text == "" and all(answer.log and "hush" not in answer.log for answer in answers)
