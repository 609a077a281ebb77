"""The corridor: a job's walk, its retries, and that whoever takes it over repeats nothing."""

import os
import signal
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from place import Place, Post, small_ckan, until

from ckanpackager.claim import Claim
from ckanpackager.demo.ckan_api import CkanApi, Handler
from ckanpackager.job import Attempt
from ckanpackager.packagers import datastore
from ckanpackager.process import LONGEST_ASKED, human_size
from ckanpackager.request import cache_key
from ckanpackager.stopping import Stop, Stopped

CONTENT = b"_id,name\n1,n1\n2,n2\n3,n3\n"
Fault = Callable[[Handler, str, dict[str, Any], int], bool]


def answering(status: int, body: str = "{}", **headers: str) -> Fault:
    """A CKAN that gives this answer to everything."""

    def fault(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
        handler.reply(status, body, **headers)
        return True

    return fault


BUSY = answering(503, Retry_After="0")  # which lets the client's own tries follow each other at once


def read(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        (name,) = archive.namelist()
        return archive.read(name)


def claim(place: Place, id: str, folder: str = "fast") -> Claim:
    claim = place.spool.claim(id, folder)
    assert claim
    return claim


def asked(api: CkanApi) -> int:
    return len(api.log)


# A job that goes well


def test_a_job_that_is_served_has_one_archive_one_mail_and_one_row_and_ends_in_done(place: Place, api: CkanApi) -> None:
    id = place.queue(api)
    tally = place.work()
    assert (tally.served, tally.failed) == (1, 0)
    assert place.where() == {"done": 1}
    (name,) = place.archives
    assert read(place.store.directory / name) == CONTENT
    (mail,) = place.mails
    assert mail["To"] == "ann@example.org"
    body = mail.get_body(("plain",))
    assert body
    assert f"https://data.example.org/dl/{name}" in body.get_content()
    assert "Rows: 3" in body.get_content()
    _, job = place.find(id)
    assert job.archive
    assert (job.archive.name, job.archive.rows, job.failure) == (name, 3, None)
    assert all((job.link_mailed, job.request_counted, job.finished))
    assert [(attempt.step, attempt.error) for attempt in job.attempts] == [("end", None)]
    assert place.totals() == {"emails": 1, "requests": 1, "errors": 0}
    with place.ledger() as ledger:
        (row,) = ledger.requests()
    assert (row["resource_id"], row["count"]) == ("r", 3)
    assert sorted(path.name for path in place.store.directory.iterdir()) == [f".{name}.json", name]


def test_a_file_is_packaged_under_its_own_name(place: Place, api: CkanApi) -> None:
    api.files["a.txt"] = b"hello"
    place.queue(api, "package_url", resource_url=f"{api.url}/files/a.txt")
    assert place.work().served == 1
    with zipfile.ZipFile(place.store.directory / place.archives[0]) as archive:
        assert archive.read("a.txt") == b"hello"


def test_the_same_request_gets_the_same_archive(place: Place, api: CkanApi) -> None:
    first = place.queue(api)
    place.work()
    before = asked(api)
    second = place.queue(api, email="bob@example.org")
    other = place.queue(api, filters={"name": "n1"})
    place.work()
    archives = [place.find(id)[1].archive for id in (first, second, other)]
    assert archives[0] == archives[1] != archives[2]
    assert len(place.archives) == 2
    assert [mail["To"] for mail in place.mails] == ["ann@example.org", "bob@example.org", "ann@example.org"]
    assert len([True for request in api.log[before:] if not request.params.get("filters")]) == 0


def test_without_cache_time_the_same_request_is_packaged_anew(place: Place, api: CkanApi) -> None:
    place.configure(cache_time=0)
    ids = [place.queue(api), place.queue(api)]
    place.work()
    assert len({place.find(id)[1].archive.name for id in ids}) == len(place.archives) == 2  # type: ignore[union-attr]
    assert len(place.mails) == 2


def test_an_archive_of_another_key_is_never_handed_out(place: Place, api: CkanApi) -> None:
    place.queue(api, key="demo-key")
    place.queue(api)
    place.work()
    assert len(place.archives) == 2


def test_an_archive_that_was_removed_is_built_again(place: Place, api: CkanApi) -> None:
    place.queue(api)
    place.work()
    (name,) = place.archives
    (place.store.directory / name).unlink()
    place.queue(api)
    place.work()
    assert len(place.archives) == 1
    assert place.archives != [name]
    assert place.where() == {"done": 2}


def test_two_identical_jobs_at_once_build_once(place: Place, api: CkanApi) -> None:
    place.configure(workers={"fast": 2, "slow": 1})
    for email in ("ann@example.org", "bob@example.org"):
        place.queue(api, email=email)

    def fault(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
        until(lambda: place.where() == {"claimed": 2})
        return False

    api.fault = fault
    workers = [place.start("process") for _ in range(2)]
    for worker in workers:
        assert worker.communicate(timeout=60) == ("", "")
        assert worker.returncode == 0
    assert place.where() == {"done": 2}
    assert len(place.archives) == 1
    assert sorted(mail["To"] for mail in place.mails) == ["ann@example.org", "bob@example.org"]
    assert len([request for request in api.log if request.params.get("limit") == 0]) == 1


# What may work later


def test_a_temporary_failure_puts_the_job_back_for_later_with_its_reason(place: Place, api: CkanApi) -> None:
    place.configure(retry_delay=500)
    id = place.queue(api)
    api.fault = BUSY
    began = time.time()
    tally = place.work()
    assert (tally.served, tally.failed) == (1, 0)
    assert place.where() == {"fast": 1}
    _, job = place.find(id)
    (attempt,) = job.attempts
    assert (attempt.step, attempt.temporary) == ("packaging", True)
    assert "answered 503 Service Unavailable" in str(attempt.error)
    assert began <= attempt.started <= (attempt.ended or 0) <= time.time()
    assert began + 500 <= place.spool.due(job) <= time.time() + 550
    assert place.archives == []
    assert place.mails == []
    assert list(place.store.directory.iterdir()) == []
    before = asked(api)
    place.work()
    assert asked(api) == before
    api.fault = None
    place.make_due()
    assert place.work().served == 1
    assert place.where() == {"done": 1}
    assert [attempt.step for attempt in place.find(id)[1].attempts] == ["packaging", "end"]
    assert place.totals() == {"emails": 1, "requests": 1, "errors": 0}


def test_the_delay_doubles_up_to_its_limit(place: Place, api: CkanApi) -> None:
    place.configure(retry_delay=100, retry_delay_max=300, max_attempts=5)
    id = place.queue(api)
    api.fault = BUSY
    for delay in (100, 200, 300, 300):
        began = time.time()
        place.work()
        assert began + delay <= place.spool.due(place.find(id)[1]) <= time.time() + delay * 1.1
        place.make_due()


@pytest.mark.parametrize(("asked_for", "waits"), [("5000", 5000), ("9" * 400, LONGEST_ASKED), ("61", 100)])
def test_the_sites_wish_for_patience_is_heeded_within_reason(
    place: Place, api: CkanApi, asked_for: str, waits: float
) -> None:
    place.configure(retry_delay=100)
    id = place.queue(api)
    api.fault = answering(429, Retry_After=asked_for)
    began = time.time()
    place.work()
    assert asked(api) == 1
    assert began + waits <= place.spool.due(place.find(id)[1]) <= time.time() + waits * 1.1


def test_after_max_attempts_the_job_is_given_up_and_its_requester_told(place: Place, api: CkanApi) -> None:
    place.configure(max_attempts=2)
    id = place.queue(api)
    api.fault = BUSY
    assert place.work().failed == 0
    place.make_due()
    assert place.work().failed == 1
    assert place.where() == {"failed": 1}
    _, job = place.find(id)
    assert "503" in str(job.failure)
    assert all((job.failure_mailed, job.error_counted, job.finished))
    (mail,) = place.mails
    assert "could not be packaged" in mail["Subject"]
    assert "503" in mail.as_string()
    assert place.totals() == {"emails": 0, "requests": 0, "errors": 1}
    with place.ledger() as ledger:
        assert "503" in ledger.errors()[0]["message"]


def test_a_job_may_be_tried_any_number_of_times(place: Place, api: CkanApi) -> None:
    place.configure(max_attempts=5000, retry_delay=1)
    id = place.queue(api)
    held = claim(place, id)
    once = Attempt(started=1, worker="w", ended=2, step="packaging", error="x", temporary=True)
    held.postpone(1, attempts=(once,) * 2000)
    api.fault = BUSY
    place.work()
    assert place.where() == {"fast": 1}


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
def test_what_ckan_refuses_is_given_up_at_once_in_its_own_words(
    place: Place, api: CkanApi, parameters: dict[str, Any], words: str
) -> None:
    id = place.queue(api, **parameters)
    assert place.work().failed == 1
    _, job = place.find(id)
    assert place.where() == {"failed": 1}
    assert len(job.attempts) == 1
    assert words.lower() in str(job.failure).lower()
    assert len(place.mails) == 1
    assert place.totals() == {"emails": 0, "requests": 0, "errors": 1}


def test_an_internal_error_gives_up_that_job_only(place: Place, api: CkanApi, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = datastore.package

    def package(request: Any, archive: Any, kit: Any) -> Any:
        if request.q == "bad":
            raise ZeroDivisionError("of \udcff\nby nought")
        return whole(request, archive, kit)

    monkeypatch.setattr(datastore, "package", package)
    bad, good = place.queue(api, q="bad"), place.queue(api)
    tally = place.work()
    assert (tally.served, tally.failed) == (1, 1)
    assert place.find(good)[0] == "done"
    folder, job = place.find(bad)
    assert (folder, job.failure) == ("failed", r"internal error: ZeroDivisionError: of \udcff by nought")
    assert len(place.archives) == 1


# The mail server


def test_a_mail_refused_for_now_is_tried_again_without_building_again(place: Place, api: CkanApi, post: Post) -> None:
    place.configure(**post.settings)
    id = place.queue(api)
    post.answer = lambda address: "450 4.2.1 greylisted, come back"
    assert place.work().failed == 0
    assert place.where() == {"fast": 1}
    _, job = place.find(id)
    assert [(attempt.step, attempt.temporary) for attempt in job.attempts] == [("mail", True)]
    assert "450 4.2.1 greylisted" in str(job.attempts[0].error)
    assert job.archive
    before = asked(api)
    post.answer = lambda address: "250 OK"
    place.make_due()
    assert place.work().served == 1
    assert asked(api) == before
    assert len(post.mails) == 1
    assert place.archives == [job.archive.name]
    assert place.totals() == {"emails": 1, "requests": 1, "errors": 0}


def test_each_step_has_its_own_attempts(place: Place, api: CkanApi, post: Post) -> None:
    place.configure(**post.settings, max_attempts=2)
    place.queue(api)
    api.fault = BUSY
    place.work()
    api.fault, post.answer = None, lambda address: "450 later"
    place.make_due()
    place.work()
    assert place.where() == {"fast": 1}
    post.answer = lambda address: "250 OK"
    place.make_due()
    assert place.work().served == 1
    assert place.where() == {"done": 1}


def test_an_address_refused_for_good_fails_the_job_without_a_loop_of_mails(
    place: Place, api: CkanApi, post: Post
) -> None:
    place.configure(**post.settings)
    id = place.queue(api)
    post.answer = lambda address: "550 5.1.1 no such user"
    assert place.work().failed == 1
    assert place.where() == {"failed": 1}
    _, job = place.find(id)
    assert "550 5.1.1 no such user" in str(job.failure)
    assert job.failure_mailed is None
    assert job.error_counted
    assert [attempt.step for attempt in job.attempts] == ["mail", "failure mail"]
    assert post.asked == ["ann@example.org"] * 2
    assert place.totals() == {"emails": 0, "requests": 0, "errors": 1}
    place.work()
    assert len(post.asked) == 2


def test_a_failure_mail_refused_for_now_is_tried_again_and_the_failure_stays_the_first(
    place: Place, api: CkanApi, post: Post
) -> None:
    place.configure(**post.settings, max_attempts=2)
    id = place.queue(api, resource_id="nothing")
    post.answer = lambda address: "450 later"
    place.work()
    assert place.where() == {"fast": 1}
    before = asked(api)
    place.make_due()
    post.answer = lambda address: "250 OK"
    place.work()
    folder, job = place.find(id)
    assert folder == "failed"
    assert "not found" in str(job.failure).lower()
    assert asked(api) == before
    assert len(post.mails) == 1
    assert place.totals() == {"emails": 0, "requests": 0, "errors": 1}


def test_a_mail_server_that_is_down_until_the_end_leaves_the_job_in_failed(place: Place, api: CkanApi) -> None:
    place.configure(mail_transport="smtp", smtp_host="127.0.0.1", smtp_port=1, max_attempts=2)
    id = place.queue(api)
    for _ in range(4):
        place.work()
        place.make_due()
    folder, job = place.find(id)
    assert folder == "failed"
    assert "mail server 127.0.0.1:1: Connection refused" in str(job.failure)
    assert [attempt.step for attempt in job.attempts] == ["mail"] * 2 + ["failure mail"] * 2
    assert place.totals() == {"emails": 0, "requests": 0, "errors": 1}


# The statistics


def test_a_database_that_is_missing_holds_no_mail_up_and_repeats_none(place: Place, api: CkanApi, post: Post) -> None:
    place.configure(**post.settings, stats_db="sqlite:///missing/stats.db")
    id = place.queue(api)
    place.work()
    assert place.where() == {"fast": 1}
    _, job = place.find(id)
    assert [(attempt.step, attempt.temporary) for attempt in job.attempts] == [("statistics", True)]
    assert len(post.mails) == 1
    before = asked(api)
    (place.directory / "missing").mkdir()
    place.make_due()
    assert place.work().served == 1
    assert len(post.mails) == 1
    assert asked(api) == before
    assert place.totals() == {"emails": 1, "requests": 1, "errors": 0}


def test_a_database_that_stays_missing_never_tells_who_has_the_link_of_a_failure(
    place: Place, api: CkanApi, post: Post
) -> None:
    place.configure(**post.settings, stats_db="sqlite:///missing/stats.db", max_attempts=1)
    place.queue(api)
    assert place.work().failed == 1
    assert place.where() == {"failed": 1}
    assert [mail["Subject"] for mail in post.mails] == ["Resource from 127.0.0.1:" + api.url.rpartition(":")[2]]


# Taking over from a worker that died


def abandoned(place: Place, api: CkanApi, *, at: str) -> str:
    """A job whose worker died when the steps up to `at` were behind it."""
    id = place.queue(api)
    if at == "begun":
        changes: dict[str, Any] = {"reserved": place.store.new_name("0" * 32)}
    else:
        name = place.store.new_name("0" * 32)
        with place.store.part(name) as part:
            with zipfile.ZipFile(part, "w") as archive:
                archive.writestr("resource.csv", CONTENT)
            archive_of_job = place.store.publish(part, name, rows=3, notes=(), now=time.time())
        changes = {"reserved": name}
        if at != "published":
            changes["archive"] = archive_of_job
        if at in ("link_mailed", "request_counted"):
            changes["link_mailed"] = 5.0
        if at == "request_counted":
            changes["request_counted"] = 6.0
    held = claim(place, id)
    held.save(attempts=(Attempt(started=1.0, worker="dead:1"),), **changes)
    held.close()
    assert place.where() == {"claimed": 1}
    return id


@pytest.mark.parametrize(
    ("at", "builds", "mails", "counts"),
    [
        ("begun", True, 1, 1),
        ("published", False, 1, 1),
        ("archive", False, 1, 1),
        ("link_mailed", False, 0, 1),
        ("request_counted", False, 0, 0),
    ],
)
def test_whoever_takes_a_job_over_repeats_nothing(
    place: Place, api: CkanApi, at: str, builds: bool, mails: int, counts: int
) -> None:
    id = abandoned(place, api, at=at)
    assert place.work().served == 1
    assert place.where() == {"done": 1}
    assert bool(asked(api)) == builds
    assert len(place.mails) == mails
    assert place.totals().get("requests", 0) == counts
    assert len(place.archives) == 1
    _, job = place.find(id)
    assert [(attempt.worker == "dead:1", attempt.step) for attempt in job.attempts] == [(True, None), (False, "end")]


def test_a_mail_that_was_sent_but_not_recorded_has_the_same_message_id(place: Place, api: CkanApi, post: Post) -> None:
    """What lies between the server's answer and our record of it cannot be closed; mail programs can tell."""
    place.configure(**post.settings)
    id = place.queue(api)
    place.work()
    (place.spool.directory / "done" / f"{id}.json").rename(place.spool.directory / "fast" / f"{id}.json")
    held = claim(place, id)
    held.postpone(1, link_mailed=None, finished=None)
    place.work()
    assert len({mail["Message-ID"] for mail in post.mails}) == 1
    assert place.totals()["requests"] == 1


def test_an_archive_that_was_removed_before_it_was_mailed_is_built_again(place: Place, api: CkanApi) -> None:
    id = abandoned(place, api, at="archive")
    (name,) = place.archives
    place.store.clear()
    assert place.work().served == 1
    assert place.archives != [name]
    (mail,) = place.mails
    body = mail.get_body(("plain",))
    assert body
    assert place.archives[0] in body.get_content()
    _, job = place.find(id)
    assert job.archive
    assert job.archive.name == place.archives[0]


def test_an_archive_that_was_removed_after_it_was_mailed_is_not(place: Place, api: CkanApi) -> None:
    abandoned(place, api, at="link_mailed")
    place.store.clear()
    assert place.work().served == 1
    assert asked(api) == 0


def test_a_job_that_keeps_killing_its_workers_is_given_up(place: Place, api: CkanApi) -> None:
    place.configure(max_attempts=3)
    id = place.queue(api)
    held = claim(place, id)
    held.save(attempts=tuple(Attempt(started=1.0, worker=f"dead:{number}") for number in range(3)))
    held.close()
    assert place.work().failed == 1
    folder, job = place.find(id)
    assert (folder, job.failure) == ("failed", "its worker died 3 times while it was at it")
    assert asked(api) == 0
    assert len(place.mails) == 1
    assert place.totals()["errors"] == 1


def test_a_job_whose_workers_died_less_often_is_served(place: Place, api: CkanApi) -> None:
    place.configure(max_attempts=3)
    id = place.queue(api)
    held = claim(place, id)
    held.save(attempts=tuple(Attempt(started=1.0, worker=f"dead:{number}") for number in range(2)))
    held.close()
    assert place.work().served == 1
    assert place.find(id)[0] == "done"


def test_a_killed_workers_job_is_served_by_the_next(place: Place, api: CkanApi) -> None:
    stalled, go_on = threading.Event(), threading.Event()

    def fault(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
        if not stalled.is_set():
            stalled.set()
            go_on.wait(30)
        return False

    api.fault = fault
    id = place.queue(api)
    worker = place.start("process")
    assert stalled.wait(30)
    assert place.find(id)[0] == "claimed"
    worker.kill()
    worker.communicate()
    go_on.set()
    assert place.work().served == 1
    assert place.where() == {"done": 1}
    assert len(place.mails) == 1
    assert len(place.archives) == 1


# Being told to stop


def test_sigterm_while_packaging_hands_the_job_back_at_once(place: Place) -> None:
    with small_ckan(rows=5000) as api:
        stalled, go_on = threading.Event(), threading.Event()

        def fault(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
            if number >= 3:  # the question, the first page; then nothing more
                stalled.set()
                go_on.wait(60)
            return False

        api.fault = fault
        try:
            id = place.queue(api, limit=5000)
            worker = place.start("process")
            assert stalled.wait(30)
            until(lambda: list(place.store.directory.glob(".*.part")))
            told = time.monotonic()
            worker.terminate()
            assert worker.communicate(timeout=30) == ("", "")
            assert worker.returncode == 0
            assert time.monotonic() - told < 10
        finally:
            go_on.set()
        assert place.where() == {"fast": 1}
        assert list(place.store.directory.iterdir()) == []
        folder, job = place.find(id)
        assert (folder, job.attempts, job.archive) == ("fast", (), None)
        assert place.spool.due(job) <= time.time()
        api.fault = None
        assert place.work().served == 1
        assert place.mails


def test_sigterm_while_the_mail_server_takes_its_time_finishes_that_job_first(
    place: Place, api: CkanApi, post: Post
) -> None:
    place.configure(**post.settings)
    post.hold = threading.Event()
    ids = [place.queue(api), place.queue(api)]
    worker = place.start("process")
    assert post.holding.wait(30)
    worker.terminate()
    assert worker.poll() is None
    post.hold.set()
    assert worker.communicate(timeout=30) == ("", "")
    assert worker.returncode == 0
    assert [place.find(id)[0] for id in ids] == ["done", "fast"]
    assert len(post.mails) == 1
    assert place.totals()["requests"] == 1


def test_stopped_while_another_worker_builds_the_same(place: Place, api: CkanApi) -> None:
    id = place.queue(api)
    stop = Stop()

    def tell() -> None:
        until(lambda: place.where() == {"claimed": 1} and place.find(id)[1].attempts)
        os.kill(os.getpid(), signal.SIGTERM)

    with place.store.building(cache_key(place.find(id)[1].request)), stop.on_signals():
        threading.Thread(target=tell).start()
        tally = place.work(stop=stop)
    assert (tally.served, tally.failed) == (0, 0)
    assert place.where() == {"fast": 1}
    assert asked(api) == 0


def test_a_stop_before_the_packaging_hands_the_job_back(place: Place, api: CkanApi) -> None:
    class Told(Stop):
        """Told at the moment when the packaging would begin."""

        def interruptible(self) -> Any:
            raise Stopped

    place.queue(api)
    place.work(stop=Told())
    assert place.where() == {"fast": 1}
    assert asked(api) == 0


# The loop


def test_the_fast_queue_goes_first_and_both_are_emptied(place: Place, api: CkanApi) -> None:
    slow, fast = place.queue(api, limit=0), place.queue(api)
    assert place.work().served == 2
    finished = [place.find(id)[1].finished or 0 for id in (fast, slow)]
    assert finished == sorted(finished)


def test_the_worker_ends_after_the_jobs_or_the_time_that_it_was_given(place: Place, api: CkanApi) -> None:
    for _ in range(3):
        place.queue(api)
    assert place.work(max_jobs=2).served == 2
    assert place.work(max_time=1e-9).served == 0
    assert place.work(max_time=100).served == 1


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (1234567, "1.23 MB"), (5e9, "5 GB"), (2e12, "2 TB")],
)
def test_sizes_in_words(size: int, words: str) -> None:
    assert human_size(size) == words
