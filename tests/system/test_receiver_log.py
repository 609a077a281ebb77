"""What the receiver takes and what it logs of it: multipart forms, cached requests, and a line for each decision."""

import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.workspace import Workspace, small_ckan
from support.wsgi_client import REQUESTS, SECRET, Answer, WsgiClient, serving

from ckanpackager.demo.ckan_api import CkanApi

ROWS = REQUESTS["package_datastore"]
BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"


@pytest.fixture
def client(tmp_path: Path) -> WsgiClient:
    return WsgiClient(tmp_path)


@pytest.fixture(autouse=True)
def logger() -> Iterator[None]:
    """What a test adds to the program's logger goes with it."""
    ours = logging.getLogger("ckanpackager")
    handlers, level = ours.handlers[:], ours.level
    yield
    ours.handlers[:], ours.level = handlers, level


# Log lines


def test_an_acceptance_is_one_line_with_the_job_and_the_caller(client: WsgiClient) -> None:
    answer = client.send("/package_datastore", form(**ROWS), REMOTE_ADDR="192.0.2.7")
    job = answer.json["job"]
    expected = f"accepted as job {job}, slow, from ckan.example.org"
    assert answer.log == f"ckanpackager: 200 POST /package_datastore r from 192.0.2.7: {expected}\n"


@pytest.mark.parametrize(
    ("path", "parameters", "line"),
    [
        ("/status", {"secret": "x"}, "401 POST /status: the secret is wrong or missing"),
        ("/package_url", ROWS, "400 POST /package_url r: resource_url: missing; package_url requires it"),
        (
            "/package_datastore",
            {**ROWS, "limit": "many"},
            "400 POST /package_datastore r: limit: expected a whole number, got text 'many'",
        ),
        ("/nothing", {}, "404 POST /nothing: there is nothing at /nothing"),
        ("/jobs/x", {}, "405 POST /jobs/x: /jobs/x takes GET and HEAD"),
        ("/refresh", {"name": "none"}, "400 POST /refresh none: none: no named package"),
    ],
)
def test_a_refusal_is_one_line_with_the_reason(client: WsgiClient, path: str, parameters: Any, line: str) -> None:
    log = client.send(path, form(**parameters), REMOTE_ADDR=None).log
    assert log.startswith(f"ckanpackager: {line}") and log.count("\n") == 1


def test_what_is_only_looked_at_is_not_logged(client: WsgiClient) -> None:
    job = client.post("/package_datastore", **ROWS).json["job"]
    answers = [client.post("/status"), client.post("/statistics"), client.get(f"/jobs/{job}"), client.get("/jobs/none")]
    assert [answer.log for answer in answers] == ["", "", "", ""]


@pytest.mark.parametrize("key", ["hush-key", "hüsh-key"])
def test_neither_secret_nor_key_nor_address_is_logged(tmp_path: Path, key: str) -> None:
    client = WsgiClient(tmp_path, max_jobs_per_email=1, log="events.log")
    sent = {**ROWS, "email": "ann@hush.example", "key": key}
    answers = [client.post("/package_datastore", **sent) for _ in range(2)]
    answers += [client.post("/package_datastore", "hush-secret", **sent), client.post_json("/refresh", key=key)]
    assert all(answer.log for answer in answers)
    logged = "".join(answer.log for answer in answers) + (tmp_path / "events.log").read_text()
    assert "hush" not in logged and "hüsh" not in logged and SECRET not in logged


def test_no_caller_writes_a_line_of_its_own(client: WsgiClient) -> None:
    answers = [
        client.send("/package_datastore", form(**{**ROWS, "resource_id": "r\n500 forged\x1b[2J"})),
        client.send("/a\nb", b"", REQUEST_METHOD="POST"),
    ]
    for answer in answers:
        assert answer.log.count("\n") == 1 and "\x1b" not in answer.log


def test_lines_also_go_to_the_log_of_the_configuration(tmp_path: Path) -> None:
    client = WsgiClient(tmp_path, log="events.log")
    client.post("/package_datastore", **ROWS)
    client.post("/status", "x")
    first, second = (tmp_path / "events.log").read_text().splitlines()
    assert re.fullmatch(r"\S+ \S+ INFO 200 POST /package_datastore r: accepted as job \S+, slow, .*", first)
    assert re.fullmatch(r"\S+ \S+ INFO 401 POST /status: the secret is wrong or missing", second)


@pytest.mark.parametrize(("words", "lines"), [((), 2), (("-q",), 0)])
def test_serve_prints_the_lines_unless_it_is_quiet(tmp_path: Path, words: tuple[str, ...], lines: int) -> None:
    workspace = Workspace(tmp_path, secret=SECRET)
    process = subprocess.Popen(
        [sys.executable, "-m", "ckanpackager", "--config", str(workspace.file), *words, "serve", "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        address = process.stderr.readline().split()[-1].rstrip("/")
        for secret in (SECRET, "x"):
            workspace.run("-p", address, "-s", secret, "-D", "clear-cache")
    finally:
        process.terminate()
    said = process.communicate()[1].splitlines()
    assert [line.split(":")[1].split()[0] for line in said] == ["200", "401"][:lines]


def test_serve_writes_each_line_once_into_the_log_file(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, secret=SECRET, log="events.log")
    with serving(workspace) as address:
        workspace.run("-p", address, "-s", "x", "-D", "clear-cache")
    assert (tmp_path / "events.log").read_text().count(" 401 POST /clear_caches ") == 1


def test_a_cgi_process_that_logs_to_the_web_server_imports_no_logging() -> None:
    code = (
        "import io, sys\nfrom ckanpackager.receiver.request_log import tell\n"
        "tell({'wsgi.errors': io.StringIO()}, 'x', to_target=False)\n"
        "import ckanpackager.receiver.application, ckanpackager.receiver.handlers\n"
        "print('logging' in sys.modules, 'email' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


# Multipart forms


def form(**values: Any) -> bytes:
    from urllib.parse import urlencode

    return urlencode({"secret": SECRET, **values}).encode()


def multipart(client: WsgiClient, path: str, *fields: tuple[str, str], end: str = "--", **environ: Any) -> Answer:
    parts = [f"--{BOUNDARY}\r\nContent-Disposition: form-data; {name}\r\n\r\n{value}\r\n" for name, value in fields]
    body = "".join([*parts, f"--{BOUNDARY}{end}\r\n"]).encode()
    return client.send(path, body, **{"CONTENT_TYPE": f"multipart/form-data; boundary={BOUNDARY}", **environ})


def test_a_multipart_form_is_read(client: WsgiClient) -> None:
    fields = [("secret", SECRET), *ROWS.items(), ("q", "zwei\r\nZeilen Ä"), ("filters", '{"a": "b"}')]
    answer = multipart(client, "/package_datastore", *((f'name="{name}"', value) for name, value in fields))
    assert answer.json["success"]
    (job,) = client.jobs().values()
    assert (job.request.q, job.request.filters) == ("zwei\r\nZeilen Ä", {"a": "b"})  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("fields", "environ", "words"),
    [
        ([('name="eml"; filename="eml.xml"', "<eml/>")], {}, "eml: is a file; the receiver takes texts"),
        ([("no-name", "x")], {}, "a field of the multipart form has no name"),
        ([], {"CONTENT_TYPE": "multipart/mixed; boundary=x"}, "Content-Type: expected multipart/form-data"),
        ([], {"CONTENT_TYPE": "multipart/form-data"}, "no multipart form, or one that ends early"),
        ([('name="a"', "b")], {"end": ""}, "no multipart form, or one that ends early"),
        ([(f'name="{number}"', "x") for number in range(101)], {}, "more than 100 parameters"),
    ],
)
def test_a_multipart_form_that_cannot_be_read_is_refused_by_its_name(
    client: WsgiClient, fields: Any, environ: Any, words: str
) -> None:
    answer = multipart(client, "/status", *fields, **environ)
    assert answer.status == 400 and answer.json["message"].startswith(words)


# The queue


def test_a_request_whose_archive_is_in_the_cache_is_fast(tmp_path: Path, api: CkanApi) -> None:
    client = WsgiClient(tmp_path)
    parameters = {**ROWS, "api_url": api.api_url}
    queues = []
    for email in ("ann@example.org", "bob@example.org"):
        id = client.post("/package_datastore", **{**parameters, "email": email}).json["job"]
        queues.append(client.jobs()[id].queue)
        client.workspace.work()
    other = client.post("/package_datastore", **parameters, q="n1").json["job"]
    assert [*queues, client.jobs()[other].queue] == ["slow", "fast", "slow"]
    client.post("/clear_caches")
    again = client.post("/package_datastore", **parameters).json["job"]
    assert client.jobs()[again].queue == "slow"


def test_a_store_that_cannot_be_read_refuses_no_request(client: WsgiClient) -> None:
    store = client.workspace.directory / "store"
    store.write_text("no directory")
    id = client.post("/package_datastore", **ROWS).json["job"]
    assert client.jobs()[id].queue == "slow"


def test_queue_of_the_command_line_knows_the_cache_too(workspace: Workspace) -> None:
    with small_ckan() as api:
        words = ["-D", "package_datastore", f"api_url:{api.api_url}", "resource_id:r", "email:ann@example.org"]
        workspace.run("queue", *words)
        workspace.work()
        workspace.run("queue", *words)
    assert workspace.where() == {"done": 1, "fast": 1}
