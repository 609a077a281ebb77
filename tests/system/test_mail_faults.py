"""Mail servers that answer late, never or without end, and a spool that fails right after a mail was accepted.

Every test runs the real program; docs/reliability.md is the table of it.
"""

import contextlib
import errno
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.scripted_smtp import Conversation, endless_line, endless_lines, scripted_smtp
from support.workspace import CommandResult, FakeSmtpServer, Workspace, until

from ckanpackager.demo.ckan_api import CkanApi
from ckanpackager.jobs.job import Job
from ckanpackager.mail import smtp_session
from ckanpackager.worker.retry import DAY
from ckanpackager.worker.signals import Stop

Run = Callable[..., CommandResult]


def unanswered(workspace: Workspace, id: str, hours: float, began: float) -> Job:
    """A job that waits for hours, since its mail may have been accepted."""
    folder, job = workspace.find(id)
    assert (folder, job.failure, job.link_mailed_at) == ("fast", None, None)
    assert (job.attempts[-1].step, job.attempts[-1].outcome) == ("mail", "unanswered")
    assert "did not say whether it accepted the mail" in str(job.attempts[-1].error)
    due = workspace.spool.not_before(job)
    assert began + hours * 3600 <= due <= time.time() + hours * 3600 * 1.1
    return job


def age(workspace: Workspace, id: str, seconds: float) -> None:
    """Let all that happened to a waiting job have happened so much earlier."""
    claim = workspace.spool.claim(id, "fast")
    assert claim
    earlier = [replace(a, started=a.started - seconds, ended=(a.ended or 0) - seconds) for a in claim.job.attempts]
    claim.release(1, attempts=tuple(earlier))


# No answer after DATA


def test_a_mail_without_an_answer_is_sent_again_after_an_hour_and_then_less_often(
    workspace: Workspace, run: Run, api: CkanApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp_session, "ANSWER_TIMEOUT", 0.2)
    with scripted_smtp(lambda: None) as server:
        workspace.configure(**server.settings)
        id = workspace.queue(api)
        for hours in (1, 2):
            began = time.time()
            said = run("-v", "process")
            assert said.code == 0
            assert re.search(rf"job {id}: mail failed, next attempt in \d+ s: .* did not say whether", said.err)
            unanswered(workspace, id, hours, began)
            workspace.make_due()
    assert "mail was not answered: mail server" in run("status", id).out
    assert len({mail["Message-ID"] for mail in server.mails}) == 1
    assert ["could not" in mail["Subject"] for mail in server.mails] == [False, False]


def test_a_requester_who_may_have_the_link_never_gets_a_failure_mail(
    workspace: Workspace, run: Run, api: CkanApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp_session, "ANSWER_TIMEOUT", 0.2)
    with scripted_smtp(lambda: None) as server:
        workspace.configure(**server.settings)
        id = workspace.queue(api)
        run("process")
        said = run("cancel", id)
        assert (said.code, "it is too late: its link may be mailed already" in said.err) == (1, True)
        age(workspace, id, 5 * DAY)
        server.after_data = lambda: "250 OK" if len(server.mails) > 2 else None  # whatever comes after the link
        assert run("process").code == 1
        assert workspace.find(id)[0] == "failed"
        assert run("process").code == 0
    assert ["could not" in mail["Subject"] for mail in server.mails] == [False, False]


def test_an_answer_later_than_smtp_timeout_is_waited_for(workspace: Workspace, run: Run, api: CkanApi) -> None:
    def late() -> str:
        time.sleep(1)  # more than the time-out of all other answers
        return "250 OK"

    with scripted_smtp(late) as server:
        workspace.configure(**server.settings, smtp_timeout=0.3)
        id = workspace.queue(api)
        assert run("process") == CommandResult(0, "", "")
    assert workspace.find(id)[0] == "done"
    assert len(server.mails) == 1


def test_the_answer_to_a_mail_may_take_ten_minutes() -> None:
    assert smtp_session.ANSWER_TIMEOUT == 600  # RFC 5321, 4.5.3.2.6


@pytest.mark.parametrize("answers", [False, True], ids=["no answer", "an answer in time"])
def test_after_sigterm_a_worker_waits_a_minute_for_the_answer_to_a_mail(
    workspace: Workspace, api: CkanApi, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    assert smtp_session.STOP_PATIENCE == 60
    monkeypatch.setattr(smtp_session, "STOP_PATIENCE", 30 if answers else 0.5)

    def told() -> str | None:
        os.kill(os.getpid(), signal.SIGTERM)
        return "250 OK" if answers else None

    stop = Stop()
    with scripted_smtp(told) as server, stop.on_signals():
        workspace.configure(**server.settings)
        id, other = workspace.queue(api), workspace.queue(api)
        began = time.time()
        workspace.work(stop=stop)
        assert time.time() - began < 20
    assert workspace.find(other)[0] == "fast"
    if answers:
        assert workspace.find(id)[0] == "done"
    else:
        unanswered(workspace, id, 1, began)


def test_a_systemd_unit_waits_longer_for_a_worker_than_the_worker_for_an_answer() -> None:
    unit = Path(__file__).parents[2] / "contrib" / "systemd" / "ckanpackager@.service"
    found = re.search(r"^TimeoutStopSec=(\d+)$", unit.read_text(), re.MULTILINE)
    assert found
    assert int(found[1]) >= smtp_session.STOP_PATIENCE + smtp_session.QUIT_TIMEOUT + 30  # and the statistics


# Answers without end


@pytest.mark.parametrize("conversation", [endless_lines, endless_line])
def test_an_smtp_tarpit_ends_and_lets_the_mail_wait(
    workspace: Workspace, run: Run, api: CkanApi, conversation: Conversation
) -> None:
    with scripted_smtp(conversation=conversation) as server:
        workspace.configure(**server.settings, smtp_timeout=0.5)
        id = workspace.queue(api)
        began = time.monotonic()
        assert run("process") == CommandResult(0, "", "")
        assert time.monotonic() - began < 20
    folder, job = workspace.find(id)
    assert (folder, job.attempts[-1].outcome) == ("fast", "retry")
    assert "timed out" in str(job.attempts[-1].error)


def test_sigterm_ends_a_worker_in_an_smtp_tarpit_at_once(workspace: Workspace, api: CkanApi) -> None:
    caught = threading.Event()

    def tarpit(connection: Any, server: Any) -> None:
        caught.set()
        endless_line(connection, server)

    with scripted_smtp(conversation=tarpit) as server:
        workspace.configure(**server.settings, smtp_timeout=600)
        id = workspace.queue(api)
        worker = workspace.start("process")
        assert caught.wait(60)
        worker.terminate()
        assert worker.communicate(timeout=30) == ("", "")
        assert worker.returncode == 0
    folder, job = workspace.find(id)
    assert (folder, job.attempts) == ("fast", ())
    assert workspace.spool.not_before(job) <= time.time()


def test_a_stop_ends_a_thread_in_an_smtp_tarpit(workspace: Workspace, api: CkanApi) -> None:
    """A thread that no signal interrupts, as the dispatcher of packers has them."""
    stop, caught = Stop(), threading.Event()

    def tarpit(connection: Any, server: Any) -> None:
        caught.set()
        endless_lines(connection, server)

    with scripted_smtp(conversation=tarpit) as server, stop.on_signals():
        workspace.configure(**server.settings, smtp_timeout=600)
        id = workspace.queue(api)
        worker = threading.Thread(target=workspace.work, kwargs={"stop": stop}, daemon=True)
        worker.start()
        assert caught.wait(60)
        os.kill(os.getpid(), signal.SIGTERM)
        worker.join(30)
        assert not worker.is_alive()
    folder, job = workspace.find(id)
    assert (folder, job.attempts) == ("fast", ())


# The spool fails between the 250 and its record


def test_a_spool_that_is_read_only_after_the_250_sends_no_second_mail(
    workspace: Workspace, run: Run, api: CkanApi, smtp: FakeSmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.configure(**smtp.settings)
    rename = os.rename
    failed: list[Path] = []

    def failing(source: Path, target: Path) -> None:
        if smtp.mails and len(failed) < 3:
            failed.append(target)
            raise OSError(errno.EROFS, "Read-only file system")
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    id = workspace.queue(api)
    said = run("process")
    assert said.code == 0
    assert len(failed) == 3
    assert re.search(rf"job {id}: mail done, but it cannot be recorded yet: spool .*Read-only file system", said.err)
    assert workspace.find(id)[0] == "done"
    assert len(smtp.mails) == 1


def test_a_sync_that_fails_after_the_250_sends_no_second_mail(
    workspace: Workspace, run: Run, api: CkanApi, smtp: FakeSmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.configure(**smtp.settings)
    fsync = os.fsync
    failed = []

    def failing(descriptor: int) -> None:
        if smtp.mails and not failed:
            failed.append(descriptor)
            raise OSError(errno.EIO, "Input/output error")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    id = workspace.queue(api)
    said = run("process")
    assert said.code == 0
    assert failed
    assert re.search(rf"job {id}: mail done, but its record is perhaps not on disk: .*Input/output error", said.err)
    assert workspace.find(id)[0] == "done"
    assert len(smtp.mails) == 1


def test_clean_leaves_the_record_of_a_mail_under_way_however_old(
    workspace: Workspace, run: Run, api: CkanApi, smtp: FakeSmtpServer
) -> None:
    workspace.configure(**smtp.settings)
    smtp.hold = threading.Event()
    id = workspace.queue(api)
    worker = workspace.start("process")
    try:
        assert smtp.holding.wait(60)
        (name,) = until(lambda: workspace.spool.names("tmp"))
        os.utime(workspace.spool.directory / "tmp" / name, (1, 1))
        assert "0 temporary files removed" in run("clean").out
        assert workspace.spool.names("tmp") == [name]
    finally:
        smtp.hold.set()
    assert worker.communicate(timeout=60) == ("", "")
    assert workspace.find(id)[0] == "done"
    assert len(smtp.mails) == 1


# Links that lead to nothing


def test_clear_cache_leaves_an_archive_whose_link_is_not_mailed_yet(
    workspace: Workspace, run: Run, api: CkanApi, smtp: FakeSmtpServer
) -> None:
    workspace.configure(**smtp.settings)
    smtp.answer = lambda address: "450 later"
    workspace.queue(api)
    run("process")
    before = workspace.archives
    assert run("clear-cache").out == "0 archives removed\n"
    assert workspace.archives == before
    smtp.answer = lambda address: "250 OK"
    workspace.make_due()
    assert run("process").code == 0
    assert run("clear-cache").out == "1 archives removed\n"


def test_an_archive_that_expired_while_its_mail_waited_is_built_again(
    workspace: Workspace, run: Run, api: CkanApi, smtp: FakeSmtpServer
) -> None:
    workspace.configure(**smtp.settings, cache_time=0)
    smtp.answer = lambda address: "450 later"
    id = workspace.queue(api)
    run("process")
    claim = workspace.spool.claim(id, "fast")
    assert claim and claim.job.archive
    claim.release(1, archive=replace(claim.job.archive, published=time.time() - 7 * DAY))
    smtp.answer = lambda address: "250 OK"
    assert run("process").code == 0
    folder, job = workspace.find(id)
    assert job.archive
    assert (folder, job.archive.name != claim.job.archive.name) == ("done", True)
    assert job.archive.published > time.time() - 3600


def test_an_archive_removed_at_the_last_moment_is_not_mailed(
    workspace: Workspace, run: Run, api: CkanApi, smtp: FakeSmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.configure(**smtp.settings)
    id = workspace.queue(api)
    publish = type(workspace.store).publish

    def removed(*words: Any, **options: Any) -> Any:
        archive = publish(*words, **options)
        workspace.store.clear()
        return archive

    monkeypatch.setattr(type(workspace.store), "publish", removed)
    assert run("process").code == 0
    assert workspace.find(id)[1].attempts[-1].error == (
        "the archive was removed before its link was mailed; it is built again"
    )
    assert smtp.mails == []
    monkeypatch.undo()
    workspace.make_due()
    with contextlib.chdir(workspace.directory):
        workspace.work()
    assert workspace.find(id)[0] == "done"
    assert len(smtp.mails) == 1


def failed_at_its_mail(workspace: Workspace, run: Run, api: CkanApi, smtp: FakeSmtpServer) -> str:
    """A job with an API key, which has left it, whose archive is there."""
    workspace.configure(**smtp.settings, cache_time=0)
    smtp.answer = lambda address: "550 no such user"
    id = workspace.queue(api, key="very-secret-key")
    assert run("process").code == 1
    folder, job = workspace.find(id)
    assert (folder, job.key_removed, job.request.key, bool(job.archive)) == ("failed", True, None, True)
    smtp.answer = lambda address: "250 OK"
    return id


def test_a_mail_is_retried_without_the_api_key_that_made_its_archive(
    workspace: Workspace, run: Run, api: CkanApi, smtp: FakeSmtpServer
) -> None:
    id = failed_at_its_mail(workspace, run, api, smtp)
    asked = len(api.log)
    assert run("retry", "--all").out == f"{id}: waiting in fast\n"
    assert run("process").code == 0
    assert (workspace.find(id)[0], len(smtp.mails), len(api.log)) == ("done", 1, asked)


def test_an_archive_that_was_made_with_an_api_key_is_not_built_again_without(
    workspace: Workspace, run: Run, api: CkanApi, smtp: FakeSmtpServer
) -> None:
    id = failed_at_its_mail(workspace, run, api, smtp)
    run("retry", id)
    workspace.store.clear()
    asked = len(api.log)
    assert run("process").code == 1
    folder, job = workspace.find(id)
    assert (folder, len(api.log)) == ("failed", asked)
    assert job.failure == "its API key was removed when it had failed, and its archive is gone; retry it with --key KEY"
    assert "please request the data again" in str(smtp.mails[-1].get_body())
    assert run("retry", id).code == 1
    assert run("retry", id, "--key", "new-key").code == 0
    assert run("process").code == 0
    assert workspace.find(id)[0] == "done"
