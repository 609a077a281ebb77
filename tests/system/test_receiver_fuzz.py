"""The porch under random requests: never an internal error, never a job without its 200 nor a 200 without its job."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.wsgi_client import REQUESTS, SECRET, Answer, WsgiClient, call

from ckanpackager.jobs.request import TASKS
from ckanpackager.receiver.handlers import HANDLERS

ID = re.compile(r"[0-9]{8}T[0-9]{12}-[0-9a-f]{32}")
OUTSIDE = {"ckanpackager.yaml", "spool", "store", "stats.db", "stats.db-wal", "stats.db-shm"}
STATUSES = {200, 400, 401, 404, 405, 411, 413}
FUZZ = settings(
    max_examples=200,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

tasks = [f"/{task}" for task in TASKS]
known_paths = [*HANDLERS, "/jobs/x", "/jobs/"]
names = sorted({name for kind in TASKS.values() for name in kind.__struct_fields__} | {"job", "secret"})
texts = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["", "0", "-1", "1", "9" * 30, "1e400", "null", "true", "../../x", "a@b.cd", "http://a/", "{}", "[]"]
    ),
    st.sampled_from(
        ["[" * 999, '{"a":' * 300, "\0", "a\r\nX: y", "<script>", "{resource_id}", "%s", "$(id)", "http://[::1"]
    ),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts, st.just(2**63), st.just(10**400)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)
near_names = st.one_of(st.sampled_from(names), st.sampled_from(names).map(lambda name: name[:-1]), texts)


@st.composite
def parameters(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> dict[str, Any]:
    """A good request of some task, or none, with some of its parameters made anything."""
    known = dict(draw(st.sampled_from([*REQUESTS.values(), {}])))
    known |= {"secret": SECRET} if draw(st.integers(0, 9)) else {}
    return known | draw(st.dictionaries(near_names, values, max_size=3))


bodies = st.one_of(
    parameters(texts).map(lambda known: urlencode(known, errors="surrogatepass").encode()),
    parameters(values).map(lambda known: json.dumps(known).encode()),
    parameters(values).map(lambda known: json.dumps(known, ensure_ascii=False).encode(errors="surrogatepass")),
    parameters(values).map(lambda known: quote(json.dumps(known)).encode()),
    st.binary(max_size=200),
    st.from_regex(rb"\A(secret=|\{|%7[bB]|%|&|=|;|\+|\"|:|[0-9a-f]{2}|\xff){0,30}\Z"),
)


@st.composite
def damaged(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> bytes:
    """A body, often with a piece cut out or put in."""
    body = draw(bodies)
    if not draw(st.booleans()):
        return body
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(body))] * 2)))
    return body[:start] + draw(st.binary(max_size=4)) + body[end:]


paths = st.one_of(
    st.sampled_from(known_paths),
    st.sampled_from(known_paths).flatmap(
        lambda path: st.binary(max_size=20).map(lambda end: path + end.decode("latin-1"))
    ),
    st.binary(max_size=30).map(lambda path: "/" + path.decode("latin-1")),
    st.just(""),
)
methods = st.one_of(st.just("POST"), st.sampled_from(["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "X"]))
header = st.one_of(st.none(), st.binary(max_size=30).map(lambda value: value.decode("latin-1")))
headers = st.fixed_dictionaries(
    {},
    optional={
        "CONTENT_LENGTH": st.one_of(header, st.integers(-1, 10**20).map(str), st.integers(0, 300).map(str)),
        "CONTENT_TYPE": header,
        "HTTP_ACCEPT": st.one_of(header, st.just("application/json")),
        "HTTP_TRANSFER_ENCODING": st.one_of(header, st.just("chunked")),
        "wsgi.input_terminated": st.booleans(),
        "QUERY_STRING": header,
        "HTTP_HOST": header,
    },
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> WsgiClient:
    return WsgiClient(tmp_path_factory.mktemp("fuzz"), max_request_size=2048)


def waiting(client: WsgiClient) -> Iterator[Path]:
    for queue in ("fast", "slow"):
        yield from (client.spool / queue).iterdir()


def check(client: WsgiClient, path: str, answer: Answer, head: bool = False) -> None:
    """The rules that no request may break."""
    assert answer.status in STATUSES, answer
    assert b"Traceback" not in answer.body
    for name, value in answer.headers.items():
        assert (name + value).isprintable()
    if not head and answer.headers["Content-Type"] == "application/json":
        assert answer.json["success"] is (answer.status == 200)
        assert answer.json["status"] == ("success" if answer.status == 200 else "failed")
        if answer.status != 200:
            assert answer.json["message"] == answer.json["msg"] != ""
    jobs = list(waiting(client))
    if answer.status == 200 and path.rstrip("/") in tasks:
        (job,) = jobs
        assert ID.fullmatch(answer.json["job"])
        assert job.name == f"{answer.json['job']}.json"
        assert client.workspace.find(answer.json["job"])[1].request.task == path.strip("/")
        page = call(client.application, f"/jobs/{answer.json['job']}")
        assert (page.status, b"<script" in page.body) == (200, False)
    else:
        assert jobs == []
    assert not list((client.spool / "tmp").iterdir())
    assert {entry.name for entry in client.workspace.directory.iterdir()} <= OUTSIDE
    for path_of_job in jobs:
        path_of_job.unlink()


@FUZZ
@given(paths, methods, headers, damaged(bodies))
@example("/package_datastore", "POST", {}, b'{"secret": ' + b"[" * 970 + b"]" * 970 + b"}")
@example("/status", "POST", {"CONTENT_LENGTH": "0" * 5000 + "5"}, b"")
def test_anything(client: WsgiClient, path: str, method: str, headers: dict[str, Any], body: bytes) -> None:
    environ = {"REQUEST_METHOD": method, "CONTENT_LENGTH": str(len(body)), **headers}
    check(client, path, call(client.application, path, body, validate=False, **environ), method == "HEAD")


@FUZZ
@given(st.sampled_from(tasks), st.one_of(bodies, damaged(bodies)))
def test_tasks(client: WsgiClient, path: str, body: bytes) -> None:
    environ = {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(body))}
    check(client, path, call(client.application, path, body, **environ))


@settings(FUZZ, max_examples=60)
@given(st.sampled_from([path for path in HANDLERS if path not in tasks]), parameters(values))
def test_questions(client: WsgiClient, path: str, known: dict[str, Any]) -> None:
    body = json.dumps(known).encode()
    check(client, path, call(client.application, path, body, REQUEST_METHOD="POST", CONTENT_LENGTH=str(len(body))))


@FUZZ
@given(st.sampled_from(tasks), st.sampled_from(sorted(set(names) - {"secret", "job"})), values)
def test_one_parameter(client: WsgiClient, path: str, name: str, value: Any) -> None:
    """A good request with one parameter made anything: refused by its name, or spooled as it is."""
    known = {"secret": SECRET, **REQUESTS[path.strip("/")], name: value}
    body = json.dumps(known).encode()
    answer = call(client.application, path, body, REQUEST_METHOD="POST", CONTENT_LENGTH=str(len(body)))
    check(client, path, answer)
    if answer.status == 400 and "neither form fields nor" not in answer.json["message"]:
        assert name in answer.json["message"]
