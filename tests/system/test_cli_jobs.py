"""jobs, status and queue --wait at a terminal: which jobs there are, why they wait, and in which colours."""

import csv
import io
import json
import os
import pty
import re
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from support.workspace import PATIENCE, CommandResult, Workspace, environment, until

from ckanpackager.cli import jobs as job_commands
from ckanpackager.cli import progress
from ckanpackager.cli.context import CliContext
from ckanpackager.cli.remote import Options
from ckanpackager.demo.ckan_api import CkanApi
from ckanpackager.jobs.job import Attempt

Run = Callable[..., CommandResult]
URL = "https://data.example.org/api/3/action/datastore_search"
HINT = "ckanpackager: no worker is running; start `ckanpackager process`"


@pytest.fixture
def three(workspace: Workspace) -> dict[str, str]:
    """A job that has failed, one that is done, and one that waits for another attempt; the last is the newest."""
    ids = {}
    for state, resource in (("failed", "r1"), ("done", "r2"), ("fast", "r3")):
        ids[state] = workspace.queue(URL, resource_id=resource, email=f"{resource}@example.org")
    failed, done, waiting = (workspace.spool.claim(id, "fast") for id in ids.values())
    assert failed and done and waiting
    failed.fail(failure="no such\nresource\x1b[31m")
    done.finish()
    attempt = Attempt(started=1, worker="w", ended=2, step="packaging", kind="packaging", outcome="retry", error="503")
    waiting.release(time.time() + 3600, attempts=(attempt,))
    return ids


def listed(run: Run, *words: str) -> list[dict[str, Any]]:
    said = run("jobs", "--format", "json", *words)
    assert said.code == 0, said
    found: list[dict[str, Any]] = json.loads(said.out)["jobs"]
    return found


def test_jobs_lists_the_newest_first_with_why_and_when(run: Run, three: dict[str, str]) -> None:
    rows = listed(run)
    assert [row["job"] for row in rows] == [three["fast"], three["done"], three["failed"]]
    assert [row["state"] for row in rows] == ["delayed", "done", "failed"]
    assert (rows[0]["why"], rows[2]["why"]) == ("503", "no such\nresource\x1b[31m")
    assert 3500 < rows[0]["next_attempt"] - time.time() < 3700 and rows[1]["next_attempt"] is None
    known = {"queue": "fast", "task": "package_datastore", "resource_id": "r3", "email": "r3@example.org"}
    assert known.items() <= rows[0].items() and time.time() - rows[0]["created"] < PATIENCE


@pytest.mark.parametrize(
    ("words", "states"),
    [
        (["--failed"], ["failed"]),
        (["--waiting"], ["fast"]),
        (["--done"], ["done"]),
        (["--claimed"], []),
        (["--email", "R2@example.org"], ["done"]),
        (["-r", "r1"], ["failed"]),
        (["--resource", "r1", "--done"], []),
        (["-l", "2"], ["fast", "done"]),
        (["--since", "2026-01-01"], ["fast", "done", "failed"]),
        (["--since", "4000000000"], []),
    ],
)
def test_jobs_are_chosen(run: Run, three: dict[str, str], words: list[str], states: list[str]) -> None:
    assert [row["job"] for row in listed(run, *words)] == [three[state] for state in states]


def test_a_table_of_jobs_has_one_line_for_each(run: Run, three: dict[str, str]) -> None:
    said = run("jobs")
    lines = said.out.splitlines()
    assert re.split(r"\s{2,}", lines[0].strip()) == [
        *("job", "state", "queue", "task", "resource", "e-mail", "created", "why, or when next"),
    ]
    assert len(lines) == 5 and "\x1b" not in said.out
    assert lines[2].startswith(three["fast"]) and "not before 20" in lines[2] and ": 503" in lines[2]
    assert "no such resource" in lines[4]


def test_jobs_as_csv(run: Run, three: dict[str, str]) -> None:
    rows = list(csv.DictReader(io.StringIO(run("jobs", "--format", "csv").out)))
    assert [row["job"] for row in rows] == [three["fast"], three["done"], three["failed"]]
    assert rows[2]["why"].startswith("no such\nresource") and "\x1b" not in rows[2]["why"]


def test_no_jobs_is_said(run: Run) -> None:
    assert run("jobs").out == "no jobs\n"
    assert json.loads(run("jobs", "--format", "json").out)["jobs"] == []
    assert run("jobs", "--format", "csv").out == ""


def test_wrong_choices_of_jobs_are_said_in_words(run: Run) -> None:
    said = run("jobs", "--failed", "--done")
    assert said.code == 2 and "--done and --failed exclude each other" in said.err
    said = run("jobs", "--since", "yesterday")
    assert said.code == 2 and "since: expected a date as 2026-01-31" in said.err


def test_the_hundred_newest_of_many_jobs_are_listed(workspace: Workspace, run: Run) -> None:
    content = (workspace.spool.directory / "fast" / f"{workspace.queue(URL)}.json").read_bytes()
    for number in range(200):
        path = workspace.spool.directory / "done" / f"20260101T{number:012d}-{'0' * 32}.json"
        path.write_bytes(content)
    lines = run("jobs").out.splitlines()
    assert len(lines) == 102
    assert lines[-1].startswith(f"20260101T{101:012d}-")


# Colours


def shown(workspace: Workspace, *words: str, **environ: str) -> str:
    """What a command prints on a terminal."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        workspace.command(*words), stdout=slave, stdin=slave, env=environment({"TERM": "xterm", **environ})
    ) as process:
        os.close(slave)
        said = b""
        try:
            while chunk := os.read(master, 65536):
                said += chunk
        except OSError:  # of Linux, when the other end is closed
            pass
        process.wait(PATIENCE)
    os.close(master)
    return said.decode()


def test_on_a_terminal_what_is_bad_is_red(workspace: Workspace, three: dict[str, str]) -> None:
    failed = "1 failed in the last 24 hours"
    assert f"\x1b[31m\x1b[1m{failed}\x1b[0m" in shown(workspace, "status")
    assert "\x1b[31m\x1b[1m failed \x1b[0m" in shown(workspace, "jobs")
    job = shown(workspace, "status", three["failed"])
    assert re.search(r"\x1b\[31m\x1b\[1mfailed: no such.*resource", job, re.DOTALL)
    assert "\x1b[31m" not in job.replace("\x1b[31m\x1b[1m", ""), "no colour of another program's words"


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
@pytest.mark.parametrize("command", ["status", "jobs", "check"])
def test_without_colours_there_is_no_escape(
    workspace: Workspace, three: dict[str, str], command: str, environ: dict[str, str]
) -> None:
    assert "\x1b" not in shown(workspace, command, **environ)


@pytest.mark.parametrize("command", ["status", "jobs", "check"])
def test_what_is_piped_has_no_colours(workspace: Workspace, three: dict[str, str], command: str) -> None:
    done = workspace.run(command)
    assert done.stdout and "\x1b" not in done.stdout


# No worker


def test_queue_wait_says_once_when_no_worker_runs(
    workspace: Workspace, api: CkanApi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(job_commands, "WORKER_PATIENCE", 0.6)
    id = workspace.queue(api)
    ended: list[int] = []
    context = CliContext(workspace.file, quiet=False, remote=Options())
    following = threading.Thread(target=lambda: ended.append(job_commands.follow(context, id)))
    following.start()
    said = ""

    def is_said() -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return HINT in said

    until(is_said)
    workspace.work()
    following.join(PATIENCE)
    assert ended == [0] and (said + capsys.readouterr().err).count("no worker is running") == 1


def test_a_job_that_waits_for_its_next_attempt_or_for_cron_needs_no_hint(workspace: Workspace) -> None:
    id = workspace.queue(URL)
    assert job_commands._is_idle(workspace.spool, *workspace.find(id))
    path = workspace.spool.directory / "fast" / f"{id}.json"
    os.utime(path, (time.time() + 60,) * 2)
    assert not job_commands._is_idle(workspace.spool, *workspace.find(id))
    os.utime(path)
    workspace.spool.record_run("process")
    assert not job_commands._is_idle(workspace.spool, *workspace.find(id))
    past = time.time() - progress.CRON - 1
    os.utime(workspace.spool.directory / "runs" / "process", (past, past))
    folder, job = workspace.find(id)
    assert job_commands._is_idle(workspace.spool, folder, replace(job, created=past))


def test_the_hint_waits_and_is_said_once_and_not_with_q(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    hint, quiet = progress.WorkerHint(10, quiet=False), progress.WorkerHint(10, quiet=True)
    said = []
    for moment, idle in ((0, True), (9, True), (9.5, False), (10, True), (19, True), (20, True), (60, True)):
        now[0] = 100.0 + moment
        hint.look(idle=idle)
        quiet.look(idle=idle)
        said.append(capsys.readouterr().err.count(HINT))
    assert said == [0, 0, 0, 0, 0, 1, 0]
