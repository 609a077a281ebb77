"""A spool and a database of version 1.0.0 go on under this version."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support.workspace import FakeSmtpServer, Workspace, small_ckan

ID = "20261125T025045119168-d154e9c772b48d6276bc1e5307a14826"
FAILED = {"started": 1.0, "worker": "vm:1", "ended": 2.0, "step": "statistics", "error": "no connection"}
TABLES = """
CREATE TABLE errors (id INTEGER NOT NULL, timestamp BIGINT, resource_id VARCHAR, email VARCHAR, domain VARCHAR,
    message TEXT, job VARCHAR(255), PRIMARY KEY (id));
CREATE UNIQUE INDEX ckanpackager_errors_job ON errors (job);
CREATE TABLE requests (id INTEGER NOT NULL, timestamp BIGINT, resource_id VARCHAR, email VARCHAR, domain VARCHAR,
    count BIGINT, job VARCHAR(255), PRIMARY KEY (id));
CREATE UNIQUE INDEX ckanpackager_requests_job ON requests (job);
INSERT INTO requests VALUES (1, 1795575031, 'r', 'ann@example.org', 'example.org', 10, '20261125T025031922053-45a9');
"""


@pytest.fixture
def site(workspace: Workspace, smtp: FakeSmtpServer) -> Workspace:
    workspace.configure(**smtp.settings)
    return workspace


def job_of_version_1(workspace: Workspace, folder: str, api_url: str, **fields: Any) -> None:
    request = {"task": "package_datastore", "email": "cay@example.org", "resource_id": "r", "api_url": api_url}
    content = {"id": ID, "request": request, "created": 1795575045.1, "queue": "fast", "reserved": "a-b.zip", **fields}
    path: Path = workspace.directory / "spool" / folder / f"{ID}.json"
    path.write_text(json.dumps(content, indent=1))


def test_a_link_that_version_1_mailed_is_counted_and_not_mailed_again(site: Workspace, smtp: FakeSmtpServer) -> None:
    archive = {"name": "a-b.zip", "size": 2419, "rows": 11, "published": 1795575045.3}
    with small_ckan() as api:
        failed = [{**FAILED, "temporary": True}]
        job_of_version_1(site, "fast", api.api_url, archive=archive, link_mailed=1795575045.3, attempts=failed)
        site.work()
        assert api.log == []
    assert site.find(ID)[0] == "done"
    assert smtp.mails == []
    assert site.totals()["requests"] == 1


def test_a_job_whose_worker_died_under_version_1_is_taken_over(site: Workspace, smtp: FakeSmtpServer) -> None:
    with small_ckan() as api:
        job_of_version_1(site, "claimed", api.api_url, attempts=[{"started": 1.0, "worker": "vm:1"}])
        site.work()
    folder, job = site.find(ID)
    assert (folder, [attempt.outcome for attempt in job.attempts]) == ("done", ["died", "done"])
    assert [mail["To"] for mail in smtp.mails] == ["cay@example.org"]


def test_a_database_of_version_1_is_extended_and_version_1_could_go_on(site: Workspace) -> None:
    database = sqlite3.connect(site.directory / "stats.db")
    database.executescript(TABLES)
    assert site.totals()["requests"] == 1
    columns = "timestamp, resource_id, email, domain, count, job"
    database.execute(f"INSERT INTO requests ({columns}) VALUES (1, 'r', 'bob@example.org', 'example.org', 1, 'x')")
    database.commit()
    database.close()
    assert site.totals() == {"emails": 2, "requests": 2, "errors": 0}
