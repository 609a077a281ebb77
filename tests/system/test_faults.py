"""What fails around a worker, and what then becomes of the job: docs/reliability.md is the table of it.

Every test runs the real program against a real server or file system.  It says whether the job waits or fails, until
when it waits, what the requester is told, and what an administrator reads in the log and in `status`.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from support import smtp_server
from support.ckan_faults import BUSY, CONTENT, answering, asked, read
from support.programs import make_certificate
from support.workspace import FIELDS, CommandResult, FakeSmtpServer, Workspace, environment, small_ckan
from support.zip_command import ZIP_COMMAND

from ckanpackager.archives.store import open_store
from ckanpackager.demo.ckan_api import CkanApi, Handler
from ckanpackager.errors import OUR_FAULT, TemporaryFailure
from ckanpackager.jobs.job import Job
from ckanpackager.spool.alerts import Alerts
from ckanpackager.spool.claim import MAX_CLOCK_SKEW
from ckanpackager.spool.queue import Spool
from ckanpackager.worker.engine import open_engine
from ckanpackager.worker.pipeline import run_job
from ckanpackager.worker.signals import Stop
from ckanpackager.worker.steps import WorkerContext

Run = Callable[..., CommandResult]
Mount = Callable[[Path], Path]
MANY = 5000  # rows, of several pages
PAGES = {"page_size": 1000, "max_attempts": 3}
# A worker that dies in the middle of its first request; nothing is left to time.
POISONED = """
import os, signal
from ckanpackager.http_client import Client
Client.post = lambda *words, **options: os.kill(os.getpid(), signal.SIGKILL)
from ckanpackager.cli.main import main
main()
"""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question to CKAN is asked once, where the patience of the HTTP client would be ours."""
    monkeypatch.setattr("ckanpackager.http_client.client.TRIES", 1)


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Makes a directory a small disk of its own."""
    disks: list[Path] = []

    def mount(path: Path) -> Path:
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
        if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("a small disk can only be mounted by root, and where mounting is allowed")
        disks.append(path)
        return path

    try:
        yield mount
    finally:
        for path in disks:
            subprocess.run(["umount", "-l", str(path)], check=False)


def remount(disk: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Leave no room on a disk; the file that takes it."""
    path = disk / "filler"
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return path


def text(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body
    return str(body.get_content())


def waits(
    workspace: Workspace, run: Run, id: str, step: str, words: str, *, seconds: float = 1000, outcome: str = "retry"
) -> Job:
    """A run after which the job waits for its next attempt; its requester knows nothing of it, but the log why."""
    began, before = time.time(), len(workspace.mails)
    said = run("-v", "process")
    assert said.code == 0, said.err
    folder, job = workspace.find(id)
    assert (folder, job.failure, len(workspace.mails)) == (job.queue, None, before)
    attempt = job.attempts[-1]
    assert (attempt.step, attempt.outcome) == (step, outcome)
    assert re.search(words, str(attempt.error)), attempt.error
    assert began + seconds <= workspace.spool.not_before(job) <= time.time() + seconds * 1.1
    assert re.search(rf"job {id}: {step} failed, next attempt in \d+ s: .*{words}", said.err)
    shown = run("status", id).out
    assert ", not before " in shown
    assert re.search(rf"{step} (failed for now|was not answered): .*{words}", shown)
    return job


def fails(
    workspace: Workspace,
    run: Run,
    id: str,
    words: str,
    *,
    mails: Callable[[], list[EmailMessage]],
    public: str | None = None,
) -> Job:
    """A run after which the job is in failed/: the requester, the log, the statistics and `status` have the reason."""
    said = run("process")
    assert said.code == 1
    folder, job = workspace.find(id)
    assert folder == "failed"
    assert re.search(words, str(job.failure)), job.failure
    assert re.search(rf"job {id}: failed: .*{words}", said.err)
    mail = mails()[-1]
    assert "could not be packaged" in mail["Subject"]
    assert re.search(public or words, text(mail))
    assert workspace.totals()["errors"] == 1
    assert re.search(rf"failed: .*{words}", run("status", id).out)
    return job


def served(workspace: Workspace, run: Run, id: str, content: bytes | None = CONTENT) -> Job:
    """A run, when the waiting is over, after which the job is done: one archive, one row, no temporary files left."""
    workspace.make_due()
    said = run("process")
    assert said == CommandResult(0, "", "")
    folder, job = workspace.find(id)
    assert (folder, job.failure) == ("done", None)
    assert job.archive
    assert workspace.archives == [job.archive.name]
    assert content in (None, read(workspace.store.directory / job.archive.name))
    assert workspace.totals() == {"emails": 1, "requests": 1, "errors": 0}
    assert [path.name for path in workspace.store.directory.iterdir() if path.suffix in (".part", ".lock")] == []
    return job


def rows(*numbers: int) -> bytes:
    return b"_id,name\n" + b"".join(b"%d,n%d\n" % (number, number) for number in numbers)


# CKAN


def truncated(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "10000")
    handler.end_headers()
    handler.wfile.write(b'{"success": true, "result": {"records": "1,n1')
    handler.close_connection = True


def reset(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "10000")
    handler.end_headers()
    handler.wfile.write(b'{"success": true')
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(handler.connection.detach())  # not by way of a shutdown, which would be an orderly end
    handler.close_connection = True


def stalled(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "10000")
    handler.end_headers()
    handler.wfile.write(b'{"success"')
    handler.connection.settimeout(30)
    with contextlib.suppress(OSError):
        handler.connection.recv(1)  # until the client hangs up
    handler.close_connection = True


BREAKS = {
    "truncated": (truncated, "the answer broke off"),
    "reset": (reset, "the answer broke off: .*reset"),
    "stalled": (stalled, "no complete answer within"),
}
HTML = "<!DOCTYPE html><title>Maintenance</title>"
# The answer, what the attempt says of it, and the seconds until the next one.
FOR_NOW: dict[str, tuple[Any, str, float]] = {
    "500": (answering(500), "500 Internal Server Error", 1000),
    "502": (answering(502, HTML), "502 Bad Gateway", 1000),
    "503 with Retry-After": (answering(503, Retry_After="4000"), "503 Service Unavailable", 4000),
    "429": (answering(429, Retry_After="2000"), "429 Too Many Requests", 2000),
    "invalid JSON": (answering(200, '{"success": tru'), "did not answer as CKAN's API does, but: ", 1000),
    "HTML with status 200": (answering(200, HTML), "did not answer as CKAN's API does, but: '<!DOCTYPE", 1000),
}


@pytest.mark.parametrize("fault", FOR_NOW)
def test_an_answer_that_may_be_better_later_lets_the_job_wait(
    workspace: Workspace, run: Run, api: CkanApi, impatient: None, fault: str
) -> None:
    id = workspace.queue(api)
    api.fault, words, seconds = FOR_NOW[fault]
    waits(workspace, run, id, "packaging", words, seconds=seconds)
    api.fault = None
    served(workspace, run, id)
    assert len(workspace.mails) == 1


def test_success_false_is_a_refusal_for_good(workspace: Workspace, run: Run, api: CkanApi) -> None:
    id = workspace.queue(api)
    api.fault = answering(200, '{"success": false, "error": {"message": "Not for you"}}')
    fails(workspace, run, id, "refused the search: Not for you", mails=lambda: workspace.mails)
    assert asked(api) == 1


@pytest.mark.parametrize("how", BREAKS)
def test_a_page_that_always_breaks_off_lets_the_job_wait(
    workspace: Workspace, run: Run, impatient: None, how: str
) -> None:
    workspace.configure(**PAGES, request_timeout=0.5)
    break_off, words = BREAKS[how]
    with small_ckan(rows=MANY) as api:
        id = workspace.queue(api, limit=MANY)

        def fault(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
            if number == 3:
                break_off(handler)
            return number == 3

        api.fault = fault
        waits(workspace, run, id, "packaging", words)
        assert workspace.archives == []
        api.fault = None
        served(workspace, run, id, rows(*range(1, MANY + 1)))


@pytest.mark.parametrize("how", BREAKS)
def test_a_page_that_breaks_off_once_is_asked_for_again_silently(workspace: Workspace, run: Run, how: str) -> None:
    workspace.configure(**PAGES, request_timeout=1)
    break_off, _ = BREAKS[how]
    with small_ckan(rows=MANY) as api:
        id = workspace.queue(api, limit=MANY)

        def fault(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
            if number == 4:
                break_off(handler)
            return number == 4

        api.fault = fault
        job = served(workspace, run, id, rows(*range(1, MANY + 1)))
        assert [attempt.outcome for attempt in job.attempts] == ["done"]


def test_fewer_rows_than_announced_let_the_job_wait(workspace: Workspace, run: Run, api: CkanApi) -> None:
    id = workspace.queue(api)

    def fault(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
        if params["limit"] == 0:
            handler.reply(200, json.dumps({"success": True, "result": {"fields": FIELDS, "records": "", "total": 5}}))
        return bool(params["limit"] == 0)

    api.fault = fault
    waits(workspace, run, id, "packaging", "announced 5 rows but sent 3")
    assert workspace.archives == []
    api.fault = None
    served(workspace, run, id)


@pytest.mark.parametrize("limit", [0, 10 * MANY], ids=["ranges of ids", "page after page"])
def test_rows_inserted_and_deleted_between_pages_shift_nothing(workspace: Workspace, run: Run, limit: int) -> None:
    workspace.configure(**PAGES)
    gone, new = {1, 2, 500, 4000, 4999}, range(MANY + 1, MANY + 4)
    with small_ckan(rows=MANY) as api:
        id = workspace.queue(api, limit=limit)

        def fault(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
            if number == 5:  # the first page is theirs
                table = api.resources["r"]
                table.rows = [row for row in table.rows if row[0] not in gone] + [
                    [new_id, f"n{new_id}"] for new_id in new
                ]
            return False

        api.fault = fault
        job = served(workspace, run, id, None)
    assert job.archive
    written = read(workspace.store.directory / job.archive.name).decode().splitlines()[1:]
    numbers = [int(line.partition(",")[0]) for line in written]
    assert numbers == sorted(set(numbers))
    assert set(numbers) - gone == set(range(1, MANY + 4)) - gone  # those may be there, if they were fetched before


@pytest.mark.parametrize("version", [(2, 7), (2, 9), (2, 11)])
def test_rows_inserted_and_deleted_between_pages_of_an_older_ckan_shift_nothing(
    workspace: Workspace, run: Run, version: tuple[int, int]
) -> None:
    workspace.configure(**PAGES)
    gone = [{1, 2, 500}, {3, MANY - 1}, set(range(5, 900))]  # of pages passed, for the most part
    with small_ckan(rows=MANY, version=version) as api:
        id = workspace.queue(api, limit=0)

        def fault(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
            if params.get("offset", 0) >= 900 and params["limit"] > 1 and gone:
                table, going = api.resources["r"], gone.pop()
                table.rows = [row for row in table.rows if row[0] not in going]
                table.rows.append([table.rows[-1][0] + 1, f"n{table.rows[-1][0] + 1}"])
            return False

        api.fault = fault
        served(workspace, run, id, rows(*(number for number in range(1, MANY + 4) if number != MANY - 1)))


@pytest.mark.parametrize("task", ["package_datastore", "package_dwc_archive"])
def test_a_text_where_rows_were_asked_for_as_lists_lets_the_job_wait(
    workspace: Workspace, run: Run, api: CkanApi, task: str
) -> None:
    id = workspace.queue(api, task, format="xlsx", limit=0)

    def fault(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
        if action != "datastore_search":
            return False
        result = {"fields": FIELDS, "records": "1,n1\n2,n2\n3,n3\n" if params["limit"] else "", "total": 3}
        handler.reply(200, json.dumps({"success": True, "result": result}))
        return True

    api.fault = fault
    waits(workspace, run, id, "packaging", "it sent a text instead of a list of rows")
    assert workspace.archives == []


def test_more_rows_than_were_asked_for_let_the_job_wait(workspace: Workspace, run: Run, api: CkanApi) -> None:
    id = workspace.queue(api, limit=2, format="xlsx")

    def fault(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
        if params.get("limit"):
            rows = [[number, f"n{number}"] for number in (1, 2, 3)]
            handler.reply(200, json.dumps({"success": True, "result": {"fields": FIELDS, "records": rows}}))
        return bool(params.get("limit"))

    api.fault = fault
    waits(workspace, run, id, "packaging", "was asked for 2 rows but sent 3")
    assert workspace.archives == []
    api.fault = None
    workspace.make_due()
    assert run("process").code == 0
    assert workspace.find(id)[1].archive.rows == 2  # type: ignore[union-attr]


# The mail server


def test_a_mail_server_that_shuts_down_lets_the_mail_wait(
    workspace: Workspace, run: Run, api: CkanApi, smtp: FakeSmtpServer
) -> None:
    workspace.configure(**smtp.settings)
    id = workspace.queue(api)
    smtp.answer = lambda address: "421 4.3.2 Shutting down"
    job = waits(workspace, run, id, "mail", "421 4.3.2 Shutting down")
    assert job.archive
    smtp.answer, before = lambda address: "250 OK", asked(api)
    assert served(workspace, run, id).archive == job.archive
    assert asked(api) == before
    assert len(smtp.mails) == 1


def test_a_connection_lost_after_data_sends_the_mail_again_with_the_same_id(
    workspace: Workspace, run: Run, api: CkanApi, smtp: FakeSmtpServer
) -> None:
    taken: list[Any] = []

    class Dropping(smtp_server.Server):
        """Takes the mail, and is gone before it says so."""

        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            taken.append(envelope.content)
            return await super().handle_DATA(server, session, envelope)

    with smtp_server.running(Dropping(data=None)) as server:
        workspace.configure(mail_transport="smtp", smtp_host="127.0.0.1", smtp_port=server.port)
        id = workspace.queue(api)
        waits(workspace, run, id, "mail", "Connection unexpectedly closed", seconds=3600, outcome="unanswered")
    workspace.configure(**smtp.settings)
    before = asked(api)
    served(workspace, run, id)
    assert asked(api) == before
    assert len(taken) == len(smtp.mails) == 1
    assert smtp.mails[0]["Message-ID"].encode() in taken[0]


def test_a_certificate_of_an_unknown_issuer_lets_the_mail_wait(
    workspace: Workspace, run: Run, api: CkanApi, smtp: FakeSmtpServer
) -> None:
    pem = make_certificate(workspace.directory, "DNS:localhost")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    with smtp_server.running(smtp_server.Server(), tls=tls) as server:
        workspace.configure(mail_transport="smtp", smtp_host="localhost", smtp_port=server.port, smtp_security="tls")
        id = workspace.queue(api)
        waits(workspace, run, id, "mail", "self-signed certificate.*smtp_host must be the name in its certificate")
        assert server.envelopes == []
    workspace.configure(**smtp.settings)
    served(workspace, run, id)
    assert len(smtp.mails) == 1


# The statistics


def test_a_locked_database_lets_only_the_statistics_wait(workspace: Workspace, run: Run, api: CkanApi) -> None:
    workspace.configure(stats_db="sqlite:///stats.db?timeout=0.05")
    id = workspace.queue(api)
    assert workspace.totals()["requests"] == 0
    with contextlib.closing(sqlite3.connect(workspace.directory / "stats.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        only_statistics_wait(workspace, run, api, id, "locked; another process holds it")
    served(workspace, run, id)
    assert len(workspace.mails) == 1


def test_a_read_only_database_lets_only_the_statistics_wait(workspace: Workspace, run: Run, api: CkanApi) -> None:
    with workspace.statistics():
        pass
    workspace.configure(stats_db=f"sqlite:///file:{workspace.directory}/stats.db?mode=ro&uri=true")
    id = workspace.queue(api)
    only_statistics_wait(workspace, run, api, id, "readonly database; is it there, may this user write")
    workspace.configure()
    served(workspace, run, id)
    assert len(workspace.mails) == 1


def test_a_database_on_a_full_disk_lets_only_the_statistics_wait(
    workspace: Workspace, run: Run, api: CkanApi, mount: Mount
) -> None:
    disk = mount(workspace.directory / "disk")
    workspace.configure(stats_db="sqlite:///disk/stats.db")
    with workspace.statistics():
        pass
    filler = fill(disk)
    id = workspace.queue(api)
    only_statistics_wait(workspace, run, api, id, "stats.db: .*has the disk room")
    filler.unlink()
    served(workspace, run, id)
    assert len(workspace.mails) == 1


def only_statistics_wait(workspace: Workspace, run: Run, api: CkanApi, id: str, words: str) -> None:
    """The requester has the link; neither archive nor mail is made again."""
    said = run("-v", "process")
    assert said.code == 0
    assert len(workspace.mails) == 1
    assert re.search(rf"job {id}: statistics failed, next attempt in 1\d\d\d s: .*{words}", said.err)
    workspace.make_due()
    before = asked(api)
    job = waits(workspace, run, id, "statistics", words, seconds=2000)
    assert job.link_mailed_at
    assert asked(api) == before


def test_a_job_whose_link_is_mailed_cannot_be_cancelled_any_more_and_is_counted(
    workspace: Workspace, run: Run, api: CkanApi
) -> None:
    workspace.configure(stats_db="sqlite:///missing/stats.db")
    id = workspace.queue(api)
    job = waits_for_missing_statistics(workspace, run, id)
    due = workspace.spool.not_before(job)
    assert run("cancel", id) == CommandResult(
        1, "", f"ckanpackager: {id}: it is too late: its link is mailed, and only statistics are missing\n"
    )
    folder, job = workspace.find(id)
    assert (folder, job.cancelled, job.failure, workspace.spool.not_before(job)) == ("fast", False, None, due)
    (workspace.directory / "missing").mkdir()
    served(workspace, run, id)
    assert len(workspace.mails) == 1


def waits_for_missing_statistics(workspace: Workspace, run: Run, id: str) -> Job:
    assert run("process") == CommandResult(0, "", "")
    folder, job = workspace.find(id)
    assert (folder, len(workspace.mails)) == ("fast", 1)
    assert job.link_mailed_at
    return job


# Store and temporary directory


def test_a_full_store_lets_the_job_wait_and_leaves_nothing_in_it(
    workspace: Workspace, run: Run, api: CkanApi, mount: Mount
) -> None:
    filler = fill(mount(workspace.directory / "store"))
    id = workspace.queue(api)
    waits(workspace, run, id, "packaging", "/store.*No space left on device; make sure that there is room")
    assert list(workspace.store.directory.iterdir()) == [filler]
    filler.unlink()
    served(workspace, run, id)
    assert len(workspace.mails) == 1


def test_a_store_that_fills_up_lets_the_job_wait_and_has_its_room_again(
    workspace: Workspace, run: Run, api: CkanApi, mount: Mount
) -> None:
    disk = mount(workspace.directory / "store")
    api.files["large"] = os.urandom(2_000_000)  # which no compression makes smaller
    id = workspace.queue(api, "package_url", resource_url=f"{api.url}/files/large")
    waits(workspace, run, id, "packaging", "No space left on device; make sure that there is room")
    assert list(disk.iterdir()) == []


def test_a_read_only_store_lets_the_job_wait(workspace: Workspace, run: Run, api: CkanApi, mount: Mount) -> None:
    disk = mount(workspace.directory / "store")
    remount(disk, "ro")
    id = workspace.queue(api)
    waits(workspace, run, id, "packaging", "/store.*Read-only file system; make sure that .* this user may write into")
    remount(disk, "rw")
    served(workspace, run, id)
    assert len(workspace.mails) == 1


def test_a_store_that_goes_away_in_the_middle_lets_the_job_wait(workspace: Workspace, run: Run, api: CkanApi) -> None:
    id = workspace.queue(api)

    def fault(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
        shutil.rmtree(workspace.directory / "store", ignore_errors=True)
        return False

    api.fault = fault
    waits(workspace, run, id, "packaging", "/store.*No such file or directory")
    api.fault = None
    served(workspace, run, id)
    assert len(workspace.mails) == 1


def test_a_store_that_cannot_be_read_lets_the_jobs_wait_that_have_archives(
    workspace: Workspace, run: Run, api: CkanApi, smtp: FakeSmtpServer
) -> None:
    workspace.configure(**smtp.settings)
    other, id = workspace.queue(api, q="n"), workspace.queue(api)
    smtp.answer = lambda address: "450 later"
    assert run("process").code == 0
    lost, mine = (workspace.find(job)[1].archive for job in (other, id))
    assert lost and mine
    store, aside = workspace.directory / "store", workspace.directory / "aside"
    (store / lost.name).unlink()  # so that the other job, which comes first, asks CKAN again
    workspace.make_due()

    def fault(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
        if not aside.exists():
            store.rename(aside)
            store.write_text("no directory")
        return False

    api.fault = fault
    waits(workspace, run, id, "packaging", "/store.*Not a directory")
    assert workspace.find(other)[0] == "fast"
    store.unlink()
    aside.rename(store)
    api.fault, smtp.answer, before = None, lambda address: "250 OK", asked(api)
    workspace.make_due()
    assert run("process") == CommandResult(0, "", "")
    assert workspace.where() == {"done": 2}
    assert workspace.find(id)[1].archive == mine
    assert len(smtp.mails) == 2
    searches = [request.params for request in api.log[before:] if request.action == "datastore_search"]
    assert {params.get("q") for params in searches} == {"n"}


def test_a_full_temporary_directory_lets_the_job_wait(
    workspace: Workspace, run: Run, api: CkanApi, mount: Mount
) -> None:
    filler = fill(mount(workspace.directory / "temporary"))
    workspace.configure(temp_directory="temporary", zip_command=ZIP_COMMAND)
    id = workspace.queue(api)
    waits(workspace, run, id, "packaging", "/temporary.*No space left on device; make sure that there is room")
    assert list((workspace.directory / "temporary").iterdir()) == [filler]
    filler.unlink()
    served(workspace, run, id)


def test_a_read_only_temporary_directory_lets_the_job_wait(
    workspace: Workspace, run: Run, api: CkanApi, mount: Mount
) -> None:
    disk = mount(workspace.directory / "temporary")
    workspace.configure(temp_directory="temporary", zip_command=ZIP_COMMAND)
    remount(disk, "ro")
    id = workspace.queue(api)
    waits(workspace, run, id, "packaging", "/temporary.*Read-only file system")
    remount(disk, "rw")
    served(workspace, run, id)


def test_a_temporary_directory_that_cannot_be_made_lets_the_job_wait(
    workspace: Workspace, run: Run, api: CkanApi
) -> None:
    workspace.configure(temp_directory="temporary/inner", zip_command=ZIP_COMMAND)
    (workspace.directory / "temporary").touch()
    id = workspace.queue(api)
    waits(workspace, run, id, "packaging", "/temporary/inner: Not a directory")
    (workspace.directory / "temporary").unlink()
    served(workspace, run, id)


# zip_command


def test_a_zip_command_that_fails_lets_the_job_wait(workspace: Workspace, run: Run, api: CkanApi) -> None:
    workspace.configure(zip_command="sh -c 'echo no such luck >&2; exit 3' {output} {input}")
    id = workspace.queue(api)
    waits(workspace, run, id, "packaging", "zip_command: sh failed with exit code 3: no such luck")
    workspace.configure(zip_command=ZIP_COMMAND)
    served(workspace, run, id)


def test_a_zip_command_that_hangs_is_ended_and_the_job_waits(workspace: Workspace, run: Run, api: CkanApi) -> None:
    workspace.configure(zip_command="sh -c 'echo $$ > zipping; exec sleep 600' {output} {input}", zip_timeout=0.5)
    id = workspace.queue(api)
    waits(workspace, run, id, "packaging", r"zip_command: sh did not end within 0\.5 seconds")
    with pytest.raises(ProcessLookupError):
        os.kill(int((workspace.directory / "zipping").read_text()), 0)
    workspace.configure(zip_command=ZIP_COMMAND)
    served(workspace, run, id)


def test_a_zip_command_that_is_missing_fails_the_job_until_a_retry(
    workspace: Workspace, run: Run, api: CkanApi
) -> None:
    workspace.configure(zip_command="no-such-zip {output} {input}")
    id = workspace.queue(api)
    fails(workspace, run, id, "zip_command: no-such-zip ", mails=lambda: workspace.mails, public=OUR_FAULT)
    assert "zip" not in text(workspace.mails[0])
    workspace.configure(zip_command=ZIP_COMMAND)
    assert run("retry", id).code == 0
    assert run("process") == CommandResult(0, "", "")
    assert workspace.find(id)[0] == "done"


# The clock


@pytest.mark.parametrize("waiting", [False, True], ids=["a new job", "one that waits for another attempt"])
def test_after_the_clock_jumped_far_back_no_job_waits_for_it_to_come_round_again(
    workspace: Workspace, api: CkanApi, waiting: bool
) -> None:
    id = workspace.queue(api)
    if waiting:
        api.fault = BUSY
        workspace.work()
        api.fault = None
        assert list(workspace.spool.claim_due("fast", time.time)) == []

    def clock() -> float:
        return time.time() - 365 * 86400

    (claim,) = workspace.spool.claim_due("fast", clock)
    with contextlib.closing(claim), workspace.statistics() as statistics:
        store = open_store(workspace.settings)
        context = WorkerContext(
            name="w",
            settings=workspace.settings,
            spool=workspace.spool,
            store=store,
            engine=open_engine(workspace.settings, store, Stop(), clock),
            statistics=lambda: statistics,
            clock=clock,
            tell=lambda *_: None,
            stop=Stop(),
            alerts=Alerts(workspace.spool.files),
        )
        assert run_job(claim, context)
    assert workspace.find(id)[0] == "done"
    assert len(workspace.mails) == len(workspace.archives) == 1
    assert workspace.totals()["requests"] == 1


def test_after_the_clock_jumped_back_a_little_a_job_waits_that_little_longer(
    workspace: Workspace, api: CkanApi
) -> None:
    id = workspace.queue(api)
    jump = MAX_CLOCK_SKEW - 60
    assert list(workspace.spool.claim_due("fast", lambda: time.time() - jump)) == []
    (claim,) = workspace.spool.claim_due("fast", time.time)
    assert claim.job.id == id
    claim.close()


# The spool, and workers


def without_tmp(workspace: Workspace, api: CkanApi) -> None:
    """From the next request to CKAN on, nothing can be written into the spool."""

    def fault(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
        shutil.rmtree(workspace.spool.directory / "tmp", ignore_errors=True)
        return False

    api.fault = fault


def test_a_spool_that_fails_in_the_middle_of_a_job_ends_the_worker_without_a_death(
    workspace: Workspace, run: Run, api: CkanApi
) -> None:
    workspace.configure(max_attempts=2)
    id = workspace.queue(api)
    without_tmp(workspace, api)
    for number in range(1, 4):  # more often than a job may kill its worker
        said = run("process")
        assert said.code == 1
        assert re.fullmatch(r"ckanpackager: spool .*; make sure that the disk has room .*\n", said.err)
        folder, job = workspace.find(id)
        assert (folder, len(job.attempts), workspace.mails) == ("fast", number, [])
        workspace.store.clear()
    api.fault = None
    job = served(workspace, run, id)
    assert [attempt.outcome for attempt in job.attempts] == ["spool"] * 3 + ["done"]
    assert "spool failed for now: the spool could not be written" in run("status", id).out
    assert len(workspace.mails) == 1


def test_a_spool_on_a_full_disk_keeps_every_job(workspace: Workspace, run: Run, api: CkanApi, mount: Mount) -> None:
    disk = mount(workspace.directory / "small")
    workspace.configure(spool_directory="small", max_attempts=2)
    workspace.spool = Spool(disk)
    workspace.spool.prepare()
    id = workspace.queue(api)

    def fault(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
        fill(disk)
        return False

    api.fault = fault
    for _ in range(3):
        said = run("process")
        assert (said.code, workspace.mails) == (1, [])
        assert "No space left on device; make sure that the disk has room" in said.err
    fill(disk)
    with pytest.raises(TemporaryFailure, match="No space left on device"):
        workspace.queue(api)
    assert workspace.where() == {"fast": 1}
    (disk / "filler").unlink()
    api.fault = None
    served(workspace, run, id)
    assert len(workspace.mails) == 1


def test_a_job_that_kills_its_workers_fails_and_its_requester_is_told(
    workspace: Workspace, run: Run, api: CkanApi
) -> None:
    workspace.configure(max_attempts=3)
    poisonous = workspace.queue(api)
    for number in range(1, 4):
        command = [sys.executable, "-c", POISONED, "--config", str(workspace.file), "process"]
        worker = subprocess.run(command, env=environment({}), cwd=workspace.directory, check=False)
        assert worker.returncode == -signal.SIGKILL
        folder, job = workspace.find(poisonous)
        assert (folder, len(job.attempts), workspace.mails) == ("claimed", number, [])
        assert "its worker died; the next one takes it over" in run("status", poisonous).out
    harmless = workspace.queue(api, email="bob@example.org")
    said = run("process")
    assert said.code == 1
    folder, job = workspace.find(poisonous)
    assert (folder, job.failure) == ("failed", "its worker died 3 times while it worked on it")
    assert "failed: its worker died 3 times while it worked on it" in run("status", poisonous).out
    assert workspace.find(harmless)[0] == "done"
    told = {mail["To"]: mail["Subject"] for mail in workspace.mails}
    assert "could not be packaged" in told["ann@example.org"]
    assert "could not" not in told["bob@example.org"]
    assert workspace.totals() == {"emails": 1, "requests": 1, "errors": 1}
    assert len(workspace.archives) == 1
