"""Apache and nginx, with the very files of contrib/: from a portal's request to the archive that is downloaded."""

import base64
import http.client
import io
import json
import re
import stat
import zipfile
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urljoin, urlsplit
from urllib.request import Request, urlopen

import pytest
from support.web_servers import (
    AS_ROOT,
    DOORS,
    Prefix,
    Site,
    apache_cgi,
    is_installed,
    open_directory,
    prefix,
    require,
    running,
)
from support.workspace import until

from ckanpackager.demo.ckan_api import CkanApi, Resource

INSTALLED = [way for way in DOORS if is_installed(way)]
if not INSTALLED:
    packages = "apache2-bin fcgiwrap libapache2-mod-wsgi-py3 nginx"
    pytest.skip(f"no web server is installed (Debian: {packages})", allow_module_level=True)

SECRET = "an open sesame of this test"
MOST = 2 * 1024 * 1024
KEY = "a-portal-key"
CSV = "_id,somefield,words,rank\n"  # a search by text adds its rank
DIRECTORY = "0123456789abcdef" * 2 + "-" + "fedcba9876543210" * 2
FILE = "beetles-2026-11-24.zip"
NAME = f"{DIRECTORY}/{FILE}"
NAMED = "named/gbif-specimens.zip"
EXPIRED = "e" * 32 + "-" + "0" * 32
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers.get_all("Content-Type") == ["application/json"], self.body
        return json.loads(self.body)


class Door(NamedTuple):
    """A site, and where it is reached."""

    site: Site
    address: str

    def ask(
        self, method: str, path: str, body: bytes | None = None, *, source: str = "127.0.0.1", **headers: str
    ) -> Answer:
        """One request, its path as it is."""
        host, come_from = urlsplit(self.address).netloc, (source, 0)
        with closing(http.client.HTTPConnection(host, timeout=30, source_address=come_from)) as connection:
            connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())

    def post(self, path: str, **values: Any) -> Answer:
        return self.ask("POST", path, urlencode(values).encode(), **FORM)

    def example(self, path: str, **values: Any) -> Any:
        """As the original's documentation calls: quoted JSON, under the type that urllib gives every body."""
        request = Request(f"{self.address}{path}", data=quote(json.dumps(values)).encode())
        with urlopen(request, timeout=30) as response:
            assert response.status == 200
            return json.load(response)


@pytest.fixture(scope="module")
def installed() -> Iterator[Prefix]:
    with prefix() as found:
        yield found


@pytest.fixture(scope="module", params=INSTALLED)
def door(request: pytest.FixtureRequest, installed: Prefix) -> Iterator[Door]:
    with open_directory() as directory:
        hosts = {"trusted_proxies": ["127.0.0.1"], "metrics_hosts": [PROMETHEUS]}
        site = Site(installed, directory, secret=SECRET, max_request_size=MOST, **hosts)
        with running(site, DOORS[request.param]) as address:
            yield Door(site, address)
        assert "Traceback" not in site.log()


@pytest.fixture
def ckan() -> Iterator[CkanApi]:
    fields = [{"id": "_id", "type": "int"}, {"id": "somefield", "type": "text"}, {"id": "words", "type": "text"}]
    rows = [[number, "somevalue" if number % 2 else "other", f"to search {number}"] for number in range(1, 11)]
    table = Resource(fields, rows)
    with CkanApi({"t": table}, files={"map.pdf": b"a map", "list.txt": b"a list"}, key=KEY) as api:
        yield api


def accepted(answer: Any) -> str:
    """The id of the job, of a reply with the original's documented names and its actual ones."""
    assert (answer["success"], answer["status"]) == (True, "success")
    assert answer["msg"] == answer["message"] != ""
    assert isinstance(answer["job"], str)
    return answer["job"]


@pytest.mark.parametrize("way", DOORS)
def test_every_way_is_tried_here(way: str) -> None:
    require(way)
    assert way in INSTALLED


def test_what_portals_send_ends_in_archives_that_can_be_downloaded(door: Door, ckan: CkanApi) -> None:
    examples = examples_of_the_original(door, ckan)
    extension = requests_of_the_ckan_extension(door, ckan)
    done = door.site.command("process")
    assert (done.returncode, done.stderr) == (0, "")
    found = [f"{CSV}3,somevalue,to search 3,0.0573\n", f"{CSV}8,other,to search 8,0.0573\n6,other,to search 6,0.0573\n"]
    expected = {
        examples[0]: ("recipient@example.com", "resource.csv", found[0]),
        examples[1]: ("recipient@example.com", "map.pdf", "a map"),
        extension[0]: ("ann@example.org", "resource.csv", found[1]),
        extension[1]: ("ann@example.org", "list.txt", "a list"),
    }
    for id, (email, name, content) in expected.items():
        link = link_mailed_at(door, id, email)
        archive = door.ask("GET", urlsplit(link).path)
        assert archive.status == 200
        with zipfile.ZipFile(io.BytesIO(archive.body)) as opened:
            assert {entry: opened.read(entry).decode() for entry in opened.namelist()} == {name: content}
    counted = door.post("/statistics/requests", secret=SECRET, limit=100, offset=0, email="ann@example.org").json
    assert [entry["resource_id"] for entry in counted["requests"]] == ["t", "t"]


def examples_of_the_original(door: Door, ckan: CkanApi) -> list[str]:
    """The three calls that its README shows, in Python 3; the ids of the jobs."""
    status = door.example("/status", secret=SECRET)
    assert (status["success"], status["worker_count"], status["processed_requests"]) == (True, 0, 0)
    rows = door.example(
        "/package_datastore",
        secret=SECRET,
        api_url=ckan.api_url,
        resource_id="t",
        email="recipient@example.com",
        filters=json.dumps({"somefield": "somevalue"}),
        q="search 3",
        offset=0,
        limit=1000000,
        key=KEY,
    )
    file = door.example(
        "/package_url",
        secret=SECRET,
        resource_id="t",
        resource_url=f"{ckan.url}/files/map.pdf",
        email="recipient@example.com",
        key=KEY,
    )
    return [accepted(rows), accepted(file)]


def requests_of_the_ckan_extension(door: Door, ckan: CkanApi) -> list[str]:
    """What ckanext-ckanpackager 2.2 posts, for a resource with rows and for one without; the ids of the jobs."""
    common = {"secret": SECRET, "resource_id": "t", "email": "ann@example.org", "format": "csv", "key": KEY}
    rows = door.post(
        "/package_datastore",
        **common,
        api_url=ckan.api_url,
        resource_url=f"{ckan.url}/files/list.txt",
        filters=json.dumps({"somefield": ["other"]}),
        q="to search",
        sort="_id desc",
        offset="1",
        limit="2",
    )
    file = door.post("/package_url", **common, resource_url=f"{ckan.url}/files/list.txt")
    assert (rows.status, file.status) == (200, 200)
    return [accepted(rows.json), accepted(file.json)]


def link_mailed_at(door: Door, id: str, email: str) -> str:
    """The link of the one mail about a job, which is done."""
    folder, job = door.site.workspace.find(id)
    assert folder == "done" and job.archive
    link = f"{door.address}/archives/{job.archive.name}"
    to = [mail["To"] for mail in door.site.workspace.mails if link in mail.get_body(("plain",)).get_content()]  # type: ignore[union-attr]
    assert to == [email]
    return link


@pytest.mark.parametrize("name", [NAME, NAMED])
def test_an_archive_is_sent_as_a_file_to_keep(door: Door, name: str) -> None:
    put(door, name, "0123456789")
    whole = door.ask("GET", f"/archives/{name}?from=mail")
    assert (whole.status, whole.body) == (200, b"0123456789")
    assert whole.headers.get_all("Content-Type") == ["application/zip"]
    assert whole.headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert [value.partition(";")[0] for value in whole.headers.get_all("Content-Disposition", [])] == ["attachment"]
    part = door.ask("GET", f"/archives/{name}", Range="bytes=7-")
    assert (part.status, part.headers["Content-Range"], part.body) == (206, "bytes 7-9/10", b"789")
    head = door.ask("HEAD", f"/archives/{name}")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "10", b"")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_who_has_an_archive_already_is_told_so(door: Door, method: str) -> None:
    put(door, NAMED, "0123456789")
    head = door.ask("HEAD", f"/archives/{NAMED}")
    for header, known in (("If_None_Match", "ETag"), ("If_Modified_Since", "Last-Modified")):
        answer = door.ask(method, f"/archives/{NAMED}", **{header: str(head.headers[known])})
        assert (answer.status, answer.body) == (304, b"")


def test_an_archive_that_has_expired_is_known_to_the_receiver(door: Door) -> None:
    put(door, f".expired/{EXPIRED}", "")
    gone = door.ask("GET", f"/archives/{EXPIRED}/beetles-2020-01-01.zip", Accept="text/html")
    assert (gone.status, b"no longer available" in gone.body) == (410, True)
    assert door.ask("GET", f"/archives/{'a' * 32}-{'b' * 32}/x.zip").json["error"] == "Not Found"
    assert door.ask("GET", "/archives/named/nothing.zip").json["error"] == "Not Found"


def test_nothing_but_archives_is_served(door: Door) -> None:
    key = DIRECTORY[:32]
    others = (f".{DIRECTORY}.part/archive.zip", f".{key}.lock", f".{key}.newest", f"{NAME}.txt", "other.zip")
    others += (f"{DIRECTORY}/.about.json", "named/.gbif-specimens.json", f".expired/{EXPIRED}", "a.txt", "named/a.txt")
    for name in (NAME, NAMED, *others):
        put(door, name, "in the store")
    paths = ["/archives", "/archives/", "/archives/.", "/archives/*.zip", "/archives/?C=M", f"/store/{NAME}"]
    paths += [f"/archives/{quote(name)}" for name in others] + [f"/archives/%2e{name[1:]}" for name in others]
    paths += [f"/archives/{DIRECTORY}", f"/archives/{DIRECTORY}/", "/archives/named", "/archives/named/"]
    paths += [f"/archives/{NAME}/", f"/archives/{NAME}%00", f"/archives/{NAME}%0a", f"/archives/x{NAME}", f"/{NAME}"]
    paths += [f"/archives/{NAME.upper()}", f"/archives/{'a' * 32}-{'b' * 32}/x.zip", "/archives/named/../other.zip"]
    for file in ("ckanpackager.yaml", "store/", "ckanpackager.cgi"):
        paths += [f"/{file}", f"/archives/../{file}", f"/archives/%2e%2e/{file}", f"/archives/..%2f{file}"]
        paths += [f"/cgi/{file}", f"/archives//{door.site.directory}/{file}"]
    for path in paths:
        answer = door.ask("GET", path)
        assert answer.status in (400, 404), path
        for shown in (b"in the store", SECRET.encode(), b"SQLite", b"import", b"Index of", b"href"):
            assert shown not in answer.body, path


def test_an_archive_is_only_read(door: Door) -> None:
    put(door, NAME, "0123456789")
    for method in ("POST", "PUT", "DELETE"):
        assert door.ask(method, f"/archives/{NAME}", b"x").status in (403, 404, 405)
    assert (door.site.directory / "store" / NAME).read_text() == "0123456789"


def put(door: Door, name: str, text: str) -> None:
    """A file that the web server may read, in the store."""
    path = door.site.directory / "store" / name
    path.parent.mkdir(exist_ok=True)
    path.parent.chmod(0o2775)
    path.write_text(text)
    path.chmod(0o644)


@pytest.mark.parametrize("given", [{}, {"secret": "x"}, {"secret": SECRET.upper()}], ids=["none", "wrong", "capitals"])
def test_the_wrong_secret_is_refused(door: Door, given: dict[str, str]) -> None:
    for path in ("/status", "/package_datastore", "/clear_caches"):
        answer = door.post(path, **given)
        assert (answer.status, answer.json["status"], answer.json["success"]) == (401, "failed", False)
        assert answer.json["message"] == answer.json["msg"] == "the secret is wrong or missing"


@pytest.mark.parametrize("more", [1, MOST // 2])
def test_a_request_that_is_too_large_is_refused_in_json(door: Door, more: int) -> None:
    answer = door.ask("POST", "/status", b"x" * (MOST + more), **FORM)
    assert (answer.status, answer.json["message"]) == (413, f"a request may have {MOST} bytes")
    assert door.ask("POST", "/nowhere", b"x" * MOST, **FORM).json["error"] == "Not Found"
    assert door.ask("POST", "/status", b"x" * MOST, **FORM).status == 401  # not refused for its size


def test_what_the_web_server_refuses_itself_is_too_large_as_well(door: Door) -> None:
    connection = http.client.HTTPConnection(urlsplit(door.address).netloc, timeout=30)
    with closing(connection):
        connection.putrequest("POST", "/status")
        connection.putheader("Content-Length", str(10**9))  # of which not one byte need be sent
        connection.endheaders()
        assert connection.getresponse().status == 413


def test_the_receivers_other_answers_come_through(door: Door, ckan: CkanApi) -> None:
    sent = {"secret": SECRET, "api_url": ckan.api_url, "resource_id": "t", "email": "äöü@example.org", "limit": 1}
    answer = door.post("/package_datastore", **sent).json
    assert answer["status_url"] == f"{door.address}/jobs/{answer['job']}"
    page = door.ask("GET", f"/jobs/{answer['job']}", Accept="text/html")
    assert (page.status, b"<h1>" in page.body) == (200, True)
    assert len(page.headers.get_all("Content-Security-Policy", [])) == 1
    assert page.headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert door.ask("GET", f"/jobs/{answer['job']}", Accept="application/json").json["resource_id"] == "t"
    assert door.ask("HEAD", f"/jobs/{answer['job']}").status == 200
    wrong = door.ask("GET", "/status")
    assert (wrong.status, wrong.headers.get_all("Allow"), wrong.json["error"]) == (405, ["POST"], "Method Not Allowed")
    assert door.ask("GET", "/nowhere").json["error"] == "Not Found"
    faulty = door.post("/package_datastore", **sent | {"limit": "many"})
    assert (faulty.status, faulty.json["message"].partition(":")[0]) == (400, "limit")


PROMETHEUS = "127.0.0.8"
BASIC = "Basic " + base64.b64encode(f"ann:{SECRET}".encode()).decode()


def test_the_dashboard_opens_with_the_password_and_its_buttons_work(door: Door, ckan: CkanApi) -> None:
    closed = door.ask("GET", "/dashboard", Accept="text/html")
    challenge = 'Basic realm="ckanpackager", charset="UTF-8"'
    assert (closed.status, closed.headers.get_all("WWW-Authenticate")) == (401, [challenge])
    wrong = "Basic " + base64.b64encode(b"ann:wrong").decode()
    assert door.ask("GET", "/dashboard", Authorization=wrong).status == 401
    file = {"resource_id": "t", "email": "ann@example.org", "resource_url": f"{ckan.url}/files/none.txt"}
    failed = accepted(door.post("/package_url", secret=SECRET, **file).json)
    assert door.site.command("process").returncode == 1  # its user owns the file that the receiver then has to move
    waiting = accepted(door.post("/package_url", secret=SECRET, **file).json)
    opened = door.ask("GET", "/dashboard", Authorization=BASIC)
    assert (opened.status, b"404" in opened.body) == (200, True)
    slash = door.ask("GET", "/dashboard/", Authorization=BASIC)
    assert slash.status == 301
    assert urljoin(f"{door.address}/dashboard/", slash.headers["Location"]) == f"{door.address}/dashboard"
    for action, id in (("retry", failed), ("cancel", waiting)):
        pattern = (
            rf'action="dashboard/{action}"><input type="hidden" name="job" value="{id}">.*?name="token" value="(\w+)"'
        )
        form = re.search(pattern, opened.body.decode())
        assert form
        body = urlencode({"job": id, "token": form[1]}).encode()
        sent = {"Authorization": BASIC, **FORM}
        assert door.ask("POST", f"/dashboard/{action}", body, Origin="http://evil.example", **sent).status == 403
        done = door.ask("POST", f"/dashboard/{action}", body, Origin=door.address, **sent)
        assert done.status == 303
        back = urljoin(f"{door.address}/dashboard/{action}", done.headers["Location"])
        assert back == f"{door.address}/dashboard?{action}={id}"
    assert door.ask("GET", f"/jobs/{failed}", Accept="application/json").json["state"] == "waiting"
    assert door.ask("GET", f"/jobs/{waiting}", Accept="application/json").json["state"] == "cancelled"
    door.site.command("process")


def test_the_metrics_open_with_the_secret_and_for_the_hosts_that_are_listed(door: Door) -> None:
    for token, status in ((SECRET, 200), ("wrong", 401), (None, 401)):
        sent = {} if token is None else {"Authorization": f"Bearer {token}"}
        answer = door.ask("GET", "/metrics", source="127.0.0.9", **sent)
        assert answer.status == status
        assert (b"ckanpackager_build_info" in answer.body) == (status == 200)
    assert door.ask("GET", "/metrics", source=PROMETHEUS).status == 200
    assert door.ask("GET", "/metrics", source="127.0.0.9", X_Forwarded_For=PROMETHEUS).status == 401


def test_the_log_names_the_client_and_not_what_it_says_of_itself(door: Door) -> None:
    """A client of 127.0.0.9; only nginx before `serve`, at 127.0.0.1, is believed what it says of it."""
    answer = door.ask("POST", "/no-such-path", b"", source="127.0.0.9", X_Forwarded_For="192.0.2.66, 127.0.0.1")
    assert answer.status == 404
    line = until(lambda: re.search(r"404 POST /no-such-path from (\S+): there is nothing", door.site.log()))
    assert line[1] == "127.0.0.9"


@pytest.mark.skipif(not AS_ROOT, reason="only root can be two users")
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_receiver_and_worker_may_be_two_users_whatever_their_umask(
    installed: Prefix, ckan: CkanApi, umask: int
) -> None:
    require("apache-cgi")
    with open_directory() as directory:
        site = Site(installed, directory, umask=umask, secret=SECRET)
        with running(site, apache_cgi) as address:
            door = Door(site, address)
            file = {"resource_id": "t", "email": "ann@example.org", "resource_url": f"{ckan.url}/files/list.txt"}
            id = accepted(door.post("/package_url", secret=SECRET, **file).json)
            (waiting,) = (site.directory / "spool" / "fast").iterdir()
            assert waiting.owner() == "www-data"
            assert site.command("process").returncode == 0
            (done,) = (site.directory / "spool" / "done").iterdir()
            assert (done.stem, done.owner()) == (id, "nobody")
            assert door.ask("GET", urlsplit(link_mailed_at(door, id, "ann@example.org")).path).status == 200
            assert door.post("/status", secret=SECRET).json["processed_requests"] == 1
            assert door.ask("GET", f"/jobs/{id}", Accept="application/json").json["state"] == "done"
            accepted(door.post("/package_url", secret=SECRET, **file).json)  # after the worker has been in the spool
            for path in (site.directory / "spool").rglob("*"):
                mode = stat.S_IMODE(path.stat().st_mode)
                assert (mode, path.group()) == (0o2770 if path.is_dir() else 0o660, "www-data"), path
            assert door.post("/clear_caches", secret=SECRET).json["removed"] == 1
