"""Where a worker fetches from, what it sends there, and what of both it tells."""

from typing import Any

import pytest
from support.workspace import Workspace, small_ckan

from ckanpackager.demo.ckan_api import CkanApi, Handler


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
