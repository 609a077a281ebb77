"""The pipeline: the steps of a job, its retries, and that a worker that takes it over repeats nothing."""

import os
import re
import signal
import threading
import time
import zipfile
from typing import Any

import pytest
from msgspec.structs import replace
from support.ckan_faults import BUSY, CONTENT, answering, asked, read
from support.workspace import PATIENCE, FakeSmtpServer, Workspace, small_ckan, until

from ckanpackager.demo.ckan_api import CkanApi, Handler
from ckanpackager.jobs.job import Attempt
from ckanpackager.jobs.request import cache_key
from ckanpackager.packagers import datastore
from ckanpackager.spool.claim import Claim
from ckanpackager.status import MESSAGES, job_status
from ckanpackager.worker.retry import DAY, LISTED, LONGEST_ASKED
from ckanpackager.worker.signals import Stop, Stopped


def claim(workspace: Workspace, id: str, folder: str = "fast") -> Claim:
    claim = workspace.spool.claim(id, folder)
    assert claim
    return claim


# A job that goes well


def test_a_job_that_is_served_has_one_archive_one_mail_and_one_row_and_ends_in_done(
    workspace: Workspace, api: CkanApi
) -> None:
    id = workspace.queue(api)
    tally = workspace.work()
    assert (tally.served, tally.failed) == (1, 0)
    assert workspace.where() == {"done": 1}
    (name,) = workspace.archives
    assert read(workspace.store.directory / name) == CONTENT
    (mail,) = workspace.mails
    assert mail["To"] == "ann@example.org"
    body = mail.get_body(("plain",))
    assert body
    assert f"https://data.example.org/dl/{name}" in body.get_content()
    assert "Rows: 3" in body.get_content()
    _, job = workspace.find(id)
    assert job.archive
    assert (job.archive.name, job.archive.rows, job.failure) == (name, 3, None)
    assert all((job.link_mailed_at, job.request_counted_at, job.finished_at))
    assert [(attempt.outcome, attempt.error) for attempt in job.attempts] == [("done", None)]
    assert workspace.totals() == {"emails": 1, "requests": 1, "errors": 0}
    with workspace.statistics() as statistics:
        (row,) = statistics.requests()
    assert (row["resource_id"], row["count"]) == ("r", 3)
    directory, file = name.split("/")
    assert sorted(path.name for path in workspace.store.directory.iterdir()) == [f".{directory[:32]}.newest", directory]
    assert sorted(path.name for path in (workspace.store.directory / directory).iterdir()) == [".about.json", file]
    assert re.fullmatch(r"specimens-\d{4}-\d\d-\d\d\.zip", file)  # what the site calls the resource, and the day


def test_an_archive_is_named_by_the_id_where_the_site_tells_no_title(workspace: Workspace, api: CkanApi) -> None:
    api.resources["r"].name = ""
    api.files["a.txt"] = b"hello"
    workspace.queue(api)
    workspace.queue(api, "package_url", resource_id="An id", resource_url=f"{api.url}/files/a.txt")
    workspace.work()
    assert sorted(re.sub(r".*/|-\d{4}-.*", "", name) for name in workspace.archives) == ["an-id", "r"]


def test_the_archive_of_a_dataset_is_named_by_its_title(workspace: Workspace, api: CkanApi) -> None:
    resource = {"id": "r", "name": "Rows", "datastore_active": True}
    api.datasets["d"] = {"id": "d", "name": "d", "title": "Käfer & Co.", "resources": [resource]}
    workspace.queue(api, "package_dataset", dataset_id="d", resource_id=None, limit=None)
    workspace.work()
    assert re.search(r"/kafer-co-\d{4}-", workspace.archives[0])


def test_a_file_is_packaged_under_its_own_name(workspace: Workspace, api: CkanApi) -> None:
    api.files["a.txt"] = b"hello"
    workspace.queue(api, "package_url", resource_url=f"{api.url}/files/a.txt")
    assert workspace.work().served == 1
    with zipfile.ZipFile(workspace.store.directory / workspace.archives[0]) as archive:
        assert archive.read("a.txt") == b"hello"


def test_the_same_request_gets_the_same_archive(workspace: Workspace, api: CkanApi) -> None:
    first = workspace.queue(api)
    workspace.work()
    before = asked(api)
    second = workspace.queue(api, email="bob@example.org")
    other = workspace.queue(api, filters={"name": "n1"})
    workspace.work()
    archives = [workspace.find(id)[1].archive for id in (first, second, other)]
    assert archives[0] == archives[1] != archives[2]
    assert len(workspace.archives) == 2
    assert [mail["To"] for mail in workspace.mails] == ["ann@example.org", "bob@example.org", "ann@example.org"]
    searches = [request for request in api.log[before:] if request.action == "datastore_search"]
    assert searches and all(request.params.get("filters") for request in searches)


def test_without_cache_time_the_same_request_is_packaged_anew(workspace: Workspace, api: CkanApi) -> None:
    workspace.configure(cache_time=0)
    ids = [workspace.queue(api), workspace.queue(api)]
    workspace.work()
    assert len({workspace.find(id)[1].archive.name for id in ids}) == len(workspace.archives) == 2  # type: ignore[union-attr]
    assert len(workspace.mails) == 2


def test_an_archive_of_another_key_is_never_served(workspace: Workspace, api: CkanApi) -> None:
    workspace.queue(api, key="demo-key")
    workspace.queue(api)
    workspace.work()
    assert len(workspace.archives) == 2


def test_an_archive_that_was_removed_is_built_again(workspace: Workspace, api: CkanApi) -> None:
    workspace.queue(api)
    workspace.work()
    (name,) = workspace.archives
    (workspace.store.directory / name).unlink()
    workspace.queue(api)
    workspace.work()
    assert len(workspace.archives) == 1
    assert workspace.archives != [name]
    assert workspace.where() == {"done": 2}


def test_two_identical_jobs_at_once_build_once(workspace: Workspace, api: CkanApi) -> None:
    workspace.configure(workers={"fast": 2, "slow": 1})
    for email in ("ann@example.org", "bob@example.org"):
        workspace.queue(api, email=email)

    def fault(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
        until(lambda: workspace.where() == {"claimed": 2})
        return False

    api.fault = fault
    workers = [workspace.start("process") for _ in range(2)]
    for worker in workers:
        assert worker.communicate(timeout=PATIENCE) == ("", "")
        assert worker.returncode == 0
    assert workspace.where() == {"done": 2}
    assert len(workspace.archives) == 1
    assert sorted(mail["To"] for mail in workspace.mails) == ["ann@example.org", "bob@example.org"]
    assert len([request for request in api.log if request.params.get("limit") == 0]) == 1


# What may work later


def test_after_a_temporary_failure_the_job_waits_with_its_reason(workspace: Workspace, api: CkanApi) -> None:
    workspace.configure(retry_delay=500)
    id = workspace.queue(api)
    api.fault = BUSY
    began = time.time()
    tally = workspace.work()
    assert (tally.served, tally.failed) == (1, 0)
    assert workspace.where() == {"fast": 1}
    _, job = workspace.find(id)
    (attempt,) = job.attempts
    assert (attempt.step, attempt.outcome) == ("packaging", "retry")
    assert "answered 503 Service Unavailable" in str(attempt.error)
    assert began <= attempt.started <= (attempt.ended or 0) <= time.time()
    assert began + 500 <= workspace.spool.not_before(job) <= time.time() + 550
    assert workspace.archives == []
    assert workspace.mails == []
    assert list(workspace.store.directory.iterdir()) == []
    before = asked(api)
    workspace.work()
    assert asked(api) == before
    api.fault = None
    workspace.make_due()
    assert workspace.work().served == 1
    assert workspace.where() == {"done": 1}
    assert [attempt.outcome for attempt in workspace.find(id)[1].attempts] == ["retry", "done"]
    assert workspace.totals() == {"emails": 1, "requests": 1, "errors": 0}


def test_the_delay_doubles_up_to_its_limit(workspace: Workspace, api: CkanApi) -> None:
    workspace.configure(retry_delay=100, retry_delay_max=300)
    id = workspace.queue(api)
    api.fault = BUSY
    for delay in (100, 200, 300, 300):
        began = time.time()
        workspace.work()
        assert began + delay <= workspace.spool.not_before(workspace.find(id)[1]) <= time.time() + delay * 1.1
        workspace.make_due()


@pytest.mark.parametrize(("asked_for", "waits"), [("5000", 5000), ("9" * 400, LONGEST_ASKED), ("61", 100)])
def test_the_sites_wish_for_patience_is_heeded_within_reason(
    workspace: Workspace, api: CkanApi, asked_for: str, waits: float
) -> None:
    workspace.configure(retry_delay=100)
    id = workspace.queue(api)
    api.fault = answering(429, Retry_After=asked_for)
    began = time.time()
    workspace.work()
    assert asked(api) == 1
    assert began + waits <= workspace.spool.not_before(workspace.find(id)[1]) <= time.time() + waits * 1.1


def test_a_failure_is_retried_for_its_days_then_the_job_fails(workspace: Workspace, api: CkanApi) -> None:
    workspace.configure(retry_for={"packaging": 0.5}, max_attempts=1)
    id = workspace.queue(api)
    api.fault = BUSY
    for _ in range(3):  # however often: the days count
        assert workspace.work().failed == 0
        workspace.make_due()
    assert workspace.where() == {"fast": 1}
    age(workspace, id, 0.5 * DAY)
    assert workspace.work().failed == 1
    assert workspace.where() == {"failed": 1}
    _, job = workspace.find(id)
    assert "503" in str(job.failure)
    assert all((job.failure_mailed_at, job.error_counted_at, job.finished_at))
    (mail,) = workspace.mails
    assert "could not be packaged" in mail["Subject"]
    assert "503" in mail.as_string()
    assert workspace.totals() == {"emails": 0, "requests": 0, "errors": 1}
    with workspace.statistics() as statistics:
        assert "503" in statistics.errors()[0]["message"]


def age(workspace: Workspace, id: str, seconds: float) -> None:
    """Let all that happened to a waiting job have happened so much earlier."""
    held = claim(workspace, id)
    attempts = [replace(a, started=a.started - seconds, ended=(a.ended or 0) - seconds) for a in held.job.attempts]
    held.release(1, attempts=tuple(attempts))


def test_a_job_that_fails_for_days_does_not_grow(workspace: Workspace, api: CkanApi) -> None:
    workspace.configure(retry_delay=1)
    id = workspace.queue(api)
    api.fault = BUSY
    for _ in range(LISTED + 5):
        workspace.work()
        workspace.make_due()
    _, job = workspace.find(id)
    assert [attempt.times for attempt in job.attempts] == [1] * (LISTED - 1) + [6]
    began = time.time()
    workspace.work()
    assert workspace.spool.not_before(workspace.find(id)[1]) >= began + 3600  # the delay still grows with each of them


# What cannot work


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"resource_id": "nothing"}, "404 NOT FOUND: Not found: Resource"),
        ({"filters": {"nofield": 1}}, "409 CONFLICT: filters: Unknown field: nofield"),
        ({"sort": "nofield"}, "409 CONFLICT: "),
    ],
    ids=str,
)
def test_what_ckan_refuses_fails_at_once_in_its_own_words(
    workspace: Workspace, api: CkanApi, parameters: dict[str, Any], words: str
) -> None:
    id = workspace.queue(api, **parameters)
    assert workspace.work().failed == 1
    _, job = workspace.find(id)
    assert workspace.where() == {"failed": 1}
    assert len(job.attempts) == 1
    assert words.lower() in str(job.failure).lower()
    assert len(workspace.mails) == 1
    assert workspace.totals() == {"emails": 0, "requests": 0, "errors": 1}


@pytest.mark.parametrize(
    ("parameters", "settings", "key", "words"),
    [
        ({"task": "package_dwc_archive"}, {"dwc_id_field": "nofield"}, "dwc_id_field", "has no field 'nofield'"),
        ({"task": "package_dwc_archive"}, {"dwc_core_extension": "no.xml"}, "no.xml", "has a problem"),
        ({}, {"zip_command": "no-such-zip {output} {input}"}, "zip_command", "has a problem"),
        ({}, {"allow_private_addresses": False}, "allow_private_addresses", "does not fetch from there"),
    ],
    ids=str,
)
def test_requesters_read_no_advice_to_administrators(
    workspace: Workspace, api: CkanApi, parameters: dict[str, Any], settings: dict[str, Any], key: str, words: str
) -> None:
    workspace.configure(**settings)
    file = workspace.queue(api, "package_url", resource_url="http://127.0.0.1:9/x", api_url="http://127.0.0.2:9/x")
    id = workspace.queue(api, **parameters) if "allow_private_addresses" not in settings else file
    workspace.work()
    _, job = workspace.find(id)
    assert key in str(job.failure)
    assert words in str(job.public_failure)
    mails = [str(mail.get_body(("plain",)).get_content()) for mail in workspace.mails]  # type: ignore[union-attr]
    assert any(words in text for text in mails)
    assert not any(key in text for text in mails)


def test_an_internal_error_gives_up_that_job_only(
    workspace: Workspace, api: CkanApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = datastore.package

    def package(request: Any, archive: Any, context: Any) -> Any:
        if request.q == "bad":
            raise ZeroDivisionError("of \udcff\nby nought")
        return whole(request, archive, context)

    monkeypatch.setattr(datastore, "package", package)
    bad, good = workspace.queue(api, q="bad"), workspace.queue(api)
    tally = workspace.work()
    assert (tally.served, tally.failed) == (1, 1)
    assert workspace.find(good)[0] == "done"
    folder, job = workspace.find(bad)
    assert (folder, job.failure) == ("failed", r"internal error: ZeroDivisionError: of \udcff by nought")
    assert len(workspace.archives) == 1


# The mail server


def test_a_mail_refused_for_now_is_tried_again_without_building_again(
    workspace: Workspace, api: CkanApi, smtp: FakeSmtpServer
) -> None:
    workspace.configure(**smtp.settings)
    id = workspace.queue(api)
    smtp.answer = lambda address: "450 4.2.1 greylisted, come back"
    assert workspace.work().failed == 0
    assert workspace.where() == {"fast": 1}
    _, job = workspace.find(id)
    assert [(attempt.step, attempt.outcome) for attempt in job.attempts] == [("mail", "retry")]
    assert "450 4.2.1 greylisted" in str(job.attempts[0].error)
    assert job.archive
    before = asked(api)
    smtp.answer = lambda address: "250 OK"
    workspace.make_due()
    assert workspace.work().served == 1
    assert asked(api) == before
    assert len(smtp.mails) == 1
    assert workspace.archives == [job.archive.name]
    assert workspace.totals() == {"emails": 1, "requests": 1, "errors": 0}


def test_each_step_has_its_own_attempts(workspace: Workspace, api: CkanApi, smtp: FakeSmtpServer) -> None:
    workspace.configure(**smtp.settings, retry_for={"packaging": 0.1, "mail": 0.1})
    id = workspace.queue(api)
    api.fault = BUSY
    workspace.work()
    age(workspace, id, DAY)
    api.fault, smtp.answer = None, lambda address: "450 later"
    workspace.make_due()
    workspace.work()
    assert workspace.where() == {"fast": 1}
    smtp.answer = lambda address: "250 OK"
    workspace.make_due()
    assert workspace.work().served == 1
    assert workspace.where() == {"done": 1}


def test_an_address_refused_for_good_fails_the_job_without_a_loop_of_mails(
    workspace: Workspace, api: CkanApi, smtp: FakeSmtpServer
) -> None:
    workspace.configure(**smtp.settings)
    id = workspace.queue(api)
    smtp.answer = lambda address: "550 5.1.1 no such user"
    assert workspace.work().failed == 1
    assert workspace.where() == {"failed": 1}
    _, job = workspace.find(id)
    assert "550 5.1.1 no such user" in str(job.failure)
    assert "550" not in str(job.public_failure)
    assert job.failure_mailed_at is None
    assert job.error_counted_at
    assert [attempt.step for attempt in job.attempts] == ["mail"]
    assert smtp.asked == ["ann@example.org"]
    assert workspace.totals() == {"emails": 0, "requests": 0, "errors": 1}
    workspace.work()
    assert len(smtp.asked) == 1


def test_a_failure_mail_refused_for_now_is_retried_with_the_first_failure(
    workspace: Workspace, api: CkanApi, smtp: FakeSmtpServer
) -> None:
    workspace.configure(**smtp.settings, max_attempts=2)
    id = workspace.queue(api, resource_id="nothing")
    smtp.answer = lambda address: "450 later"
    workspace.work()
    assert workspace.where() == {"fast": 1}
    before = asked(api)
    workspace.make_due()
    smtp.answer = lambda address: "250 OK"
    workspace.work()
    folder, job = workspace.find(id)
    assert folder == "failed"
    assert "not found" in str(job.failure).lower()
    assert asked(api) == before
    assert len(smtp.mails) == 1
    assert workspace.totals() == {"emails": 0, "requests": 0, "errors": 1}


def test_a_mail_server_that_is_down_for_its_days_leaves_the_job_in_failed(workspace: Workspace, api: CkanApi) -> None:
    workspace.configure(mail_transport="smtp", smtp_host="127.0.0.1", smtp_port=1)
    id = workspace.queue(api)
    workspace.work()
    age(workspace, id, 5 * DAY - 60)
    workspace.work()
    assert workspace.find(id)[0] == "fast"
    age(workspace, id, 61)
    assert workspace.work().failed == 1
    folder, job = workspace.find(id)
    assert folder == "failed"
    assert "mail server 127.0.0.1:1: Connection refused" in str(job.failure)
    assert [attempt.step for attempt in job.attempts] == ["mail"] * 3
    assert workspace.totals() == {"emails": 0, "requests": 0, "errors": 1}


def test_a_requester_whose_archive_exists_gets_no_failure_mail(
    workspace: Workspace, api: CkanApi, smtp: FakeSmtpServer
) -> None:
    workspace.configure(**smtp.settings, retry_for={"mail": 1})
    id = workspace.queue(api)
    smtp.answer = lambda address: "450 later"
    workspace.work()
    age(workspace, id, DAY)
    smtp.answer, before = lambda address: "450 later" if len(smtp.asked) == 2 else "250 OK", len(smtp.asked)
    assert workspace.work().failed == 1
    assert workspace.find(id)[0] == "failed"
    assert (len(smtp.asked), smtp.mails) == (before + 1, [])


def test_administrators_are_told_once_of_what_fails_for_an_hour(
    workspace: Workspace, api: CkanApi, caplog: pytest.LogCaptureFixture
) -> None:
    workspace.configure(mail_transport="smtp", smtp_host="127.0.0.1", smtp_port=1)
    ids = [workspace.queue(api, q=word) for word in ("n1", "n2")]

    def told() -> list[str]:
        return [record.message for record in caplog.records if "has failed for an hour" in record.message]

    workspace.work()
    assert told() == []
    for _ in range(2):
        for id in ids:
            age(workspace, id, 3600)
        workspace.work()
    (words,) = told()
    shown = workspace.run("check").stdout
    assert re.search(
        r"WRONG jobs: 2 have failed for an hour or longer, and are retried; job \S+: mail: mail server", shown
    )
    assert re.search(r"mail has failed for an hour, and is retried for 5 days: mail server .* refused", words)
    workspace.configure()
    workspace.make_due()
    assert workspace.work().served == 2
    workspace.configure(mail_transport="smtp", smtp_host="127.0.0.1", smtp_port=1)
    another = workspace.queue(api)
    workspace.work()
    age(workspace, another, 3600)
    workspace.work()
    assert len(told()) == 2  # another outage


# The statistics


def test_a_database_that_is_missing_holds_no_mail_up_and_repeats_none(
    workspace: Workspace, api: CkanApi, smtp: FakeSmtpServer
) -> None:
    workspace.configure(**smtp.settings, stats_db="sqlite:///missing/stats.db")
    id = workspace.queue(api)
    workspace.work()
    assert workspace.where() == {"fast": 1}
    _, job = workspace.find(id)
    assert [(attempt.step, attempt.outcome) for attempt in job.attempts] == [("statistics", "retry")]
    assert len(smtp.mails) == 1
    before = asked(api)
    (workspace.directory / "missing").mkdir()
    workspace.make_due()
    assert workspace.work().served == 1
    assert len(smtp.mails) == 1
    assert asked(api) == before
    assert workspace.totals() == {"emails": 1, "requests": 1, "errors": 0}


def test_a_database_that_stays_missing_sends_no_failure_mail(
    workspace: Workspace, api: CkanApi, smtp: FakeSmtpServer
) -> None:
    workspace.configure(**smtp.settings, stats_db="sqlite:///missing/stats.db", retry_for={"statistics": 1})
    id = workspace.queue(api)
    assert workspace.work().failed == 0
    age(workspace, id, DAY)
    assert workspace.work().failed == 1
    assert workspace.where() == {"failed": 1}
    assert [mail["Subject"] for mail in smtp.mails] == ["Your data is ready: Specimens"]
    shown = job_status(*workspace.find(id), workspace.settings, workspace.spool, time.time())
    assert (shown.state, shown.message) == ("done", MESSAGES["done"])
    assert shown.download_url


# Taking over from a worker that died


def abandoned(workspace: Workspace, api: CkanApi, *, at: str) -> str:
    """A job whose worker died when the steps up to `at` were done."""
    id = workspace.queue(api)
    if at == "begun":
        changes: dict[str, Any] = {"archive_directory": workspace.store.new_directory("0" * 32)}
    else:
        name = workspace.store.new_directory("0" * 32)
        with workspace.store.part(name) as part:
            with zipfile.ZipFile(part, "w") as archive:
                archive.writestr("resource.csv", CONTENT)
            archive_of_job = workspace.store.publish(part, name, "r.zip", rows=3, now=time.time())
        changes = {"archive_directory": name}
        if at != "published":
            changes["archive"] = archive_of_job
        if at in ("link_mailed_at", "request_counted_at"):
            changes["link_mailed_at"] = 5.0
        if at == "request_counted_at":
            changes["request_counted_at"] = 6.0
    held = claim(workspace, id)
    held.save(attempts=(Attempt(started=1.0, worker="dead:1"),), **changes)
    held.close()
    assert workspace.where() == {"claimed": 1}
    return id


@pytest.mark.parametrize(
    ("at", "builds", "mails", "counts"),
    [
        ("begun", True, 1, 1),
        ("published", False, 1, 1),
        ("archive", False, 1, 1),
        ("link_mailed_at", False, 0, 1),
        ("request_counted_at", False, 0, 0),
    ],
)
def test_a_worker_that_takes_a_job_over_repeats_nothing(
    workspace: Workspace, api: CkanApi, at: str, builds: bool, mails: int, counts: int
) -> None:
    id = abandoned(workspace, api, at=at)
    assert workspace.work().served == 1
    assert workspace.where() == {"done": 1}
    assert bool(asked(api)) == builds
    assert len(workspace.mails) == mails
    assert workspace.totals().get("requests", 0) == counts
    assert len(workspace.archives) == 1
    _, job = workspace.find(id)
    assert [(attempt.worker == "dead:1", attempt.outcome) for attempt in job.attempts] == [
        (True, "died"),
        (False, "done"),
    ]


def test_a_mail_that_was_sent_but_not_recorded_has_the_same_message_id(
    workspace: Workspace, api: CkanApi, smtp: FakeSmtpServer
) -> None:
    """A death between the server's answer and our record of it cannot be excluded; mail programs can tell."""
    workspace.configure(**smtp.settings)
    id = workspace.queue(api)
    workspace.work()
    (workspace.spool.directory / "done" / f"{id}.json").rename(workspace.spool.directory / "fast" / f"{id}.json")
    held = claim(workspace, id)
    held.release(1, link_mailed_at=None, finished_at=None)
    workspace.work()
    assert len({mail["Message-ID"] for mail in smtp.mails}) == 1
    assert workspace.totals()["requests"] == 1


def test_an_archive_that_was_removed_before_it_was_mailed_is_built_again(workspace: Workspace, api: CkanApi) -> None:
    id = abandoned(workspace, api, at="archive")
    (name,) = workspace.archives
    workspace.store.clear()
    assert workspace.work().served == 1
    assert workspace.archives != [name]
    (mail,) = workspace.mails
    body = mail.get_body(("plain",))
    assert body
    assert workspace.archives[0] in body.get_content()
    _, job = workspace.find(id)
    assert job.archive
    assert job.archive.name == workspace.archives[0]


def test_an_archive_that_was_removed_after_it_was_mailed_is_not(workspace: Workspace, api: CkanApi) -> None:
    abandoned(workspace, api, at="link_mailed_at")
    workspace.store.clear()
    assert workspace.work().served == 1
    assert asked(api) == 0


def test_a_job_that_keeps_killing_its_workers_fails(workspace: Workspace, api: CkanApi) -> None:
    workspace.configure(max_attempts=3)
    id = workspace.queue(api)
    held = claim(workspace, id)
    held.save(attempts=tuple(Attempt(started=1.0, worker=f"dead:{number}", outcome="died") for number in range(3)))
    held.close()
    assert workspace.work().failed == 1
    folder, job = workspace.find(id)
    assert (folder, job.failure) == ("failed", "its worker died 3 times while it worked on it")
    assert asked(api) == 0
    assert len(workspace.mails) == 1
    assert workspace.totals()["errors"] == 1


def test_a_job_whose_workers_died_less_often_is_served(workspace: Workspace, api: CkanApi) -> None:
    workspace.configure(max_attempts=3)
    id = workspace.queue(api)
    held = claim(workspace, id)
    held.save(attempts=tuple(Attempt(started=1.0, worker=f"dead:{number}", outcome="died") for number in range(2)))
    held.close()
    assert workspace.work().served == 1
    assert workspace.find(id)[0] == "done"


def test_a_killed_workers_job_is_served_by_the_next(workspace: Workspace, api: CkanApi) -> None:
    stalled, go_on = threading.Event(), threading.Event()

    def fault(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
        if not stalled.is_set():
            stalled.set()
            go_on.wait(PATIENCE)
        return False

    api.fault = fault
    id = workspace.queue(api)
    worker = workspace.start("process")
    assert stalled.wait(PATIENCE)
    assert workspace.find(id)[0] == "claimed"
    worker.kill()
    worker.communicate()
    go_on.set()
    assert workspace.work().served == 1
    assert workspace.where() == {"done": 1}
    assert len(workspace.mails) == 1
    assert len(workspace.archives) == 1


# Being told to stop


def test_sigterm_while_packaging_returns_the_job_at_once(workspace: Workspace) -> None:
    with small_ckan(rows=5000) as api:
        stalled, go_on = threading.Event(), threading.Event()

        def fault(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
            if number >= 3:  # the question, the first page; then nothing more
                stalled.set()
                go_on.wait(60)
            return False

        api.fault = fault
        try:
            id = workspace.queue(api, limit=5000)
            worker = workspace.start("process")
            assert stalled.wait(PATIENCE)
            until(lambda: list(workspace.store.directory.glob(".*.part*")))
            told = time.monotonic()
            worker.terminate()
            assert worker.communicate(timeout=PATIENCE) == ("", "")
            assert worker.returncode == 0
            assert time.monotonic() - told < 10
        finally:
            go_on.set()
        assert workspace.where() == {"fast": 1}
        assert list(workspace.store.directory.iterdir()) == []
        folder, job = workspace.find(id)
        assert (folder, job.attempts, job.archive) == ("fast", (), None)
        assert workspace.spool.not_before(job) <= time.time()
        api.fault = None
        assert workspace.work().served == 1
        assert workspace.mails


def test_sigterm_while_the_mail_server_takes_its_time_finishes_that_job_first(
    workspace: Workspace, api: CkanApi, smtp: FakeSmtpServer
) -> None:
    workspace.configure(**smtp.settings)
    smtp.hold = threading.Event()
    ids = [workspace.queue(api), workspace.queue(api)]
    worker = workspace.start("process")
    assert smtp.holding.wait(PATIENCE)
    worker.terminate()
    assert worker.poll() is None
    smtp.hold.set()
    assert worker.communicate(timeout=PATIENCE) == ("", "")
    assert worker.returncode == 0
    assert [workspace.find(id)[0] for id in ids] == ["done", "fast"]
    assert len(smtp.mails) == 1
    assert workspace.totals()["requests"] == 1


def test_stopped_while_another_worker_builds_the_same(workspace: Workspace, api: CkanApi) -> None:
    id = workspace.queue(api)
    stop = Stop()

    def tell() -> None:
        until(lambda: workspace.where() == {"claimed": 1} and workspace.find(id)[1].attempts)
        os.kill(os.getpid(), signal.SIGTERM)

    with workspace.spool.building(cache_key(workspace.find(id)[1].request)), stop.on_signals():
        threading.Thread(target=tell).start()
        tally = workspace.work(stop=stop)
    assert (tally.served, tally.failed) == (0, 0)
    assert workspace.where() == {"fast": 1}
    assert asked(api) == 0


def test_a_stop_before_the_packaging_returns_the_job(workspace: Workspace, api: CkanApi) -> None:
    class Told(Stop):
        """Told at the moment when the packaging would begin."""

        def interruptible(self) -> Any:
            raise Stopped

    workspace.queue(api)
    workspace.work(stop=Told())
    assert workspace.where() == {"fast": 1}
    assert asked(api) == 0


# The loop


def test_the_fast_queue_goes_first_and_both_are_emptied(workspace: Workspace, api: CkanApi) -> None:
    slow, fast = workspace.queue(api, limit=0), workspace.queue(api)
    assert workspace.work().served == 2
    finished_at = [workspace.find(id)[1].finished_at or 0 for id in (fast, slow)]
    assert finished_at == sorted(finished_at)


def test_the_worker_ends_after_the_jobs_or_the_time_that_it_was_given(workspace: Workspace, api: CkanApi) -> None:
    for _ in range(3):
        workspace.queue(api)
    assert workspace.work(max_jobs=2).served == 2
    assert workspace.work(max_time=1e-9).served == 0
    assert workspace.work(max_time=100).served == 1
