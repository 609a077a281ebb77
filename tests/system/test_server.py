"""`ckanpackager serve` as a real process: requests, archives, and its end."""

import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request, urlopen

import pytest
from support.workspace import PATIENCE, Workspace, until
from support.wsgi_client import REQUESTS, SECRET, call, serving

from ckanpackager.receiver.server import THREADS, with_archives

DIRECTORY = "0123456789abcdef" * 2 + "-" + "fedcba9876543210" * 2
FILE = "beetles-2026-11-24.zip"
NAME = f"{DIRECTORY}/{FILE}"
BIG = "b" * 32 + "-" + "0" * 32 + "/big-2026-11-24.zip"
EXPIRED = "e" * 32 + "-" + "0" * 32
NAMED = "named/gbif-specimens.zip"
CONTENT = bytes(range(256)) * 1000
SIZE = len(CONTENT)
HUGE = 64 * 1024 * 1024  # more than a server and the sockets keep in memory
LONG = "bytes=" + "9" * 5000 + "-"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Running(NamedTuple):
    workspace: Workspace
    address: str

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> http.client.HTTPResponse:
        """One request on a connection of its own, its path as it is; the answer has been read."""
        connection = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=30)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(connection):
            connection.request(method, path, body or None, names)
            answer = connection.getresponse()
            content = answer.read()
        answer.read = lambda amt=None: content  # type: ignore[method-assign]
        return answer

    def raw(self, *lines: str, body: bytes = b"") -> bytes:
        """What comes back for exactly these lines."""
        parts = urlsplit(self.address)
        with socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=30) as connection:
            connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def spooled(self) -> set[str]:
        spool = self.workspace.spool
        return {job.id for queue in ("fast", "slow") for job in spool.jobs(queue)}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    workspace = Workspace(tmp_path_factory.mktemp("served"), secret=SECRET, max_request_size=4096)
    store = workspace.store.directory
    for name in (NAME, NAMED, BIG):
        (store / name).parent.mkdir()
        (store / name).write_bytes(CONTENT)
    with (store / BIG).open("wb") as file:
        file.truncate(HUGE)
    (store / DIRECTORY / ".about.json").write_text("{}")
    (store / f".{DIRECTORY}.part").mkdir()
    (store / f".{DIRECTORY}.part" / "archive.zip").write_text("half")
    (store / "other.zip").write_text("no archive")
    (store / ("a" * 32 + "-" + "b" * 32) / "directory.zip").mkdir(parents=True)
    (store / ".expired").mkdir()
    (store / ".expired" / EXPIRED).touch()
    with serving(workspace) as address:
        yield Running(workspace, address)


# --- requests


def test_a_form(running: Running) -> None:
    before = running.spooled()
    body = urlencode({"secret": SECRET, **REQUESTS["package_datastore"]}).encode()
    answer = running.ask("POST", "/package_datastore", body, **FORM)
    said = json.loads(answer.read())
    assert (answer.status, said["status"]) == (200, "success")
    assert said["job"] in running.spooled() - before
    page = running.ask("GET", f"/jobs/{said['job']}")
    assert (page.status, b"Your request is waiting" in page.read()) == (200, True)


def test_the_example_of_the_original(running: Running) -> None:
    """Its README's, as Python 3 has it."""
    request = Request(f"{running.address}/package_datastore")
    values = {
        "secret": SECRET,
        "api_url": "http://ckan.example.com/api/action/datastore_search",
        "resource_id": "r",
        "email": "recipient@example.com",
        "filters": json.dumps({"somefield": "somevalue"}),
        "q": "a search",
        "offset": 1000,
        "limit": 1000000,
        "key": "...",
    }
    response = urlopen(request, quote(json.dumps(values)).encode(), timeout=30)
    result = json.loads(response.read())
    response.close()
    assert result["success"] is True
    folder, job = running.workspace.find(result["job"])
    assert (folder, job.request.email) == ("slow", "recipient@example.com")


def test_refusals(running: Running) -> None:
    with pytest.raises(HTTPError) as caught:
        urlopen(f"{running.address}/status", b"secret=wrong", timeout=30)
    with caught.value as answer:
        assert (answer.code, json.loads(answer.read())["error"]) == (401, "Unauthorized")
    answer = running.ask("GET", "/status")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert running.ask("GET", "/nothing").status == 404
    assert running.ask("POST", "/status", b"x" * 4097).status == 413
    assert running.ask("POST", "/status", b"x" * 4098).status == 413
    assert "Server" not in answer.headers


def test_a_chunked_body(running: Running) -> None:
    body = urlencode({"secret": SECRET, **REQUESTS["package_url"]}).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:10], body[10:])) + b"0\r\n\r\n"
    head = ("POST /package_url HTTP/1.1", "Host: x", "Transfer-Encoding: chunked")
    answer = running.raw(*head, body=chunks)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    found = re.search(rb'"job":"([^"]+)"', answer)
    assert found
    assert found[1].decode() in running.spooled()
    huge = b"%x\r\n" % 5000 + b"x" * 5000 + b"\r\n0\r\n\r\n"
    assert running.raw(*head, body=huge).startswith(b"HTTP/1.1 413 ")


def test_keep_alive(running: Running) -> None:
    connection = http.client.HTTPConnection(urlsplit(running.address).netloc, timeout=30)
    with closing(connection):
        sockets = set()
        for path in ("/status", "/nothing", f"/archives/{NAME}", "/status"):
            connection.request("POST" if path == "/status" else "GET", path, b"secret=x")
            assert connection.getresponse().read()
            sockets.add(id(connection.sock))
    assert len(sockets) == 1


# --- archives


def test_an_archive(running: Running) -> None:
    answer = running.ask("GET", f"/archives/{NAME}")
    assert (answer.status, answer.read() == CONTENT) == (200, True)
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Length"] == str(SIZE)
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{FILE}"'
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    modified = (running.workspace.store.directory / NAME).stat().st_mtime
    assert parsedate_to_datetime(answer.headers["Last-Modified"]).timestamp() == int(modified)


def test_the_head_of_an_archive(running: Running) -> None:
    whole, head = (running.ask(method, f"/archives/{NAME}", Range="bytes=0-9") for method in ("GET", "HEAD"))
    assert (head.status, head.read(), head.headers["Content-Length"]) == (200, b"", str(SIZE))
    assert head.headers["ETag"] == whole.headers["ETag"]


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=1000-1999", 1000, 1999),
        (" bytes=1000-1999 ", 1000, 1999),
        ("Bytes=255000-", 255_000, SIZE - 1),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
        ("bytes=5-99999999999", 5, SIZE - 1),
        ("bytes=-1", SIZE - 1, SIZE - 1),
        ("bytes=-500", SIZE - 500, SIZE - 1),
        ("bytes=-99999999999", 0, SIZE - 1),
    ],
)
def test_a_part(running: Running, wanted: str, first: int, last: int) -> None:
    answer = running.ask("GET", f"/archives/{NAME}", Range=wanted)
    assert (answer.status, answer.headers["Content-Range"]) == (206, f"bytes {first}-{last}/{SIZE}")
    assert answer.headers["Content-Length"] == str(last - first + 1)
    assert answer.read() == CONTENT[first : last + 1]


@pytest.mark.parametrize("wanted", [f"bytes={SIZE}-", "bytes=999999999-9999999999", "bytes=-0"])
def test_a_part_that_is_not_there(running: Running, wanted: str) -> None:
    answer = running.ask("GET", f"/archives/{NAME}", Range=wanted)
    assert (answer.status, answer.headers["Content-Range"], answer.read()) == (416, f"bytes */{SIZE}", b"")


@pytest.mark.parametrize(
    "wanted", ["bytes=0-9,20-29", "bytes=9-0", "bytes=-", "bytes=a-b", "rows=0-9", "0-9", "", LONG]
)
def test_what_is_no_range_gets_the_whole(running: Running, wanted: str) -> None:
    answer = running.ask("GET", f"/archives/{NAME}", Range=wanted)
    assert (answer.status, answer.headers["Content-Range"], answer.read() == CONTENT) == (200, None, True)


def test_if_range(running: Running) -> None:
    tag = str(running.ask("HEAD", f"/archives/{NAME}").headers["ETag"])
    for value, status in ((tag, 206), ('"other"', 200), (f"W/{tag}", 200), ("Sat, 01 Jan 2000 00:00:00 GMT", 200)):
        answer = running.ask("GET", f"/archives/{NAME}", Range="bytes=0-9", If_Range=value)
        assert (answer.status, len(answer.read())) == (status, 10 if status == 206 else SIZE)


def test_if_none_match(running: Running) -> None:
    tag = str(running.ask("HEAD", f"/archives/{NAME}").headers["ETag"])
    for value in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        for method in ("GET", "HEAD"):
            answer = running.ask(method, f"/archives/{NAME}", If_None_Match=value, Range="bytes=0-9")
            assert (answer.status, answer.read(), answer.headers["ETag"]) == (304, b"", tag)
    assert running.ask("GET", f"/archives/{NAME}", If_None_Match='"other"').status == 200


def test_if_modified_since_is_heeded_unless_there_is_an_entity_tag(running: Running) -> None:
    date = str(running.ask("HEAD", f"/archives/{NAME}").headers["Last-Modified"])
    for method in ("GET", "HEAD"):
        answer = running.ask(method, f"/archives/{NAME}", If_Modified_Since=date)
        assert (answer.status, answer.read()) == (304, b"")
    for value in ("Sat, 01 Jan 2000 00:00:00 GMT", "yesterday", ""):
        assert running.ask("GET", f"/archives/{NAME}", If_Modified_Since=value).status == 200
    assert running.ask("GET", f"/archives/{NAME}", If_Modified_Since=date, If_None_Match='"other"').status == 200


def test_a_named_package_has_another_entity_tag_once_it_was_replaced(running: Running) -> None:
    path, link = running.workspace.store.directory / NAMED, f"/archives/{NAMED}"
    before = running.ask("GET", link)
    tag, date = str(before.headers["ETag"]), str(before.headers["Last-Modified"])
    assert running.ask("GET", link, If_None_Match=tag).status == 304
    aside = path.with_name(".new")
    aside.write_bytes(CONTENT[::-1])
    os.utime(aside, (path.stat().st_mtime + 5,) * 2)
    os.rename(aside, path)
    after = running.ask("GET", link, If_None_Match=tag, If_Modified_Since=date)
    assert (after.status, after.read() == CONTENT[::-1], after.headers["ETag"] != tag) == (200, True, True)
    part = running.ask("GET", link, Range="bytes=0-9", If_Range=tag)
    assert (part.status, len(part.read())) == (200, SIZE)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_archive_that_has_expired_is_gone_with_a_page_that_says_so(running: Running, method: str) -> None:
    answer = running.ask(method, f"/archives/{EXPIRED}/beetles-2020-01-01.zip", Accept="text/html")
    assert (answer.status, answer.headers["Content-Type"]) == (410, "text/html; charset=utf-8")
    assert (b"no longer available" in answer.read()) is (method == "GET")
    said = json.loads(running.ask("GET", f"/archives/{EXPIRED}/x.zip", Accept="application/json").read())
    assert (said["status"], said["error"], said["state"]) == ("failed", "Gone", "expired")


@pytest.mark.parametrize(
    "path",
    [
        "/archives",
        "/archives/",
        "/archives/.",
        "/archives//",
        f"/archives/{DIRECTORY}",
        f"/archives/{DIRECTORY}/",
        f"/archives/{DIRECTORY}/.about.json",
        f"/archives/{DIRECTORY}/other.zip",
        f"/archives/{DIRECTORY}/../other.zip",
        f"/archives/.{DIRECTORY}.part/archive.zip",
        f"/archives/.expired/{EXPIRED}",
        f"/archives/{NAME}/",
        f"/archives/{NAME}%00",
        f"/archives/{NAME.upper()}",
        f"/archives/{NAME}.json",
        f"/archives/./{NAME}",
        f"/archives//{NAME}",
        f"/archives/{DIRECTORY}%2F{FILE}x",
        "/archives/other.zip",
        "/archives/named",
        "/archives/named/",
        "/archives/named/other.zip",
        "/archives/named/.gbif-specimens.json",
        "/archives/named/../other.zip",
        "/archives/" + "a" * 32 + "-" + "b" * 32 + "/directory.zip",
        "/archives/" + "a" * 32 + "-" + "c" * 32 + "/nothing.zip",
        "/archives/../ckanpackager.yaml",
        "/archives/..%2fckanpackager.yaml",
        "/archives/%2e%2e/ckanpackager.yaml",
        "/archives/..%5cckanpackager.yaml",
        "/archives/%c0%ae%c0%ae/ckanpackager.yaml",
        "/archives//etc/passwd",
        "/archives/%2fetc%2fpasswd",
        f"/store/{NAME}",
    ],
)
def test_nothing_but_archives(running: Running, path: str) -> None:
    answer = running.ask("GET", path)
    said = json.loads(answer.read())
    assert (answer.status, said["status"], said["error"]) == (404, "failed", "Not Found")


def test_an_archive_is_only_read(running: Running) -> None:
    for method in ("POST", "PUT", "DELETE"):
        answer = running.ask(method, f"/archives/{NAME}", b"x")
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert (running.workspace.store.directory / NAME).read_bytes() == CONTENT


def test_slow_readers_do_not_block_others(running: Running) -> None:
    """More of them than the server has threads, each with more than sockets hold."""
    parts = urlsplit(running.address)
    with ExitStack() as stack:
        for _ in range(THREADS + 2):
            reader = stack.enter_context(socket.create_connection((str(parts.hostname), int(parts.port or 0)), 30))
            reader.sendall(f"GET /archives/{BIG} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert reader.recv(12) == b"HTTP/1.1 200"
        assert running.ask("POST", "/status", b"secret=x").status == 401


def test_a_large_archive_is_whole(running: Running) -> None:
    with urlopen(Request(f"{running.address}/archives/{BIG}", headers={"Range": "bytes=7-"}), timeout=30) as answer:
        assert sum(len(block) for block in iter(lambda: answer.read(1 << 20), b"")) == HUGE - 7


def test_without_a_file_wrapper(running: Running) -> None:
    """Servers need not have one."""
    application = with_archives(lambda *_: [], running.workspace.store.directory)
    answer = call(application, f"/archives/{NAME}", HTTP_RANGE="bytes=10-300000", **{"wsgi.file_wrapper": None})
    assert (answer.status, answer.body) == (206, CONTENT[10:])
    answer = call(application, f"/archives/{BIG}", **{"wsgi.file_wrapper": None})
    assert (answer.status, len(answer.body)) == (200, HUGE)


# --- beginning and end


@contextmanager
def started(workspace: Workspace, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = workspace.start("serve", "--port", "0", *words)
    try:
        assert process.stderr
        yield process, process.stderr.readline()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_promptly_and_requests_at_hand_are_answered(tmp_path: Path, number: int) -> None:
    workspace = Workspace(tmp_path, secret=SECRET)
    workspace.totals()
    with started(workspace) as (process, said):
        running = Running(workspace, said.split()[-1].rstrip("/"))
        idle = http.client.HTTPConnection(urlsplit(running.address).netloc, timeout=30)
        idle.request("POST", "/status", b"secret=x")
        assert idle.getresponse().read()
        answers: list[http.client.HTTPResponse] = []
        with closing(sqlite3.connect(tmp_path / "stats.db")) as database:
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = DELETE")
            database.execute("BEGIN EXCLUSIVE")  # statistics wait for its end
            body = f"secret={quote(SECRET)}".encode()
            asking = threading.Thread(target=lambda: answers.append(running.ask("POST", "/statistics", body)))
            asking.start()
            until(lambda: opened(process.pid, tmp_path / "stats.db"))
            begun = time.monotonic()
            process.send_signal(number)
            until(lambda: len(os.listdir(f"/proc/{process.pid}/task")) == 2)  # the idle threads are gone
        asking.join(PATIENCE)
        assert [answer.status for answer in answers] == [200]
        assert process.wait(PATIENCE) == 0
        assert time.monotonic() - begun < 10
        assert process.communicate()[1].splitlines() == [
            "ckanpackager: 401 POST /status from 127.0.0.1: the secret is wrong or missing"
        ]
        idle.close()


def opened(pid: int, path: Path) -> bool:
    """Whether a process has a file open."""
    folder = Path(f"/proc/{pid}/fd")
    return any(os.path.realpath(entry) == str(path.resolve()) for entry in folder.iterdir())


def test_a_port_in_use(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, secret=SECRET)
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        run = workspace.run("serve", "--port", str(port))
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.count("\n") == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in run.stderr


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "a b"])
def test_a_host_that_is_not_here(tmp_path: Path, host: str) -> None:
    run = Workspace(tmp_path, secret=SECRET).run("serve", "--host", host, "--port", "0")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.count("\n") == 1
    assert f"cannot listen on {host}" in run.stderr


def test_a_name_of_this_host(tmp_path: Path) -> None:
    """localhost may be two addresses; each is said, and answers."""
    with started(Workspace(tmp_path, secret=SECRET, host="localhost")) as (_process, said):
        assert re.fullmatch(r"ckanpackager answers on http://(127\.0\.0\.1|\[::1\]):\d+/\n", said)
        address = said.split()[-1]
        with pytest.raises(HTTPError) as caught:
            urlopen(f"{address}status", b"secret=x", timeout=30)
        with caught.value as answer:
            assert answer.code == 401


@pytest.mark.parametrize(
    ("secret", "words"), [(None, "secret: missing"), ("change-me", "secret: this one is published")]
)
def test_no_secret_no_server(tmp_path: Path, secret: Any, words: str) -> None:
    run = Workspace(tmp_path, secret=secret).run("serve", "--port", "0")
    assert (run.returncode, run.stdout) == (2, "")
    assert words in run.stderr
    assert "Traceback" not in run.stderr
