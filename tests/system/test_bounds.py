"""Bounds: what one request may have, what the store may hold, and that nothing is left of what passes them."""

import os
import random
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.workspace import FIELDS, Workspace, small_ckan
from support.wsgi_client import REQUESTS, WsgiClient
from support.zip_command import ZIP_COMMAND

from ckanpackager.archives import bounds
from ckanpackager.demo.ckan_api import CkanApi, File, Handler, Resource
from ckanpackager.errors import NoRoom, TemporaryFailure
from ckanpackager.jobs.job import Attempt, Outcome
from ckanpackager.spool import accepted
from ckanpackager.spool.alerts import Alerts
from ckanpackager.status import job_status
from ckanpackager.worker import retry

NOISE = random.Random(1).randbytes(300_000)  # which no ZIP makes smaller
DAY = 86400


def failure(workspace: Workspace, id: str) -> str:
    """Why a job has failed; its requester reads the same, and nothing is left of its archive."""
    folder, job = workspace.find(id)
    assert folder == "failed" and job.failure and job.mistaken, job
    assert job.public_failure == job.failure
    (mail,) = workspace.mails
    body = mail.get_body(("plain",))
    assert body and job.failure in " ".join(body.get_content().split())
    nothing_left(workspace)
    return job.failure


def nothing_left(workspace: Workspace) -> None:
    assert [path for path in workspace.store.directory.rglob("*") if path.is_file()] == []
    assert list(workspace.store.directory.glob(".*.part*")) == []
    assert list(Path(tempfile.gettempdir()).glob("ckanpackager-*")) == []


@pytest.fixture(autouse=True)
def own_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


def serve(api: CkanApi, name: str = "x.bin", content: bytes = NOISE) -> str:
    api.files[name] = File(content)
    return f"{api.url}/files/{name}"


def queue_file(workspace: Workspace, api: CkanApi, **more: Any) -> str:
    return workspace.queue(api, "package_url", resource_url=serve(api, **more), api_url=None, limit=None)


# Rows of one request


@pytest.mark.parametrize("format", ["csv", "ndjson", "xlsx"])
@pytest.mark.parametrize("task", ["package_datastore", "package_dwc_archive"])
def test_a_selection_of_too_many_rows_fails_in_words_before_any_is_read(
    workspace: Workspace, task: str, format: str
) -> None:
    workspace.configure(max_rows=500)
    with small_ckan(501) as api:
        id = workspace.queue(api, task, limit=None, format=format)
        workspace.work()
        words = "this selection has 501 rows; this portal packs at most 500; narrow it with filters or limit"
        assert failure(workspace, id) == words
        assert len(api.log) <= 2


def test_a_selection_that_filters_or_limit_make_small_enough_is_packed(workspace: Workspace) -> None:
    workspace.configure(max_rows=500)
    with small_ckan(501) as api:
        workspace.queue(api, limit=500)
        workspace.queue(api, limit=None, filters={"name": "n3"})
        workspace.queue(api, limit=None, offset=1)
        workspace.work()
    assert workspace.where() == {"done": 3}


def test_rows_are_counted_where_the_server_does_not_say_how_many_there_are(workspace: Workspace) -> None:
    workspace.configure(max_rows=5, page_size=2)
    with small_ckan(9) as api:
        api.fault = hide_totals
        id = workspace.queue(api, limit=None)
        small = workspace.queue(api, limit=5)
        workspace.work()
        assert workspace.find(small)[0] == "done"
        _, job = workspace.find(id)
    words = (
        "this selection has more than 5 rows, which is the most that this portal packs; narrow it with filters or limit"
    )
    assert job.failure == words
    assert len(workspace.archives) == 1


def hide_totals(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
    """A fault: the server does not say how many rows there are."""
    params["include_total"] = False
    return False


def dataset(api: CkanApi, tables: int, rows: int) -> None:
    resources = []
    for number in range(tables):
        id = f"t{number}"
        api.resources[id] = Resource(FIELDS, [[row, f"n{row}"] for row in range(1, rows + 1)], name=f"Table {number}")
        resources.append(api.site.description(id))
    api.datasets["d"] = {"id": "d", "name": "d", "title": "D", "resources": resources}


def test_the_tables_of_a_dataset_count_together(workspace: Workspace, api: CkanApi) -> None:
    workspace.configure(max_rows=11)
    dataset(api, tables=3, rows=4)
    id = workspace.queue(api, "package_dataset", dataset_id="d", resource_id=None, limit=None)
    workspace.work()
    assert failure(workspace, id).startswith("this selection has 12 rows; this portal packs at most 11")


# The archive of one request


def test_a_file_that_makes_too_large_an_archive_fails_in_words(workspace: Workspace, api: CkanApi) -> None:
    workspace.configure(max_archive_size=200_000)
    id = queue_file(workspace, api)
    workspace.work()
    assert failure(workspace, id).startswith(
        "the archive would be larger than 200.0 kB, which is the most that this portal packs; narrow the request"
    )


@pytest.mark.parametrize("more", [{}, {"zip_command": ZIP_COMMAND}], ids=["zipped here", "zip_command"])
@pytest.mark.parametrize("task", ["package_url", "package_dataset"])
def test_too_large_a_file_of_any_task_leaves_nothing_behind(
    workspace: Workspace, api: CkanApi, task: str, more: dict[str, Any]
) -> None:
    workspace.configure(max_archive_size=200_000, **more)
    if task == "package_url":
        id = queue_file(workspace, api)
    else:
        dataset(api, tables=1, rows=3)
        link = {"id": "f", "name": "x", "url": serve(api), "datastore_active": False}
        api.datasets["d"]["resources"].append(link)
        id = workspace.queue(api, task, dataset_id="d", resource_id=None, limit=None)
    workspace.work()
    assert "larger than 200.0 kB" in failure(workspace, id)


def test_an_archive_of_just_the_size_that_is_allowed_is_built(workspace: Workspace, api: CkanApi) -> None:
    workspace.queue(api)
    workspace.work()
    (name,) = workspace.archives
    size = (workspace.store.directory / name).stat().st_size
    for most, folder in ((size, "done"), (size - 1, "failed")):
        workspace.configure(max_archive_size=most, cache_time=0)
        id = workspace.queue(api)
        workspace.work()
        assert workspace.find(id)[0] == folder


def test_named_packages_may_have_more_than_requests(workspace: Workspace) -> None:
    with small_ckan(20) as api:
        package = {"task": "package_datastore", "api_url": api.api_url, "resource_id": "r", "refresh": "1 day"}
        workspace.configure(max_rows=10, max_archive_size=10, named_packages={"all": package})
        assert workspace.run("refresh").returncode == 0
        workspace.work()
    assert (workspace.store.directory / "named" / "all.zip").exists()


# The store and the disks


def fill(workspace: Workspace, size: int, age: float = 0) -> str:
    """Put an archive into the store that was published a while ago."""
    now = time.time() - age
    with workspace.store.part(directory := workspace.store.new_directory("a" * 32)) as part:
        part.write_bytes(bytes(size))
        os.utime(part, (now, now))
        return workspace.store.publish(part, directory, "t-1970-01-01.zip", rows=1, now=now).name


def test_with_a_full_store_jobs_wait_and_patience_is_not_used_up(
    workspace: Workspace, api: CkanApi, caplog: pytest.LogCaptureFixture
) -> None:
    workspace.configure(store_max_size=10_000)
    kept = fill(workspace, 10_000)
    ids = [workspace.queue(api, limit=number) for number in (1, 2)]
    for _ in range(3):
        workspace.make_due()
        tally = workspace.work()
        assert (tally.served, tally.failed) == (2, 0)
    assert workspace.where() == {"fast": 2}
    assert workspace.archives == [kept] and workspace.mails == []
    _, job = workspace.find(ids[0])
    assert [attempt.outcome for attempt in job.attempts] == ["full"] * 3
    status = job_status(*workspace.find(ids[0]), workspace.settings, workspace.spool, time.time())
    assert status.state == "waiting" and status.message.startswith("Something did not work yet")
    told = [record.getMessage() for record in caplog.records if "store_max_size" in record.getMessage()]
    assert len(told) == 1, "administrators are told once"
    assert "the store holds" in told[0] and "raise it, or remove archives with clean or clear-cache" in told[0]
    workspace.store.clear()
    workspace.make_due()
    workspace.work()
    assert workspace.where() == {"done": 2}
    assert not Alerts(workspace.spool.files).goes_on("room")


def test_expired_archives_make_room_but_none_that_an_open_job_needs(workspace: Workspace, api: CkanApi) -> None:
    workspace.configure(store_max_size=10_000, keep_archives=2)
    fill(workspace, 10_000, age=3 * DAY)
    workspace.queue(api)
    workspace.work()
    assert workspace.where() == {"done": 1} and len(workspace.archives) == 1


def test_a_full_store_serves_what_is_in_it(workspace: Workspace, api: CkanApi) -> None:
    workspace.queue(api)
    workspace.work()
    workspace.configure(store_max_size=1)
    workspace.queue(api)
    workspace.work()
    assert workspace.where() == {"done": 2} and len(workspace.archives) == 1


def test_a_build_that_would_pass_what_the_store_may_hold_is_stopped(workspace: Workspace, api: CkanApi) -> None:
    workspace.configure(store_max_size=400_000)
    kept = fill(workspace, 200_000)
    id = queue_file(workspace, api)
    workspace.work()
    folder, job = workspace.find(id)
    assert folder == "fast" and job.attempts[-1].outcome == "full"
    assert workspace.archives == [kept]
    assert list(workspace.store.directory.glob(".*.part*")) == []


def test_what_others_publish_meanwhile_counts(
    workspace: Workspace, api: CkanApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LOOK", 1e9)
    workspace.configure(store_max_size=10_000)
    kept: list[str] = []

    def publish_another(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
        kept.extend([] if kept else [fill(workspace, 10_000)])
        return False

    api.fault = publish_another
    id = workspace.queue(api)
    workspace.work()
    folder, job = workspace.find(id)
    assert folder == "fast" and job.attempts[-1].outcome == "full"
    assert workspace.archives == kept


def test_an_archive_larger_than_the_whole_store_may_be_fails_instead_of_waiting_for_ever(
    workspace: Workspace, api: CkanApi
) -> None:
    workspace.configure(store_max_size=200_000)
    id = queue_file(workspace, api)
    workspace.work()
    assert "larger than 200.0 kB" in failure(workspace, id)


def test_with_too_little_free_space_jobs_wait(workspace: Workspace, api: CkanApi) -> None:
    workspace.configure(min_free_space=10**18)
    id = workspace.queue(api)
    workspace.work()
    folder, job = workspace.find(id)
    assert folder == "fast" and "min_free_space is" in str(job.attempts[-1].error)
    assert len(api.log) == 0, "CKAN is not asked for what cannot be kept"
    nothing_left(workspace)


@pytest.mark.parametrize("format", ["csv", "xlsx"])
def test_free_space_that_shrinks_while_an_archive_is_written_stops_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    free = iter([10**9] * 4)
    monkeypatch.setattr(bounds, "free_space", lambda folder: next(free, 0))
    monkeypatch.setattr(bounds, "LOOK", 0.0)
    workspace.configure(min_free_space=10**6, page_size=10)
    with small_ckan(500) as api:
        id = workspace.queue(api, limit=None, format=format)
        workspace.work()
    folder, job = workspace.find(id)
    assert folder == "slow" and job.attempts[-1].outcome == "full"
    nothing_left(workspace)


# Requests of one address


def test_requests_of_an_address_within_a_day_are_bounded_whatever_became_of_them(tmp_path: Path) -> None:
    client = WsgiClient(tmp_path, max_jobs_per_email_per_day=2)
    parameters = REQUESTS["package_datastore"]
    for _ in range(2):
        assert client.post("/package_datastore", **parameters).status == 200
        (id,) = client.workspace.spool.ids("slow")
        claim = client.workspace.spool.claim(id, "slow")
        assert claim
        claim.finish()
    answer = client.post("/package_datastore", **{**parameters, "email": "ANN@example.org"})
    assert answer.status == 429
    assert "has made 2 requests within 24 hours, and 2 are allowed; please try again in 24 hours" in answer.json["msg"]
    assert DAY - 60 < int(answer.headers["Retry-After"]) <= DAY
    assert "ann@" not in answer.log.lower() and "too many requests of one address within a day" in answer.log
    assert client.post("/package_datastore", **{**parameters, "email": "bob@example.org"}).status == 200
    age(client.workspace, "ann@example.org", DAY)
    assert client.post("/package_datastore", **parameters).status == 200


def test_another_spelling_of_an_address_evades_no_bound(tmp_path: Path) -> None:
    spellings = [
        "ann@münchen.example",
        "ANN@MÜNCHEN.example",
        "ann@xn--mnchen-3ya.example",
        "ann@\N{FULLWIDTH LATIN SMALL LETTER M}ünchen.example",
    ]
    for bound in ("max_jobs_per_email", "max_jobs_per_email_per_day"):
        (tmp_path / bound).mkdir()
        client = WsgiClient(tmp_path / bound, **{bound: 1})
        answers = [
            client.post("/package_datastore", **{**REQUESTS["package_datastore"], "email": e}) for e in spellings
        ]
        assert [answer.status for answer in answers] == [200, 429, 429, 429]


def test_requests_that_overtake_each_other_evade_no_bound(tmp_path: Path) -> None:
    client = WsgiClient(tmp_path, max_jobs_per_email_per_day=5)
    parameters = REQUESTS["package_datastore"]
    with ThreadPoolExecutor(30) as threads:
        answers = list(threads.map(lambda _: client.post("/package_datastore", **parameters).status, range(30)))
    assert sorted(answers) == [200] * 5 + [429] * 25


def age(workspace: Workspace, email: str, seconds: float) -> None:
    known = accepted.times(workspace.spool.files, email, time.time())
    accepted.write(workspace.spool.files, email, [moment - seconds for moment in known])


def test_a_request_that_was_refused_does_not_count(tmp_path: Path) -> None:
    client = WsgiClient(tmp_path, max_jobs_per_email=1, max_jobs_per_email_per_day=2)
    parameters = REQUESTS["package_datastore"]
    assert client.post("/package_datastore", **parameters).status == 200
    for _ in range(3):
        assert client.post("/package_datastore", **parameters).status == 429
    assert len(accepted.times(client.workspace.spool.files, "ann@example.org", time.time())) == 1


def test_the_bound_for_a_day_reads_no_job_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = WsgiClient(tmp_path, max_jobs_per_email_per_day=3)
    (tmp_path / "spool" / "done").rmdir()  # what is not there cannot be read
    monkeypatch.setattr(type(client.workspace.spool), "prepare", lambda spool: None)
    assert client.post("/package_datastore", **REQUESTS["package_datastore"]).status == 200


def test_what_is_known_of_an_address_goes_after_a_day_and_when_it_is_forgotten(tmp_path: Path) -> None:
    client = WsgiClient(tmp_path, max_jobs_per_email_per_day=3)
    folder = client.workspace.spool.directory / "accepted"
    assert client.post("/package_datastore", **REQUESTS["package_datastore"]).status == 200
    (file,) = folder.iterdir()
    assert b"ann" not in file.read_bytes() and "ann" not in file.name
    client.workspace.spool.remove_ended_of("Ann@example.org")
    assert list(folder.iterdir()) == []
    assert client.post("/package_datastore", **REQUESTS["package_datastore"]).status == 200
    (file,) = folder.iterdir()
    os.utime(file, (time.time() - DAY - 1,) * 2)
    assert client.workspace.run("clean").returncode == 0
    assert list(folder.iterdir()) == []


# Patience


def full(now: float, outcome: Outcome = "full", times: int = 1) -> Attempt:
    return Attempt(started=now, ended=now, worker="w", step="packaging", kind="packaging", outcome=outcome, times=times)


def test_a_job_that_waits_for_room_never_runs_out_of_patience_and_has_all_of_it_afterwards(
    workspace: Workspace, api: CkanApi
) -> None:
    settings = workspace.settings.spool
    _, job = workspace.find(workspace.queue(api))
    waited = replace(job, attempts=(full(0, "retry"), *(full(number * DAY) for number in range(300))))
    seconds = retry.delay(waited, "packaging", NoRoom("full"), settings, now=300 * DAY, chance=0)
    assert seconds == settings.retry_delay_max
    failed = replace(waited, attempts=(*waited.attempts, full(300 * DAY, "retry")))
    for now, goes_on in ((301, True), (303, False)):
        seconds = retry.delay(failed, "packaging", TemporaryFailure("503"), settings, now=now * DAY, chance=0)
        assert (seconds is not None) == goes_on
