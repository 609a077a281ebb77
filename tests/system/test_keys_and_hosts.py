"""Where a worker fetches from, what it sends there, and what of both it tells."""

import time
import zipfile
from typing import Any

import pytest
from support.workspace import FakeSmtpServer, Workspace, small_ckan

from ckanpackager.demo.ckan_api import CkanApi, Handler
from ckanpackager.receiver import job_page


@pytest.fixture
def files() -> Any:
    """A server with a file, which is neither the host of api_url nor public."""
    with CkanApi({}, files={"a.txt": b"theirs"}) as files:
        yield files


def package_url(workspace: Workspace, files: CkanApi, **parameters: Any) -> tuple[str, str]:
    """Package the file; the folder that the job ends in, and its failure."""
    url = f"{files.url}/files/a.txt"
    id = workspace.queue(files, "package_url", **{"resource_url": url, "api_url": None, "limit": None, **parameters})
    workspace.work()
    folder, job = workspace.find(id)
    return folder, job.failure or ""


def keys(files: CkanApi) -> list[str | None]:
    return [request.headers["Authorization"] for request in files.log]


def test_a_file_at_a_private_address_fails_the_job_for_good(workspace: Workspace, files: CkanApi) -> None:
    workspace.configure(allow_private_addresses=False)
    folder, failure = package_url(workspace, files)
    assert (folder, files.log) == ("failed", [])
    assert "its address is not public" in failure


@pytest.mark.parametrize("setting", ["ckan_hosts", "allowed_hosts", "api_url", "allow_private_addresses"])
def test_a_file_at_a_private_address_is_packed_where_that_is_allowed(
    workspace: Workspace, files: CkanApi, setting: str
) -> None:
    host: Any = [files.url.removeprefix("http://")]
    value = True if setting == "allow_private_addresses" else host
    workspace.configure(**{"allow_private_addresses": False, **({setting: value} if setting != "api_url" else {})})
    parameters = {"api_url": files.api_url} if setting == "api_url" else {}
    assert package_url(workspace, files, **parameters) == ("done", "")


def test_a_file_of_a_dataset_at_a_private_address_is_missing(workspace: Workspace, files: CkanApi) -> None:
    workspace.configure(allow_private_addresses=False, include_datapackage=True)
    with small_ckan() as api:
        table = {"id": "r", "name": "Table", "datastore_active": True}
        link = {"id": "l", "name": "Theirs", "url": f"{files.url}/files/a.txt"}
        api.datasets["d"] = {"name": "d", "id": "d", "resources": [table, link]}
        id = workspace.queue(api, "package_dataset", dataset_id="d", resource_id=None, limit=None)
        workspace.work()
        folder, job = workspace.find(id)
        assert (folder, files.log) == ("done", [])
        assert job.archive and "Theirs is missing" in job.archive.notes[0]
        assert "its address is not public" in job.archive.notes[0]


def test_the_key_of_package_url_goes_to_no_host_that_is_not_named(workspace: Workspace, files: CkanApi) -> None:
    assert package_url(workspace, files, key="k")[0] == "done"
    assert keys(files) == [None]


@pytest.mark.parametrize("named", ["api_url", "ckan_hosts"])
def test_the_key_of_package_url_goes_to_the_host_that_is_named(
    workspace: Workspace, files: CkanApi, named: str
) -> None:
    if named == "ckan_hosts":
        workspace.configure(ckan_hosts=[files.url.removeprefix("http://")])
    parameters = {"api_url": files.api_url} if named == "api_url" else {}
    assert package_url(workspace, files, key="k", **parameters)[0] == "done"
    assert keys(files) == ["k"]


def test_a_refusal_for_want_of_the_key_names_ckan_hosts(workspace: Workspace, files: CkanApi) -> None:
    def refuse(handler: Handler, action: str, params: dict[str, Any], nth: int) -> bool:
        handler.reply(403, "no")
        return True

    files.fault = refuse
    folder, failure = package_url(workspace, files, key="k")
    assert folder == "failed"
    assert "403" in failure and "ckan_hosts" in failure


# What is told


def everything_written(workspace: Workspace, without: str) -> str:
    """All that the program wrote, but for the job's own file: archives unpacked, mails decoded."""
    written = []
    for path in workspace.directory.rglob("*"):
        if path.is_file() and without not in path.name and path != workspace.file:
            written.append(path.read_bytes().decode("latin-1"))
            if path.suffix == ".zip":
                with zipfile.ZipFile(path) as archive:
                    written += [archive.read(name).decode("latin-1") for name in archive.namelist()]
    written += [mail.as_bytes().decode("latin-1") for mail in workspace.mails]
    written += [str(part.get_content()) for mail in workspace.mails for part in mail.walk() if not part.is_multipart()]
    return "\n".join(written)


def page_of(id: str, workspace: Workspace) -> str:
    """The page of a job, and its JSON."""
    asked = ("", "text/html", workspace.settings, workspace.spool, time.time())
    html = job_page.respond(id, *asked).body
    return (html + job_page.respond(id, "", "application/json", *asked[2:]).body).decode()


@pytest.mark.parametrize("fault", [None, "refusal", "HTML", "fewer rows", "success: false"])
@pytest.mark.parametrize("task", ["package_datastore", "package_dataset"])
def test_the_password_of_api_url_is_told_nowhere(
    workspace: Workspace, api: CkanApi, task: str, fault: str | None
) -> None:
    workspace.configure(log="events.log", include_datapackage=True, public_url="https://packager.example.org")
    table = {"id": "r", "name": "Table", "datastore_active": True}
    api.datasets["d"] = {"name": "d", "id": "d", "resources": [table]}

    def spoil(handler: Handler, action: str, params: dict[str, Any], nth: int) -> bool:
        replies = {"refusal": (404, "no"), "HTML": (200, "<html>"), "success: false": (200, '{"success": false}')}
        if fault == "fewer rows":
            rows = '{"fields": [{"id": "_id"}], "records": [], "total": 5}'
            replies["fewer rows"] = (200, f'{{"success": true, "result": {rows}}}')
        if fault:
            handler.reply(*replies[fault])
        return bool(fault)

    api.fault = spoil
    url = api.api_url.replace("://", "://jane:hunter2@")
    names = {"dataset_id": "d", "resource_id": None, "limit": None} if task == "package_dataset" else {}
    id = workspace.queue(url, task, **names)
    workspace.run("-v", "process")
    said = workspace.run("status", id)
    assert (said.returncode, "hunter2" in said.stdout + said.stderr) == (0, False)
    assert "hunter2" not in page_of(id, workspace)
    assert "hunter2" not in everything_written(workspace, without=id)


@pytest.mark.parametrize("answer", ["550 5.1.1 <ann@example.org>: no such user", "550 ANN@EXAMPLE.ORG is unknown"])
def test_a_refused_address_is_told_nowhere(
    workspace: Workspace, api: CkanApi, smtp: FakeSmtpServer, answer: str
) -> None:
    workspace.configure(**smtp.settings, anonymize_emails=True, anonymize_key="k", log="events.log")
    smtp.answer = lambda address: answer
    id = workspace.queue(api)
    workspace.run("-v", "process")
    folder, job = workspace.find(id)
    assert (folder, "refused the recipient: 550" in str(job.failure)) == ("failed", True)
    with workspace.statistics() as statistics:
        assert statistics.totals()["*"]["errors"] == 1
    assert "ann@example.org" not in everything_written(workspace, without=id).lower()
