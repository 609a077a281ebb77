"""package_dataset: a whole dataset in one archive, and what becomes of the resources that cannot be had."""

import csv
import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from support.archives import body, check_package, read_xlsx, tell_no_info
from support.workspace import Workspace
from support.zip_command import ZIP_COMMAND

from ckanpackager.demo import sample
from ckanpackager.demo.ckan_api import CkanApi, File, Handler, Resource
from ckanpackager.jobs.job import Job

FIELDS: list[dict[str, Any]] = [
    {"id": "_id", "type": "int"},
    {"id": "Name", "type": "text", "info": {"label": "The name", "notes": "What it is called."}},
    {"id": "n", "type": "numeric"},
]
ROWS: list[list[Any]] = [[1, 'one, "1"', 1], [2, "two\nlines", None], [3, None, 3]]
ABOUT: dict[str, Any] = {
    "id": "6d0c1d2e",
    "name": "beetles-2026",
    "title": "Beetles “2026”",
    "notes": "All of *them*.",
    "url": "https://museum.example.org/beetles",
    "version": "1.2",
    "license_id": "cc-by",
    "license_title": "Creative Commons Attribution",
    "license_url": "https://creativecommons.org/licenses/by/4.0/",
}


@pytest.fixture
def workspace(workspace: Workspace) -> Workspace:
    workspace.configure(include_datapackage=True)
    return workspace


@pytest.fixture
def api() -> Iterator[CkanApi]:
    with CkanApi({}) as api:
        yield api


class Building:
    """A dataset in the making."""

    def __init__(self, api: CkanApi) -> None:
        self.api = api
        self.resources: list[dict[str, Any]] = []
        api.datasets["beetles-2026"] = {**ABOUT, "resources": self.resources}

    def table(self, name: str, rows: list[list[Any]] | None = None, **options: Any) -> str:
        """Add a resource of the datastore; its id."""
        id = f"t{len(self.resources)}"
        self.api.resources[id] = Resource(FIELDS, ROWS if rows is None else rows, name=name, **options)
        self.resources.append(self.api.site.description(id))
        return id

    def file(self, path: str, content: bytes = b"content", name: str | None = None, **headers: str) -> dict[str, Any]:
        """Add a file that the site serves."""
        self.api.files[path] = File(content, {key.replace("_", "-"): value for key, value in headers.items()})
        return self.link(f"{self.api.url}/files/{path}", name or path)

    def link(self, url: str, name: str) -> dict[str, Any]:
        self.resources.append({"id": f"f{len(self.resources)}", "name": name, "url": url, "datastore_active": False})
        return self.resources[-1]


@pytest.fixture
def dataset(api: CkanApi) -> Building:
    return Building(api)


def queue(workspace: Workspace, api: CkanApi, **parameters: Any) -> str:
    return workspace.queue(api, "package_dataset", **({"dataset_id": "beetles-2026"} | parameters))


def package(workspace: Workspace, api: CkanApi, **parameters: Any) -> dict[str, bytes]:
    """Have the dataset packaged; the files in its archive."""
    id = queue(workspace, api, **parameters)
    workspace.work()
    job = workspace.find(id)[1]
    assert job.archive, job.failure or job.attempts
    return unpacked(workspace, job)


def unpacked(workspace: Workspace, job: Job) -> dict[str, bytes]:
    assert job.archive
    with zipfile.ZipFile(workspace.store.directory / job.archive.name) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert len({name.casefold() for name in names}) == len(names)
        return {name: archive.read(name) for name in names}


def described(files: dict[str, bytes]) -> dict[str, Any]:
    package: dict[str, Any] = json.loads(files["datapackage.json"])
    check_package(package, set(files) - {"datapackage.json"})
    return package


def failing(action: str, status: int, body: str = "{}", **headers: str) -> Callable[..., bool]:
    """A fault that answers one action so."""

    def fault(handler: Handler, asked: str, params: dict[str, Any], nth: int) -> bool:
        if asked == action:
            handler.reply(status, body, **headers)
        return asked == action

    return fault


# What goes well


def test_tables_and_files_and_their_description_in_the_order_of_the_dataset(
    workspace: Workspace, api: CkanApi, dataset: Building
) -> None:
    dataset.table("Specimens")
    dataset.file("label.txt", b"The label\r\n\x00\xff")
    dataset.table("Loans", [[1, "x", None]])
    files = package(workspace, api)
    assert list(files) == ["Specimens.csv", "label.txt", "Loans.csv", "datapackage.json"]
    assert files["Specimens.csv"] == b'_id,Name,n\n1,"one, ""1""",1\n2,"two\nlines",\n3,,3\n'
    assert files["Loans.csv"] == b"_id,Name,n\n1,x,\n"
    assert files["label.txt"] == b"The label\r\n\x00\xff"
    assert "Rows: 4" in body(workspace, "plain")
    assert "note" not in body(workspace, "plain")
    assert workspace.where() == {"done": 1}


def test_the_description_has_title_licence_sources_and_data_dictionary(
    workspace: Workspace, api: CkanApi, dataset: Building
) -> None:
    dataset.table("Specimens")
    dataset.file("label.txt", b"12345", name="The label")
    package_json = described(package(workspace, api))
    resources = package_json.pop("resources")
    assert abs(datetime.fromisoformat(package_json.pop("created")).timestamp() - time.time()) < 60
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert package_json == {
        "profile": "data-package",
        "name": "beetles-2026",
        "title": "Beetles “2026”",
        "description": "All of *them*.",
        "version": "1.2",
        "homepage": "https://museum.example.org/beetles",
        "licenses": [
            {
                "name": "cc-by",
                "path": "https://creativecommons.org/licenses/by/4.0/",
                "title": "Creative Commons Attribution",
            }
        ],
        "citation": f"Beetles “2026” (version 1.2) [Data set]. {api.url}/dataset/beetles-2026. Accessed {today}.",
        "sources": [
            {"title": "Beetles “2026”", "path": f"{api.url}/dataset/beetles-2026"},
            {"title": "Beetles “2026”", "path": "https://museum.example.org/beetles"},
        ],
    }
    assert resources[0]["schema"]["fields"] == [
        {"name": "_id", "type": "integer"},
        {"name": "Name", "type": "string", "title": "The name", "description": "What it is called."},
        {"name": "n", "type": "number"},
    ]
    assert (resources[0]["title"], resources[0]["path"], resources[0]["rows"]) == ("Specimens", "Specimens.csv", 3)
    assert resources[1] == {
        "name": "label.txt",
        "title": "The label",
        "path": "label.txt",
        "profile": "data-resource",
        "bytes": 5,
    }


def test_the_data_dictionary_is_asked_for_where_the_search_does_not_tell_it(
    workspace: Workspace, api: CkanApi, dataset: Building
) -> None:
    dataset.table("Specimens")
    (resource,) = described(package(workspace, tell_no_info(api)))["resources"]
    assert resource["schema"]["fields"][1]["title"] == "The name"


def test_a_data_dictionary_that_cannot_be_had_is_done_without(
    workspace: Workspace, api: CkanApi, dataset: Building
) -> None:
    id = dataset.table("Specimens")
    api.resources[id].fields = [{key: field[key] for key in ("id", "type")} for field in FIELDS]
    api.fault = failing("datastore_info", 400, '"Bad request: Action name not known: datastore_info"')
    (resource,) = described(package(workspace, api))["resources"]
    assert [field["name"] for field in resource["schema"]["fields"]] == ["_id", "Name", "n"]


@pytest.mark.parametrize(
    "about",
    [
        {"title": None, "notes": None, "url": None, "version": None, "license_id": None, "license_url": None},
        {"license_id": "notspecified", "license_url": None, "license_title": "Licence not specified"},
        {"license_id": "as they please", "license_url": "ask Ann", "url": "see above", "title": "", "version": 2},
        {"license_id": "a b", "license_url": "https://licence.example.org/"},
    ],
)
def test_what_is_missing_or_odd_about_a_dataset_leaves_the_description_valid(
    workspace: Workspace, api: CkanApi, dataset: Building, about: dict[str, Any]
) -> None:
    dataset.table("Specimens")
    api.datasets["beetles-2026"] |= about
    package_json = described(package(workspace, api))
    assert package_json["title"] == about.get("title", ABOUT["title"]) or "beetles-2026"
    assert ("licenses" in package_json) == ("licence" in str(about.get("license_url")))


@pytest.mark.parametrize("format", ["csv", "tsv", "ndjson", "xlsx"])
def test_tables_come_in_the_format_that_is_asked_for(
    workspace: Workspace, api: CkanApi, dataset: Building, format: str
) -> None:
    dataset.table("Specimens")
    files = package(workspace, api, format=format)
    (resource,) = described(files)["resources"]
    assert resource["path"] == f"Specimens.{format}"
    assert rows(format, files[f"Specimens.{format}"]) == [
        {"_id": 1, "Name": 'one, "1"', "n": 1},
        {"_id": 2, "Name": "two\nlines", "n": None},
        {"_id": 3, "Name": None, "n": 3},
    ]


def rows(format: str, content: bytes) -> list[dict[str, Any]]:
    if format == "ndjson":
        return [json.loads(line) for line in content.decode().split("\n")[:-1]]
    if format == "xlsx":
        header, *lines = read_xlsx(content)
        return [dict(zip(header, line, strict=True)) for line in lines]
    reader = csv.DictReader(io.StringIO(content.decode(), newline=""), delimiter="\t" if format == "tsv" else ",")
    return [{k: int(v) if v and k != "Name" else v or None for k, v in row.items()} for row in reader]


def test_a_cut_cell_of_a_table_is_noted_with_the_name_of_its_file(
    workspace: Workspace, api: CkanApi, dataset: Building
) -> None:
    dataset.table("Long ones", [[1, "x" * 40_000, None]])
    package(workspace, api, format="xlsx")
    assert "Please note: Long ones.xlsx: 1 cell longer than 32,767 characters was cut" in body(workspace, "plain")


def test_the_dataset_is_what_statistics_and_mail_name(workspace: Workspace, api: CkanApi, dataset: Building) -> None:
    dataset.table("Specimens")
    workspace.configure(include_datapackage=True, email_subject="{resource_id} from {ckan_host}")
    package(workspace, api)
    with workspace.statistics() as statistics:
        (row,) = statistics.requests()
        assert (row["resource_id"], row["count"]) == ("beetles-2026", 3)
        assert statistics.totals("beetles-2026") == {"beetles-2026": {"emails": 1, "requests": 1, "errors": 0}}
    assert workspace.mails[0]["Subject"].startswith("beetles-2026 from 127.0.0.1")


def test_a_dataset_of_files_alone_has_no_number_of_rows(workspace: Workspace, api: CkanApi, dataset: Building) -> None:
    dataset.file("a.txt")
    package(workspace, api)
    assert "Rows" not in body(workspace, "plain")


# Names


NAMES: list[tuple[list[str], list[str]]] = [
    (["data.csv", "data.csv"], ["data.csv", "data-2.csv"]),
    (["Data", "data", "DATA"], ["Data.csv", "data-2.csv", "DATA-3.csv"]),
    (["../../etc/passwd", "/etc/passwd", "..\\x"], ["etc-passwd.csv", "etc-passwd-2.csv", "x.csv"]),
    (["Loans 2019/2020"], ["Loans 2019-2020.csv"]),
    (["", ".", "..", " "], ["t0.csv", "resource.csv", "resource-2.csv", "resource-3.csv"]),
    (["é", "e\u0301"], ["é.csv", "e\u0301-2.csv"]),
    (["a b", "a-b"], ["a b.csv", "a-b.csv"]),
    (["-rf", "~root", "$HOME", "%APPDATA%"], ["rf.csv", "root.csv", "HOME.csv", "APPDATA%.csv"]),
    (['a:b*c?"<>|', "tab\there"], ["a_b_c_____.csv", "tab_here.csv"]),
    (["ü" * 300], ["ü" * 100 + ".csv"]),
    (["datapackage.json", "Datapackage"], ["datapackage.json.csv", "Datapackage.csv"]),
]


@pytest.mark.parametrize(("titles", "paths"), NAMES)
def test_tables_are_called_as_the_resources_are_safely_and_each_otherwise(
    workspace: Workspace, api: CkanApi, dataset: Building, titles: list[str], paths: list[str]
) -> None:
    for title in titles:
        dataset.table(title)
    files = package(workspace, api)
    assert list(files) == [*paths, "datapackage.json"]
    assert [resource["path"] for resource in described(files)["resources"]] == paths


FILE_NAMES: list[tuple[list[str], list[str]]] = [
    (["a/data.csv", "b/data.csv"], ["data.csv", "data-2.csv"]),
    (["a/README", "b/readme"], ["README", "readme-2"]),
    (["datapackage.json", "x/DataPackage.JSON"], ["datapackage-2.json", "DataPackage-3.JSON"]),
    (["..%2F..%2Fetc%2Fpasswd", "%2e%2e"], ["passwd", "resource"]),
    (["a/x.tar.gz", "b/x.tar.gz"], ["x.tar.gz", "x.tar-2.gz"]),
    (["~%24lock.docx"], ["lock.docx"]),
]


@pytest.mark.parametrize(("urls", "paths"), FILE_NAMES)
def test_files_keep_their_names_as_far_as_they_are_safe_and_not_taken(
    workspace: Workspace, api: CkanApi, dataset: Building, urls: list[str], paths: list[str]
) -> None:
    for number, url in enumerate(urls):
        dataset.file(f"{number}/{url}", str(number).encode())
        api.files = {
            key.replace("%2F", "/").replace("%24", "$").replace("%2e", "."): value for key, value in api.files.items()
        }
    files = package(workspace, api)
    assert list(files) == [*paths, "datapackage.json"]
    assert [files[path] for path in paths] == [str(number).encode() for number in range(len(urls))]
    described(files)


def test_a_file_has_the_name_that_its_server_gives_it_and_never_a_table_s(
    workspace: Workspace, api: CkanApi, dataset: Building
) -> None:
    dataset.table("Specimens")
    dataset.file("x", b"1", Content_Disposition='attachment; filename="../specimens.CSV"')
    files = package(workspace, api)
    assert list(files) == ["Specimens.csv", "specimens-2.CSV", "datapackage.json"]


def test_two_resources_of_one_id_are_both_there(workspace: Workspace, api: CkanApi, dataset: Building) -> None:
    dataset.table("Specimens")
    dataset.resources.append(dict(dataset.resources[0]))
    files = package(workspace, api)
    assert files["Specimens.csv"] == files["Specimens-2.csv"]
    assert "Rows: 6" in body(workspace, "plain")
    described(files)


# What cannot be had


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be reached is asked for once only, or the test would wait between the tries."""
    monkeypatch.setattr("ckanpackager.http_client.client.TRIES", 1)


def test_what_cannot_be_had_is_named_everywhere_and_does_not_sink_the_rest(
    workspace: Workspace, api: CkanApi, dataset: Building, once: None
) -> None:
    with CkanApi({}) as dead:
        gone = dead.url
    dataset.table("Good")
    dataset.link(f"{api.url}/files/none.pdf", "Lost & <b>found</b>")
    forbidden = dataset.table("Secret", private=True)
    dataset.link(f"{gone}/x.csv", "Dead")
    dataset.link("ftp://files.example.org/x", "Old")
    dataset.link("http://[", "Broken")
    dataset.link("", "Nowhere")
    dataset.resources.append({"id": "no-table", "name": "Deleted", "datastore_active": True})
    dataset.file("good.txt")
    id = queue(workspace, api)
    tally = workspace.work()
    job = workspace.find(id)[1]
    assert (tally.served, tally.failed, job.failure) == (1, 0, None)
    files = unpacked(workspace, job)
    assert set(files) == {"Good.csv", "good.txt", "datapackage.json"}
    missing = described(files)["missing"]
    words = [
        ("Lost & <b>found</b>", "/files/none.pdf answered 404 Not Found"),
        ("Secret", "403 Forbidden: Access denied: User not authorized"),
        ("Dead", "no connection"),
        ("Old", "only http and https are fetched"),
        ("Broken", "its URL is malformed"),
        ("Nowhere", "it has no URL"),
        ("Deleted", '404 Not Found: Not found: Resource "no-table" was not found.'),
    ]
    assert [entry["title"] for entry in missing] == [title for title, _ in words]
    assert missing[1]["name"] == forbidden
    assert job.archive
    for (title, why), entry, note in zip(words, missing, job.archive.notes, strict=True):
        assert why in entry["error"]
        assert note == f"{title} is missing: {entry['error']}"
    (line,) = (line for line in body(workspace, "plain").splitlines() if line.startswith("Please note: "))
    assert line == "Please note: " + "; ".join(job.archive.notes)
    assert "Lost &amp; &lt;b&gt;found&lt;/b&gt; is missing" in body(workspace, "html")


def test_a_mail_names_twenty_that_are_missing_and_counts_the_others(
    workspace: Workspace, api: CkanApi, dataset: Building
) -> None:
    dataset.file("a.txt")
    for number in range(1, 24):
        dataset.link("", f"File {number}")
    package(workspace, api)
    text = body(workspace, "plain")
    assert "File 20 is missing: it has no URL; and 3 more\n" in text
    assert "File 21" not in text


def test_an_incomplete_archive_is_not_handed_out_again(workspace: Workspace, api: CkanApi, dataset: Building) -> None:
    dataset.table("Good")
    dataset.link(f"{api.url}/files/late.txt", "Late")
    assert "late.txt" not in package(workspace, api)
    api.files["late.txt"] = b"here it is"
    assert package(workspace, api, email="bob@example.org")["late.txt"] == b"here it is"
    before = len(api.log)
    package(workspace, api, email="eve@example.org")
    assert len(api.log) == before  # this one is whole


def test_a_file_that_breaks_off_is_begun_again(workspace: Workspace, api: CkanApi, dataset: Building) -> None:
    dataset.file("big.bin", bytes(range(256)) * 1000)
    dataset.file("other.txt")

    def fault(handler: Handler, action: str, params: dict[str, Any], nth: int) -> bool:
        if action != "files" or nth > 2:
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", "256000")
        handler.end_headers()
        handler.wfile.write(b"\0" * 1000 * nth)
        handler.close_connection = True
        return True

    api.fault = fault
    files = package(workspace, api)
    assert list(files) == ["big.bin", "other.txt", "datapackage.json"]
    assert files["big.bin"] == bytes(range(256)) * 1000


@pytest.mark.parametrize("zip_command", [None, ZIP_COMMAND], ids=["streamed", "zip_command"])
def test_of_a_table_that_breaks_off_nothing_is_left(
    workspace: Workspace, api: CkanApi, dataset: Building, once: None, zip_command: str | None
) -> None:
    workspace.configure(include_datapackage=True, zip_command=zip_command, page_size=1000)
    bad = dataset.table("Bad")
    api.resources[bad] = Resource(sample.FIELDS, list(sample.rows(3000)))
    dataset.table("Good")

    def fault(handler: Handler, action: str, params: dict[str, Any], nth: int) -> bool:
        broken = params.get("resource_id") == bad and "filters" in params
        if broken:
            handler.reply(500, "{}")
        return broken

    api.fault = fault
    files = package(workspace, api)
    assert list(files) == ["Good.csv", "datapackage.json"]
    assert described(files)["missing"][0]["title"] == "Bad"
    assert "Rows: 3\n" in body(workspace, "plain")


def test_where_all_fails_the_job_fails_in_ckan_s_words(workspace: Workspace, api: CkanApi, dataset: Building) -> None:
    dataset.table("Secret", private=True)
    dataset.link("", "Nowhere")
    id = queue(workspace, api)
    assert workspace.work().failed == 1
    assert "403 Forbidden: Access denied: User not authorized" in str(workspace.find(id)[1].failure)
    assert workspace.archives == []
    assert "Access denied" in body(workspace, "plain")
    with workspace.statistics() as statistics:
        assert [row["resource_id"] for row in statistics.errors()] == ["beetles-2026"]


DEEP = '{"success": true, "result": {"id": "d", "x": ' + "[" * 100_000 + "]" * 100_000 + "}}"


@pytest.mark.parametrize(
    "answer",
    [
        '{"success": true, "result": {"id": "d", "resources": "all"}}',
        '{"success": true, "result": {"resources": [1]}}',
        DEEP,
    ],
    ids=["a text", "numbers", "deep"],
)
def test_an_answer_of_the_wrong_types_lets_the_job_wait(workspace: Workspace, api: CkanApi, answer: str) -> None:
    def fault(handler: Handler, action: str, params: dict[str, Any], nth: int) -> bool:
        if action == "package_show":
            handler.reply(200, answer)
        return action == "package_show"

    api.fault = fault
    id = queue(workspace, api)
    workspace.work()
    assert workspace.where() == {"slow": 1}
    assert "not answer as CKAN's API does" in str(workspace.find(id)[1].attempts[-1].error)


def test_where_all_fails_and_some_may_work_later_the_job_waits(
    workspace: Workspace, api: CkanApi, dataset: Building, once: None
) -> None:
    dataset.link("", "Nowhere")
    dataset.file("a.txt")
    api.fault = failing("files", 503)
    id = queue(workspace, api)
    workspace.work()
    assert workspace.where() == {"slow": 1}
    api.fault = None
    workspace.make_due()
    workspace.work()
    assert set(unpacked(workspace, workspace.find(id)[1])) == {"a.txt", "datapackage.json"}


def test_a_dataset_without_resources_is_refused_in_words(workspace: Workspace, api: CkanApi, dataset: Building) -> None:
    id = queue(workspace, api)
    workspace.work()
    assert workspace.find(id)[1].failure == "dataset beetles-2026: it has no resources"


# Who may see what


def test_a_dataset_that_is_not_there_fails_in_ckan_s_words(workspace: Workspace, api: CkanApi) -> None:
    id = queue(workspace, api, dataset_id="none")
    workspace.work()
    failure = f"{api.url}/api/3/action/package_show answered 404 Not Found: Not found"
    assert workspace.find(id)[1].failure == failure


def test_a_private_dataset_wants_the_key(workspace: Workspace, api: CkanApi, dataset: Building) -> None:
    dataset.table("Secret", private=True)
    api.datasets["beetles-2026"]["private"] = True
    id = queue(workspace, api)
    workspace.work()
    assert "403 Forbidden: Access denied: User not authorized to read package" in str(workspace.find(id)[1].failure)
    assert set(package(workspace, api, key="demo-key")) == {"Secret.csv", "datapackage.json"}


def test_the_key_goes_to_the_site_and_to_no_other_host(workspace: Workspace, api: CkanApi, dataset: Building) -> None:
    with CkanApi({}, files={"theirs.txt": b"theirs"}) as other:
        dataset.table("Secret", private=True)
        dataset.file("ours.txt")
        dataset.link(f"{other.url}/files/theirs.txt", "Theirs")
        dataset.link(f"{api.url}/files/moved.txt", "Moved")

        def fault(handler: Handler, action: str, params: dict[str, Any], nth: int) -> bool:
            moved = params.get("name") == "moved.txt"
            if moved:
                handler.reply(302, "", Location=f"{other.url}/files/theirs.txt")
            return moved

        api.fault = fault
        files = package(workspace, api, key="demo-key")
        assert set(files) == {"Secret.csv", "ours.txt", "theirs.txt", "moved.txt", "datapackage.json"}
        assert {request.headers["Authorization"] for request in api.log} == {"demo-key"}
        assert [request.headers["Authorization"] for request in other.log] == [None, None]


def test_the_archive_of_a_key_is_not_handed_out_without_it(
    workspace: Workspace, api: CkanApi, dataset: Building
) -> None:
    dataset.table("Good")
    dataset.table("Secret", private=True)
    assert "Secret.csv" in package(workspace, api, key="demo-key")
    assert "Secret.csv" not in package(workspace, api)


def test_hosts_that_are_not_allowed_are_not_asked(workspace: Workspace, api: CkanApi, dataset: Building) -> None:
    with CkanApi({}, files={"theirs.txt": b"theirs"}) as other:
        workspace.configure(include_datapackage=True, allowed_hosts=[api.url.removeprefix("http://")])
        dataset.file("ours.txt")
        dataset.link(f"{other.url}/files/theirs.txt", "Theirs")
        files = package(workspace, api)
        assert "its host is not one of the allowed_hosts" in described(files)["missing"][0]["error"]
        assert other.log == []
