"""What an archive says of itself, with every task; and that the data never depends on it."""

import json
import zipfile
from codecs import BOM_UTF8
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from support.archives import check_package
from support.workspace import Workspace

from ckanpackager.demo.ckan_api import CkanApi, File, Handler, Resource

FIELDS: list[dict[str, Any]] = [
    {"id": "_id", "type": "int"},
    {"id": "Name", "type": "text", "info": {"label": "The name", "notes": "What it\nis called."}},
]
DATASET: dict[str, Any] = {
    "id": "6d0c1d2e",
    "name": "beetles",
    "title": "Beetles",
    "notes": "All of *them*.",
    "organization": {"name": "museum", "title": "The Museum"},
    "author": "Ann Smith",
    "author_email": "ann@museum.example.org",
    "license_id": "cc-by",
    "license_title": "CC BY 4.0",
    "license_url": "https://creativecommons.org/licenses/by/4.0/",
    "metadata_created": "2019-05-06T07:08:09",
    "doi": "10.5072/beetles",
    "tags": [{"name": "Coleoptera"}],
}


@pytest.fixture
def api() -> Iterator[CkanApi]:
    with CkanApi({"r": Resource(FIELDS, [[1, "one"], [2, "two"]], name="Specimens")}) as api:
        path = "/dataset/beetles/resource/f/download/photo.txt"
        file = {"id": "f", "name": "A photo", "url": f"{api.url}{path}", "datastore_active": False}
        api.datasets["beetles"] = {**DATASET, "resources": [api.site.description("r"), file]}
        api.files["photo.txt"] = File(b"content")
        yield api


@pytest.fixture
def workspace(workspace: Workspace) -> Workspace:
    workspace.configure(include_readme=True, include_datapackage=True)
    return workspace


def package(workspace: Workspace, api: CkanApi, task: str = "package_datastore", **parameters: Any) -> dict[str, bytes]:
    """The files of the archive, in their order."""
    id = workspace.queue(api, task, **{"limit": None, **parameters})
    workspace.work()
    _, job = workspace.find(id)
    assert job.archive, job.failure or job.attempts
    with zipfile.ZipFile(workspace.store.directory / job.archive.name) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def refuse(api: CkanApi, *actions: str) -> None:
    """Make the site refuse some actions, for good."""

    def fault(handler: Handler, action: str, params: dict[str, Any], nth: int) -> bool:
        if action in actions:
            handler.reply(403, '{"success": false, "error": {"message": "Access denied"}}')
        return action in actions

    api.fault = fault


def test_a_site_that_cannot_describe_its_data_is_asked_twice_at_most(workspace: Workspace, api: CkanApi) -> None:
    asked: list[str] = []

    def fault(handler: Handler, action: str, params: dict[str, Any], nth: int) -> bool:
        if failing := action == "resource_show":
            asked.append(action)
            handler.reply(503, "{}")
        return failing

    api.fault = fault
    files = package(workspace, api)
    assert list(files) == ["resource.csv", "README.txt", "datapackage.json"]
    assert len(asked) == 2


def test_a_table_is_followed_by_its_readme_and_its_description(workspace: Workspace, api: CkanApi) -> None:
    files = package(workspace, api, filters={"Name": ["one", "two"]}, sort="Name desc", limit=9)
    assert list(files) == ["resource.csv", "README.txt", "datapackage.json"]
    now = datetime.now(UTC)
    text = files["README.txt"].decode()
    time = next(line for line in text.splitlines() if line.startswith("Fetched: "))
    assert text.replace(time, "Fetched: …") == (
        f"""\
Beetles: Specimens
==================

How to cite
-----------
Ann Smith (2019). Beetles: Specimens [Data set]. The Museum. https://doi.org/10.5072/beetles. Accessed {now:%Y-%m-%d}.

Licence
-------
CC BY 4.0
https://creativecommons.org/licenses/by/4.0/

Source
------
Publisher: The Museum
Author: Ann Smith <ann@museum.example.org>
Dataset: {api.url}/dataset/beetles
Resource: {api.url}/dataset/beetles/resource/r
DOI: https://doi.org/10.5072/beetles
Fetched from: {api.api_url}?resource_id=r
Fetched: …

What was asked for
------------------
Filter: Name is "one" or "two"
Order: Name desc
Limit: at most 9 rows

Files
-----
resource.csv (2 rows, {len(files["resource.csv"])} bytes): Specimens

About the data
--------------
All of *them*.

Fields
------
_id (int)
Name (text): The name. What it is called.
"""
    )
    whole = json.loads(files["datapackage.json"])
    check_package(whole, {"resource.csv"})
    assert (whole["name"], whole["title"]) == ("r", "Beetles: Specimens")
    assert whole["contributors"] == [
        {"title": "Ann Smith", "role": "author", "email": "ann@museum.example.org"},
        {"title": "The Museum", "role": "publisher"},
    ]
    assert whole["keywords"] == ["Coleoptera"]
    (resource,) = whole["resources"]
    assert (resource["bytes"], resource["rows"]) == (len(files["resource.csv"]), 2)
    assert resource["query"]["filters"] == {"Name": ["one", "two"]}
    assert resource["query"]["limit"] == 9


def test_a_dataset_has_one_readme_for_all_its_files(workspace: Workspace, api: CkanApi) -> None:
    api.datasets["beetles"]["resources"].append({"id": "x", "name": "Lost", "url": f"{api.url}/files/lost.txt"})
    api.datasets["beetles"]["resources"][1]["url"] = f"{api.url}/files/photo.txt"
    files = package(workspace, api, "package_dataset", dataset_id="beetles", resource_id=None)
    assert list(files) == ["Specimens.csv", "photo.txt", "README.txt", "datapackage.json"]
    text = files["README.txt"].decode()
    assert (
        f"\nSpecimens.csv (2 rows, {len(files['Specimens.csv'])} bytes): Specimens\nphoto.txt (7 bytes): A photo\n"
        in text
    )
    assert "What is missing\n---------------\nLost: " in text
    check_package(json.loads(files["datapackage.json"]), {"Specimens.csv", "photo.txt"})


def test_an_uploaded_file_has_the_description_of_its_dataset(workspace: Workspace, api: CkanApi) -> None:
    url = f"{api.url}/dataset/beetles/resource/f/download/photo.txt"
    parameters = {"resource_url": url, "resource_id": "f", "api_url": None}
    files = package(workspace, api, "package_url", **parameters)
    assert list(files) == ["photo.txt", "README.txt", "datapackage.json"]
    text = files["README.txt"].decode()
    assert text.startswith("Beetles: A photo\n")
    assert "\nphoto.txt (7 bytes): A photo\n" in text
    check_package(json.loads(files["datapackage.json"]), {"photo.txt"})


def test_a_file_from_elsewhere_has_what_is_known(workspace: Workspace, api: CkanApi) -> None:
    api.files["README.txt"] = File(b"their own")
    url = f"{api.url}/files/README.txt?token=secret"
    files = package(workspace, api, "package_url", resource_url=url, resource_id="f", api_url=None)
    assert list(files) == ["README.txt", "README-2.txt", "datapackage.json"]
    assert files["README.txt"] == b"their own"
    text = files["README-2.txt"].decode()
    assert f"Fetched from: {api.url}/files/README.txt\n" in text
    assert "secret" not in text + files["datapackage.json"].decode()
    assert [request.action for request in api.log] == ["files"]


def test_a_darwin_core_archive_has_a_readme_and_an_eml_from_the_metadata(workspace: Workspace, api: CkanApi) -> None:
    files = package(workspace, api, "package_dwc_archive")
    assert list(files) == ["occurrence.csv", "meta.xml", "eml.xml", "README.txt"]
    assert b'metadata="eml.xml"' in files["meta.xml"]
    assert b"<title>Beetles: Specimens</title>" in files["eml.xml"]
    assert b"meta.xml (" in files["README.txt"]


def test_an_eml_of_the_requester_s_own_is_kept(workspace: Workspace, api: CkanApi) -> None:
    files = package(workspace, api, "package_dwc_archive", eml="<eml>{package_id}</eml>")
    assert files["eml.xml"].startswith(b"<eml>") and b"Beetles" not in files["eml.xml"]


@pytest.mark.parametrize("task", ["package_datastore", "package_dwc_archive"])
@pytest.mark.parametrize("actions", [("resource_show",), ("package_show",), ("package_show", "datastore_info")])
def test_metadata_that_cannot_be_had_does_not_sink_the_data(
    workspace: Workspace, api: CkanApi, task: str, actions: tuple[str, ...]
) -> None:
    refuse(api, *actions)
    files = package(workspace, api, task)
    (data, *_, readme) = [name for name in files if name != "datapackage.json"]
    assert files[data].count(b"\n") == 3
    text = files[readme].decode()
    assert "What is missing\n---------------\nThe site's description of the data: " in text
    assert "Access denied" in text
    assert text.startswith("r\n=\n" if actions == ("resource_show",) else "Specimens\n")
    assert "eml.xml" not in files


@pytest.mark.parametrize(
    "result", ["{}", '{"fields": [1, null, {"id": "Name", "info": "text"}]}', '{"fields": 5}', "[]"]
)
def test_a_strange_data_dictionary_does_not_sink_the_data(workspace: Workspace, api: CkanApi, result: str) -> None:
    api.resources["r"].fields = [{"id": field["id"], "type": field["type"]} for field in FIELDS]

    def fault(handler: Handler, action: str, params: dict[str, Any], nth: int) -> bool:
        if action == "datastore_info":
            handler.reply(200, f'{{"success": true, "result": {result}}}')
        return action == "datastore_info"

    api.fault = fault
    files = package(workspace, api)
    assert b"\nName (text)\n" in files["README.txt"]


@pytest.mark.parametrize("task", ["package_datastore", "package_dwc_archive"])
def test_without_descriptions_the_archive_holds_the_data_alone(workspace: Workspace, api: CkanApi, task: str) -> None:
    workspace.configure(include_readme=False, include_datapackage=False)
    files = package(workspace, api, task)
    assert list(files) == (["resource.csv"] if task == "package_datastore" else ["occurrence.csv", "meta.xml"])
    assert {request.action for request in api.log} == {"datastore_search", "resource_show"}  # for the archive's name


@pytest.mark.parametrize(("setting", "parameter", "begins"), [
    (False, None, b"_id"), (True, None, BOM_UTF8 + b"_id"), (False, "true", BOM_UTF8 + b"_id"), (True, "false", b"_id"),
])  # fmt: skip
@pytest.mark.parametrize("format", ["csv", "TSV"])
def test_a_byte_order_mark_is_there_if_it_is_asked_for(
    workspace: Workspace, api: CkanApi, setting: bool, parameter: str | None, begins: bytes, format: str
) -> None:
    workspace.configure(bom=setting)
    files = package(workspace, api, format=format, bom=parameter)
    (content,) = (content for name, content in files.items() if name.startswith("resource."))
    assert content.startswith(begins)
