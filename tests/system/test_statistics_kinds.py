"""What the statistics keep of each job: format, bytes and task of what was served, and the kind of each failure."""

from typing import Any

import pytest
from msgspec.structs import replace
from support.ckan_faults import answering
from support.workspace import FakeSmtpServer, Workspace

from ckanpackager.demo.ckan_api import CkanApi, Handler
from ckanpackager.errors import FAILURE_KINDS
from ckanpackager.jobs.job import Attempt
from ckanpackager.packagers import datastore

LONG = 40 * 86400  # seconds: longer than anything is retried


def kinds(workspace: Workspace) -> list[str | None]:
    with workspace.statistics() as statistics:
        return [row["kind"] for row in statistics.errors()]


def fail(workspace: Workspace, id: str) -> None:
    """Let a job fail, and fail again when it has been retried for long enough."""
    workspace.work()
    if workspace.where() == {"fast": 1}:
        claim = workspace.spool.claim(id, "fast")
        assert claim
        attempts = [replace(each, started=1, ended=(each.ended or 0) - LONG) for each in claim.job.attempts]
        claim.release(1, attempts=tuple(attempts))
        workspace.work()
    assert workspace.where() == {"failed": 1}


def test_a_request_is_counted_with_its_format_size_and_task(workspace: Workspace, api: CkanApi) -> None:
    api.files["a"] = b"some text"
    asked = {
        workspace.queue(api): ("csv", "package_datastore"),
        workspace.queue(api, format="xlsx"): ("xlsx", "package_datastore"),
        workspace.queue(api, task="package_dwc_archive", format="<b>"): ("dwca", "package_dwc_archive"),
        workspace.queue(api, task="package_url", resource_url=f"{api.url}/files/a"): (None, "package_url"),
    }
    workspace.work()
    with workspace.statistics() as statistics:
        rows = {row["job"]: row for row in statistics.requests()}
    assert {job: (row["format"], row["task"]) for job, row in rows.items()} == asked
    for job, row in rows.items():
        archive = workspace.find(job)[1].archive
        assert archive and row["bytes"] == archive.size > 0


@pytest.mark.parametrize(
    ("status", "kind"), [(403, "refused"), (404, "refused"), (409, "refused"), (500, "site"), (503, "site")]
)
def test_what_the_site_answers_decides_the_kind(workspace: Workspace, api: CkanApi, status: int, kind: str) -> None:
    id = workspace.queue(api)
    api.fault = answering(status, Retry_After="0")
    fail(workspace, id)
    assert kinds(workspace) == [kind] == [workspace.find(id)[1].failure_kind]


def test_a_site_that_is_away_is_a_failure_of_the_network(workspace: Workspace) -> None:
    id = workspace.queue("http://127.0.0.1:1/api/3/action/datastore_search")
    fail(workspace, id)
    assert kinds(workspace) == ["network"]


def test_an_error_of_ours_is_internal(workspace: Workspace, api: CkanApi, monkeypatch: pytest.MonkeyPatch) -> None:
    def package(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(datastore, "package", package)
    workspace.queue(api)
    workspace.work()
    assert kinds(workspace) == ["internal"]


def test_a_mail_that_is_refused_for_good_is_a_failure_of_the_mail(
    workspace: Workspace, api: CkanApi, smtp: FakeSmtpServer
) -> None:
    workspace.configure(**smtp.settings)
    workspace.queue(api)
    smtp.answer = lambda address: "550 no such user"
    workspace.work()
    assert kinds(workspace) == ["mail"]


def test_the_first_failure_decides_not_that_of_the_failure_mail(
    workspace: Workspace, api: CkanApi, smtp: FakeSmtpServer
) -> None:
    workspace.configure(**smtp.settings)
    workspace.queue(api, resource_id="missing")
    smtp.answer = lambda address: "550 no such user"
    workspace.work()
    assert kinds(workspace) == ["refused"]


def test_a_job_that_keeps_killing_its_workers_fails_by_the_worker(workspace: Workspace, api: CkanApi) -> None:
    workspace.configure(max_attempts=1)
    id = workspace.queue(api)
    claim = workspace.spool.claim(id, "fast")
    assert claim
    claim.save(attempts=(Attempt(started=1.0, worker="dead", outcome="died"),))
    claim.close()
    workspace.work()
    assert kinds(workspace) == ["worker"]


def test_a_job_that_is_retried_has_no_kind_of_failure_until_it_fails_again(workspace: Workspace, api: CkanApi) -> None:
    id = workspace.queue(api, resource_id="missing")
    workspace.work()
    assert workspace.find(id)[1].failure_kind == "refused"
    assert workspace.run("retry", id).returncode == 0
    assert workspace.find(id)[1].failure_kind is None


def test_an_answer_that_is_not_ckans_is_a_failure_of_the_site(workspace: Workspace, api: CkanApi) -> None:
    def fault(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
        handler.reply(200, "[1]")
        return True

    id = workspace.queue(api)
    api.fault = fault
    fail(workspace, id)
    assert kinds(workspace) == ["site"]
    assert set(kinds(workspace)) <= FAILURE_KINDS.keys()
