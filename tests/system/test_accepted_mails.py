"""The mail that a request was accepted: once, first of all, and never in the way of the job."""

from typing import Any

import pytest
from support.workspace import FakeSmtpServer, Workspace

from ckanpackager.demo.ckan_api import CkanApi

PAGE = {"email_accepted": True, "public_url": "https://packager.example.org"}


@pytest.fixture
def telling(workspace: Workspace) -> Workspace:
    workspace.configure(**PAGE)
    return workspace


def test_the_requester_hears_of_the_job_page_first_and_gets_the_link_then(telling: Workspace, api: CkanApi) -> None:
    id = telling.queue(api)
    telling.work()
    first, second = telling.mails
    assert first["Message-ID"].strip() == f"<{id}.accepted@localhost>"
    body = first.get_body(("plain",))
    assert body and f"https://packager.example.org/jobs/{id}" in body.get_content()
    assert second["Message-ID"].strip() == f"<{id}.link@localhost>"
    assert telling.find(id)[1].accepted_mailed_at is not None


def test_by_default_no_such_mail_is_sent(workspace: Workspace, api: CkanApi) -> None:
    workspace.queue(api)
    workspace.work()
    assert len(workspace.mails) == 1


def test_it_is_sent_although_all_worker_slots_are_taken(telling: Workspace, api: CkanApi) -> None:
    telling.configure(**PAGE, workers={"fast": 0, "slow": 0})
    ids = [telling.queue(api), telling.queue(api, limit=0)]  # the queue of the second is slow
    telling.work()
    assert sorted(str(mail["Message-ID"]).strip() for mail in telling.mails) == sorted(
        f"<{id}.accepted@localhost>" for id in ids
    )
    assert telling.where() == {"fast": 1, "slow": 1}


def test_all_are_told_before_anything_is_packaged(telling: Workspace, api: CkanApi) -> None:
    for _ in range(3):
        telling.queue(api)
    telling.work(max_jobs=1)
    assert [".accepted" in str(mail["Message-ID"]) for mail in telling.mails] == [True, True, True, False]


def test_each_requester_is_told_once_however_often_workers_look(telling: Workspace, api: CkanApi) -> None:
    telling.configure(**PAGE, workers={"fast": 0, "slow": 0})
    telling.queue(api)
    for _ in range(3):
        telling.work()
    telling.queue(api)
    telling.work()
    assert len(telling.mails) == 2


def test_jobs_that_were_looked_at_are_not_read_again(telling: Workspace, api: CkanApi) -> None:
    telling.configure(**PAGE, workers={"fast": 0, "slow": 0})
    telling.queue(api)
    telling.work()
    looked_at = (telling.spool.directory / "alerts" / "accepted").read_text()
    assert len(looked_at) == 15 and looked_at.startswith("20")


@pytest.mark.parametrize("answer", ["451 try later", "550 no such user"])
def test_its_failure_never_delays_the_job(telling: Workspace, api: CkanApi, smtp: FakeSmtpServer, answer: str) -> None:
    settings: dict[str, Any] = {**PAGE, **smtp.settings}
    telling.configure(**settings)
    smtp.answer = lambda address: answer if len(smtp.asked) < 2 else "250 OK"
    id = telling.queue(api)
    telling.work()
    folder, job = telling.find(id)
    assert (folder, job.accepted_mailed_at) == ("done", None) or job.link_mailed_at
    assert any(".link@" in str(mail["Message-ID"]) for mail in smtp.mails)


def test_a_retried_job_is_not_announced_again(telling: Workspace, api: CkanApi) -> None:
    id = telling.queue(api, resource_id="late")
    telling.work()
    claim = telling.spool.claim(id, "failed")
    assert claim
    claim.release(0, failure=None, failure_mailed_at=None, error_counted_at=None, finished_at=None)
    claim.close()
    telling.work()
    assert sum(".accepted" in str(mail["Message-ID"]) for mail in telling.mails) == 1


def test_without_public_url_the_configuration_is_refused(workspace: Workspace) -> None:
    workspace.configure(email_accepted=True)
    said = workspace.run("process")
    assert said.returncode == 2
    assert "public_url: missing, and email_accepted mails the address of the job page" in said.stderr
