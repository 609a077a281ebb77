"""Frictionless finds our datapackage.json valid: Data Package and Table Schema 1.0 (https://specs.frictionlessdata.io)."""

import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from support.awkward_tables import AWKWARD_FIELDS, awkward, server
from support.programs import needs_library
from support.workspace import FIELDS, Workspace

from ckanpackager.demo import sample
from ckanpackager.demo.ckan_api import CkanApi, File, Resource

frictionless = needs_library("frictionless", extra="judges")
TABLES = {"awkward": (AWKWARD_FIELDS, awkward), "specimens": (sample.FIELDS, lambda: list(sample.rows(200)))}


@pytest.fixture
def describing(workspace: Workspace) -> Workspace:
    workspace.configure(include_datapackage=True)
    return workspace


def report(workspace: Workspace, id: str) -> Any:
    """What Frictionless reports of the archive of a job."""
    workspace.work()
    job = workspace.find(id)[1]
    assert job.archive, job.failure or job.attempts
    folder = workspace.directory / "unpacked"
    with zipfile.ZipFile(workspace.store.directory / job.archive.name) as archive:
        archive.extractall(folder)
    found = frictionless.validate(str(folder / "datapackage.json"))
    assert found.valid, found.flatten(["type", "note", "rowNumber", "fieldName"])
    return found


@pytest.mark.parametrize("format", ["csv", "tsv", "ndjson", "xlsx"])
@pytest.mark.parametrize("table", TABLES)
def test_a_table_of_every_format_is_valid(describing: Workspace, format: str, table: str) -> None:
    fields, rows = TABLES[table][0], TABLES[table][1]()
    with server("2.12", fields, rows) as api:
        found = report(describing, describing.queue(api, format=format, limit=0))
    assert found.tasks[0].stats["rows"] == len(rows)


@pytest.fixture
def dataset() -> Iterator[CkanApi]:
    """A dataset with two tables of almost one name, an empty one, a file, and a resource that is nowhere."""
    rows = [[1, "one"], [2, "two"]]
    tables = {
        "t1": Resource(FIELDS, rows, name="Specimens"),
        "t2": Resource(FIELDS, rows, name="specimens.csv"),
        "t3": Resource(FIELDS, [], name="Empty"),
    }
    with CkanApi(tables, files={"label.txt": File(b"content")}) as api:
        resources = [api.site.description(id) for id in tables]
        for id, name, url in (("f1", "The label", f"{api.url}/files/label.txt"), ("f2", "Nowhere", "")):
            resources.append({"id": id, "name": name, "url": url, "datastore_active": False})
        api.datasets["beetles"] = {"id": "d1", "name": "beetles", "title": "Beetles", "resources": resources}
        yield api


def test_a_dataset_is_valid(describing: Workspace, dataset: CkanApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ckanpackager.http_client.TRIES", 1)
    found = report(describing, describing.queue(dataset, "package_dataset", dataset_id="beetles"))
    assert len(found.tasks) == 4
