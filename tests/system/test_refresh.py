"""Named packages: built when their source has changed, behind links that stay the same."""

import json
import os
import re
import threading
import time
import zipfile
from collections.abc import Callable
from io import BytesIO
from typing import Any
from urllib.request import urlopen

import pytest
from support.workspace import CommandResult, Workspace, small_ckan, until
from support.wsgi_client import SECRET, WsgiClient, serving

from ckanpackager.archives.directory_store import DirectoryStore as Store
from ckanpackager.demo.ckan_api import CkanApi
from ckanpackager.spool.refreshes import RefreshRecord

Run = Callable[..., CommandResult]
KEY = "the-key-of-the-portal"


def package(api: CkanApi, **more: Any) -> dict[str, Any]:
    return {"task": "package_datastore", "api_url": api.api_url, "resource_id": "r", **more}


@pytest.fixture
def named(workspace: Workspace, api: CkanApi) -> Workspace:
    workspace.configure(named_packages={"rows": package(api)})
    return workspace


def content(workspace: Workspace, name: str = "rows") -> str:
    with zipfile.ZipFile(workspace.store.directory / "named" / f"{name}.zip") as archive:
        return archive.read("resource.csv").decode()


def add_row(api: CkanApi, name: str) -> None:
    rows = api.resources["r"].rows
    rows.append([len(rows) + 1, name])


def refreshed(workspace: Workspace, run: Run, *words: str) -> str:
    """Refresh and work off what that queues; what the command said of `rows`, without the job's id."""
    said = run("refresh", *words)
    assert (said.code, said.err) == (0, "")
    workspace.work()
    return re.sub(", job .*", "", said.out).removeprefix("rows: ").strip()


# What is built, and when


def test_a_named_package_is_built_mailed_to_nobody_and_counted_as_no_request(named: Workspace, run: Run) -> None:
    assert refreshed(named, run) == "queued"
    assert content(named) == "_id,name\n1,n1\n2,n2\n3,n3\n"
    assert named.where() == {"done": 1}
    assert named.mails == [] and named.archives == []
    assert named.totals() == {"emails": 0, "requests": 0, "errors": 0}


def test_an_unchanged_source_gives_no_job_and_a_changed_one_a_new_archive(
    named: Workspace, run: Run, api: CkanApi
) -> None:
    refreshed(named, run)
    before = named.store.named("rows")
    assert refreshed(named, run) == "unchanged"
    assert named.where() == {"done": 1} and named.store.named("rows") == before
    add_row(api, "new")
    assert refreshed(named, run) == "queued"
    assert content(named).endswith("4,new\n")
    assert refreshed(named, run) == "unchanged"


def test_a_deleted_row_is_a_change(named: Workspace, run: Run, api: CkanApi) -> None:
    refreshed(named, run)
    del api.resources["r"].rows[1]
    assert refreshed(named, run) == "queued"
    assert content(named) == "_id,name\n1,n1\n3,n3\n"


def test_the_timestamps_of_resource_and_dataset_tell_of_a_change(named: Workspace, run: Run, api: CkanApi) -> None:
    resource = {"id": "r", "package_id": "d", "datastore_active": True, "last_modified": "2026-01-01"}
    api.datasets["d"] = {"id": "d", "name": "d", "resources": [resource], "metadata_modified": "2026-01-01"}
    refreshed(named, run)
    assert refreshed(named, run) == "unchanged"
    api.datasets["d"]["metadata_modified"] = "2026-01-02"
    assert refreshed(named, run) == "queued"
    resource["last_modified"] = "2026-01-03"
    assert refreshed(named, run) == "queued"
    assert refreshed(named, run) == "unchanged"


def test_another_question_in_the_configuration_is_a_change(named: Workspace, run: Run, api: CkanApi) -> None:
    refreshed(named, run)
    named.configure(named_packages={"rows": package(api, filters={"name": "n2"})})
    assert refreshed(named, run) == "queued"
    assert content(named) == "_id,name\n2,n2\n"


def test_with_a_changed_field_its_highest_value_and_the_number_of_rows_decide(workspace: Workspace, run: Run) -> None:
    with small_ckan() as api:
        workspace.configure(named_packages={"rows": package(api, changed_field="name")})
        refreshed(workspace, run)
        api.datasets["d"] = {"id": "d", "resources": [{"id": "r", "package_id": "d", "last_modified": "new"}]}
        assert refreshed(workspace, run) == "unchanged"
        api.resources["r"].rows[0][1] = None  # nulls are no highest value
        assert refreshed(workspace, run) == "unchanged"
        api.resources["r"].rows[0][1] = "z"
        assert refreshed(workspace, run) == "queued"


def test_without_only_if_changed_each_time_that_is_due_builds_anew(
    workspace: Workspace, run: Run, api: CkanApi
) -> None:
    workspace.configure(named_packages={"rows": package(api, only_if_changed=False)})
    assert [refreshed(workspace, run) for _ in range(2)] == ["queued", "queued"]


def test_a_package_that_is_not_due_is_not_looked_at(workspace: Workspace, run: Run, api: CkanApi) -> None:
    workspace.configure(named_packages={"rows": package(api, refresh="1 day")})
    assert refreshed(workspace, run) == "queued"
    add_row(api, "new")
    asked = len(api.log)
    assert refreshed(workspace, run) == "not due"
    assert len(api.log) == asked
    workspace.spool.record_refresh("rows", RefreshRecord(looked_at=time.time() - 86400))
    assert refreshed(workspace, run) == "queued"


def test_force_builds_what_is_neither_due_nor_changed(workspace: Workspace, run: Run, api: CkanApi) -> None:
    workspace.configure(named_packages={"rows": package(api, refresh="0 3 1 1 *")})
    refreshed(workspace, run)
    assert refreshed(workspace, run, "--force", "rows") == "queued"


def test_a_refresh_that_is_under_way_is_not_queued_again(named: Workspace, run: Run) -> None:
    first = run("refresh").out
    assert run("refresh", "rows").out == first.replace("queued", "under way")
    assert named.where() == {"fast": 0, "slow": 1} or named.where() == {"slow": 1}


def test_a_file_is_fetched_again_unless_its_server_says_that_it_is_the_same(
    workspace: Workspace, run: Run, api: CkanApi
) -> None:
    api.files["a.txt"] = b"one"
    file = {"task": "package_url", "resource_id": "f", "resource_url": f"{api.url}/files/a.txt"}
    workspace.configure(named_packages={"rows": file})
    assert [refreshed(workspace, run) for _ in range(2)] == ["queued", "queued"]


def test_a_dataset_is_built_again_when_a_table_in_it_has_changed(workspace: Workspace, run: Run, api: CkanApi) -> None:
    resource = {"id": "r", "name": "Rows", "datastore_active": True}
    api.datasets["d"] = {"id": "d", "name": "d", "title": "D", "resources": [resource]}
    workspace.configure(named_packages={"rows": {"task": "package_dataset", "api_url": api.api_url, "dataset_id": "d"}})
    assert [refreshed(workspace, run) for _ in range(2)] == ["queued", "unchanged"]
    add_row(api, "new")
    assert refreshed(workspace, run) == "queued"


# The link


def test_a_client_that_downloads_in_a_loop_never_fails_while_the_package_is_replaced(
    workspace: Workspace, run: Run, api: CkanApi
) -> None:
    workspace.configure(secret=SECRET, named_packages={"rows": package(api)})
    refreshed(workspace, run)
    stop, counts, failures = threading.Event(), set(), []

    def download(address: str) -> None:
        while not stop.is_set():
            try:
                with urlopen(f"{address}/archives/named/rows.zip", timeout=30) as answer:
                    archive = zipfile.ZipFile(BytesIO(answer.read()))
                assert archive.testzip() is None
                counts.add(archive.read("resource.csv").count(b"\n"))
            except Exception as error:
                failures.append(error)
                return

    with serving(workspace) as address:
        clients = [threading.Thread(target=download, args=(address,)) for _ in range(3)]
        for client in clients:
            client.start()
        for number in range(8):
            add_row(api, f"new {number}")
            assert refreshed(workspace, run) == "queued"
            until(lambda number=number: number + 5 in counts or failures)
        stop.set()
        for client in clients:
            client.join()
    assert failures == [] and counts >= set(range(5, 13))


# What goes wrong


def test_a_refresh_that_fails_keeps_the_archive_and_tells_the_administrator(
    named: Workspace, run: Run, api: CkanApi
) -> None:
    refreshed(named, run)
    before = content(named)
    add_row(api, "new")
    run("refresh")
    resource = api.resources.pop("r")
    tally = named.work()
    assert (tally.served, tally.failed) == (0, 1)
    assert content(named) == before and named.mails == []
    assert named.totals() == {"emails": 0, "requests": 0, "errors": 1}
    with named.statistics() as statistics:
        (error,) = statistics.errors()
    assert (error["resource_id"], error["email"]) == ("r", "") and "r" in error["message"]
    checked = run("check")
    assert checked.code == 1
    assert re.search(r"WRONG named_packages\.rows: \S+ \S+ old, looked at .*; its last refresh failed", checked.out)
    assert "failed: " in run("status").out
    api.resources["r"] = resource
    assert refreshed(named, run) == "queued"
    assert content(named).endswith("4,new\n")


def test_a_site_that_cannot_be_asked_is_an_error_and_asked_again_the_next_time(
    workspace: Workspace, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ckanpackager.http_client.TRIES", 1)
    with small_ckan() as api:
        workspace.configure(named_packages={"rows": package(api, refresh="1 day")})
    said = run("refresh")
    assert (said.code, said.out) == (1, "")
    assert re.fullmatch(r"ckanpackager: rows: .*; the last archive stays\n", said.err)
    assert workspace.spool.last_refresh("rows") is None
    assert workspace.where() == {}


def test_one_package_that_fails_keeps_no_other_from_being_refreshed(
    workspace: Workspace, run: Run, api: CkanApi
) -> None:
    workspace.configure(named_packages={"gone": package(api, resource_id="none"), "rows": package(api)})
    said = run("refresh")
    assert said.code == 1 and said.out.startswith("rows: queued") and "gone: " in said.err


def test_a_package_that_is_no_longer_configured_fails_in_words(named: Workspace, run: Run) -> None:
    run("refresh")
    named.configure()
    assert named.work().failed == 1
    (job,) = named.spool.jobs("failed")
    assert job.failure == "the named package rows is no longer in the configuration"


def test_a_worker_that_dies_after_publishing_leaves_nothing_to_build_twice(
    named: Workspace, run: Run, api: CkanApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("refresh")
    whole = Store.publish_named

    def publish_and_die(*args: Any, **options: Any) -> Any:
        whole(*args, **options)
        os._exit(9)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "publish_named", publish_and_die)
        if not (worker := os.fork()):
            named.work()
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == 9
    assert named.where() == {"claimed": 1}
    asked = len(api.log)
    assert named.work().served == 1
    assert len(api.log) == asked


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "named_packages.rows: task: missing"),
        ({"task": "package_datastor"}, "unknown task 'package_datastor'"),
        ({"task": "package_datastore", "resource_id": "r"}, "api_url: missing"),
        ({"limit": "many"}, "named_packages.rows: limit: "),
        ({"email": "ann@example.org"}, "email: a named package has no requester"),
        ({"colour": "red"}, "colour: package_datastore has no such parameter"),
        ({"only_if_changed": "maybe"}, "only_if_changed: expected true or false"),
        ({"changed_field": 7}, "changed_field: expected the name of a field"),
        ({"refresh": "often"}, "rows.refresh: expected a time span"),
    ],
)
def test_what_is_wrong_with_a_package_is_said(
    workspace: Workspace, run: Run, api: CkanApi, values: Any, words: str
) -> None:
    workspace.configure(named_packages={"rows": values if "task" in values or not values else package(api, **values)})
    said = run("refresh")
    assert said.code == 2 and words in said.err


@pytest.mark.parametrize("name", ["../x", "A", "a_b", "-a", "a" * 65, "a.zip"])
def test_a_name_that_is_no_part_of_a_link_is_refused(workspace: Workspace, run: Run, api: CkanApi, name: str) -> None:
    workspace.configure(named_packages={name: package(api)})
    said = run("status")
    assert said.code == 2 and "expected a name of small letters, digits and hyphens" in said.err


def test_an_unknown_name_is_refused_with_those_that_there_are(named: Workspace, run: Run) -> None:
    said = run("refresh", "row")
    assert (said.code, said.err) == (2, "ckanpackager: row: no named package; those in the configuration: rows\n")


# Secrets


def test_a_key_stands_in_the_configuration_alone(workspace: Workspace, run: Run) -> None:
    with small_ckan(key=KEY) as api:
        api.resources["r"].private = True
        workspace.configure(named_packages={"rows": package(api, key=KEY)})
        run("refresh")
        for path in workspace.spool.directory.rglob("*.json"):
            assert KEY not in path.read_text()
        assert workspace.work().served == 1
        assert content(workspace).endswith("3,n3\n")
        for path in [*workspace.spool.directory.rglob("*.json"), *workspace.store.directory.rglob("*.json")]:
            assert KEY not in path.read_text()
        workspace.queue(api)
        assert workspace.work().failed == 1  # nobody gets the private rows of another from a cache


# Over HTTP


@pytest.fixture
def client(tmp_path: Any, api: CkanApi) -> WsgiClient:
    api.datasets["d"] = {"id": "d1", "name": "birds", "resources": [{"id": "r", "package_id": "d1"}, {"id": "q"}]}
    whole = {"task": "package_dataset", "api_url": api.api_url, "dataset_id": "birds"}
    elsewhere = package(api) | {"api_url": "https://other.example.org/api/3/action/datastore_search"}
    packages = {"rows": package(api), "whole": whole, "elsewhere": elsewhere}
    return WsgiClient(tmp_path, named_packages=packages)


def test_a_caller_names_a_package(client: WsgiClient) -> None:
    answer = client.post("/refresh", name="rows").json
    assert (answer["success"], answer["packages"]) == (True, {"rows": "queued"})
    assert client.workspace.find(answer["jobs"]["rows"])[1].package == "rows"
    assert answer["message"] == answer["msg"] == "rows: queued"
    client.workspace.work()
    answer = client.post("/refresh", name="rows").json
    assert (answer["packages"], answer["jobs"]) == ({"rows": "unchanged"}, {})


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ({"resource_id": "r"}, {"rows", "whole"}),
        ({"resource_id": "q"}, {"whole"}),
        ({"resource_id": "none"}, set()),
        ({"dataset_id": "d1"}, {"rows", "whole"}),
        ({"dataset_id": "birds"}, {"rows", "whole"}),
        ({"dataset_id": "fish"}, set()),
    ],
)
def test_a_caller_names_what_has_changed(client: WsgiClient, api: CkanApi, parameters: Any, names: set[str]) -> None:
    answer = client.post("/refresh", api_url=f"{api.url}/api/3/action/x", **parameters).json
    assert set(answer["packages"]) == names


def test_a_package_is_refreshed_for_a_caller_whether_it_is_due_or_not(client: WsgiClient, api: CkanApi) -> None:
    client.workspace.spool.record_refresh("rows", RefreshRecord(looked_at=time.time()))
    assert client.post("/refresh", name="rows").json["packages"] == {"rows": "queued"}


def test_a_site_that_cannot_answer_now_is_asked_by_a_worker(client: WsgiClient, api: CkanApi) -> None:
    answer = client.post("/refresh", name="elsewhere").json  # the name of a host that does not exist
    assert answer["packages"] == {"elsewhere": "queued"}


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "name: missing; or send api_url with resource_id or dataset_id"),
        ({"api_url": "https://ckan.example.org/"}, "name: missing"),
        ({"name": "none"}, "none: no named package"),
    ],
)
def test_a_caller_who_names_nothing_is_told(client: WsgiClient, parameters: Any, words: str) -> None:
    answer = client.post("/refresh", **parameters)
    assert answer.status == 400 and words in answer.json["message"]


def test_refreshing_needs_the_secret(client: WsgiClient) -> None:
    assert client.post("/refresh", secret="x", name="rows").status == 401


def test_status_tells_the_age_of_each_package(client: WsgiClient) -> None:
    client.post("/refresh", name="rows")
    client.workspace.work()
    known = {package["name"]: package for package in client.post("/status").json["named_packages"]}
    assert known["rows"]["rows"] == 3 and abs(known["rows"]["published"] - time.time()) < 60
    assert known["rows"]["download_url"] == "https://data.example.org/dl/named/rows.zip"
    assert known["whole"] == {"name": "whole"}
    said = client.workspace.run("status").stdout
    assert re.search(r"^rows +\S+ \S+ +[0-9.]+ \S+ +\S+ \S+ ago", said, re.MULTILINE)
    assert re.search(r"^whole +not built yet +never", said, re.MULTILINE)
    shown = json.loads(client.workspace.run("status", "--format", "json").stdout)
    assert len(shown["named_packages"]) == 3 and shown["processed_requests"] == 0
    assert "ok    named_packages.rows: " in client.workspace.run("check").stdout
