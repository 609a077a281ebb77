"""The command line: what the commands do, print and exit with."""

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from support.workspace import PATIENCE, CommandResult, Workspace, as_user, environment, until
from support.wsgi_client import serving

from ckanpackager.cli import commands
from ckanpackager.cli.commands import COMMANDS
from ckanpackager.cli.progress import line
from ckanpackager.demo.ckan_api import CkanApi, Resource
from ckanpackager.jobs.job import Attempt
from ckanpackager.maintenance import check
from ckanpackager.spool import worker_slots
from ckanpackager.spool.worker_slots import Worker

Run = Callable[..., CommandResult]
ID = re.compile(r"\d{8}T\d{12}-[0-9a-f]{32}")


def words(api: CkanApi, *more: str) -> tuple[str, ...]:
    known = (f"api_url:{api.api_url}", "resource_id:r", "email:ann@example.org", "limit:10")
    return ("package_datastore", *known, *more)


# Every command


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_help_of_every_command_has_an_example_and_describes_every_option(run: Run, name: str) -> None:
    command = commands.command(name)
    said = run(name, "--help")
    assert said.code == 0
    assert f"ckanpackager {command.name}" in str(command.help).replace("ckanpackager -q", "ckanpackager")
    assert all(option.help for option in command.params if option.param_type_name == "option")  # type: ignore[attr-defined]
    assert said.err == ""


def test_an_idle_process_imports_nothing_that_only_jobs_need(workspace: Workspace) -> None:
    code = "import sys\nfrom ckanpackager.cli.main import main\ntry:\n    main()\nexcept SystemExit as end:\n"
    code += (
        "    heavy = {'requests', 'urllib3', 'sqlalchemy', 'smtplib', 'email', 'isal', 'ssl', 'tabulate', 'orjson'}\n"
    )
    code += "    print(end.code, heavy & set(sys.modules))"
    command = [sys.executable, "-c", code, "--config", str(workspace.file), "process"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("0 set()\n", "")


def test_help_and_version_of_the_program(run: Run) -> None:
    said = run("--help")
    assert said.code == 0
    assert all(name in said.out for name in COMMANDS)
    assert re.fullmatch(r".*\d+\.\d+.*\n", run("--version").out)


def test_without_a_command_there_is_help() -> None:
    done = subprocess.run([sys.executable, "-m", "ckanpackager"], capture_output=True, text=True, check=False)
    assert "Commands:" in done.stdout + done.stderr


# queue


def test_queue_prints_the_id_of_the_job_that_waits(workspace: Workspace, run: Run, api: CkanApi) -> None:
    said = run("queue", "-D", *words(api, 'filters:{"name": "n1"}'))
    assert said.code == 0
    assert ID.fullmatch(said.out.strip())
    folder, job = workspace.find(said.out.strip())
    assert (folder, job.request.email) == ("fast", "ann@example.org")
    assert run("-q", "queue", "-D", *words(api)) == CommandResult(0, "", "")


def test_queue_takes_defaults_from_a_file_and_words_go_before_them(
    workspace: Workspace, run: Run, api: CkanApi
) -> None:
    defaults = {"api_url": api.api_url, "email": "ann@example.org", "limit": 5, "secret": "s"}
    (workspace.directory / "d.json").write_text(json.dumps(defaults))
    said = run("queue", "-d", "d.json", "package_datastore", "resource_id:x", "limit:7")
    request = workspace.find(said.out.strip())[1].request
    assert (request.resource_id, request.email, request.limit) == ("x", "ann@example.org", 7)  # type: ignore[union-attr]
    said = run("queue", "-d", "d.json", "package_url", "resource_id:x", f"resource_url:{api.url}")
    assert workspace.find(said.out.strip())[1].request.task == "package_url"  # what is another task's is left out
    assert run("queue", "-d", "d.json", "-D", "package_datastore", "resource_id:x").code == 2


def test_queue_wait_follows_the_job_to_its_end(workspace: Workspace, api: CkanApi) -> None:
    waiting = workspace.start("queue", "-D", "--wait", *words(api))
    until(lambda: workspace.spool.names("fast"))
    workspace.work()
    out, errors = waiting.communicate(timeout=PATIENCE)
    assert (waiting.returncode, errors) == (0, "")
    assert out.splitlines()[1:] == workspace.archives


def test_queue_wait_tells_of_a_failure_by_its_exit_code(workspace: Workspace, api: CkanApi) -> None:
    waiting = workspace.start("queue", "-D", "--wait", *words(api, "sort:nofield"))
    until(lambda: workspace.spool.names("fast"))
    workspace.work()
    out, errors = waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 1
    assert errors.startswith(f"ckanpackager: {out.strip()}: http")
    assert "409" in errors


def test_queue_wait_ends_when_the_job_file_is_removed(workspace: Workspace, api: CkanApi) -> None:
    waiting = workspace.start("queue", "-D", "--wait", *words(api))
    (name,) = until(lambda: workspace.spool.names("fast"))
    (workspace.spool.directory / "fast" / name).unlink()
    _, errors = waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 1
    assert errors == f"ckanpackager: {name.removesuffix('.json')}: the job file was removed\n"


# process


def test_process_is_silent_where_all_goes_well(workspace: Workspace, api: CkanApi) -> None:
    assert workspace.run("process").stdout == ""
    workspace.queue(api)
    done = workspace.run("process")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert workspace.where() == {"done": 1}


def test_process_says_with_v_what_it_does(workspace: Workspace, run: Run, api: CkanApi) -> None:
    id = workspace.queue(api)
    said = run("-v", "process")
    assert said.out == ""
    assert [line.partition(" INFO ")[2] for line in said.err.splitlines()] == [
        f"job {id}: {step} done" for step in ("packaging", "mail", "statistics")
    ]


def test_process_exits_with_1_and_one_line_where_a_job_failed(workspace: Workspace, run: Run, api: CkanApi) -> None:
    workspace.configure(zip_command="no-such-zip {output} {input}")
    workspace.queue(api)
    said = run("process")
    assert said.code == 1
    assert re.fullmatch(r"\S+ \S+ ERROR job \S+: failed: packaging: zip_command: no-such-zip .*\n", said.err)
    assert "WRONG jobs: 1 failed in the last 24 hours" in run("check").out
    workspace.queue(api, filters={"name": "n1"})
    assert run("-q", "process") == CommandResult(1, "", "")


def test_a_request_that_is_at_fault_is_no_alarm(workspace: Workspace, run: Run, api: CkanApi) -> None:
    """Its requester is told; cron has nothing to mail, and nobody has to look."""
    id = workspace.queue(api, sort="nofield")
    assert run("process") == CommandResult(1, "", "")
    assert "failed in the last" not in run("check").out
    assert run("-v", "check").code == 0
    assert [mail["To"] for mail in workspace.mails] == ["ann@example.org"]
    assert workspace.totals() == {"emails": 0, "requests": 0, "errors": 1}
    assert "1 failed in the last 24 hours" in run("status").out
    workspace.configure(zip_command="no-such-zip {output} {input}")
    found = workspace.find(id)[1]
    assert found.mistaken
    workspace.queue(api)
    run("-q", "process")
    assert "WRONG jobs: 1 failed" in run("check").out


def test_process_shows_its_progress_on_a_terminal(workspace: Workspace, api: CkanApi) -> None:
    workspace.queue(api)
    ours, theirs = pty.openpty()
    done = subprocess.run(
        workspace.command("process"), stderr=theirs, env=environment({}), timeout=PATIENCE, check=False
    )
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "100% of 3: 3 rows" in shown
    assert shown.endswith("\r\x1b[K")


def test_process_takes_only_the_queues_that_it_is_told(workspace: Workspace, run: Run, api: CkanApi) -> None:
    fast, slow = workspace.queue(api), workspace.queue(api, limit=0)
    assert run("process", "--queue", "slow").code == 0
    assert (workspace.find(fast)[0], workspace.find(slow)[0]) == ("fast", "done")
    assert run("process", "--queue", "slow", "--queue", "fast").code == 0
    assert workspace.where() == {"done": 2}


def test_process_ends_after_max_jobs_and_claims_none_after_max_time(
    workspace: Workspace, run: Run, api: CkanApi
) -> None:
    for _ in range(3):
        workspace.queue(api)
    run("process", "--max-time", "0.000001")
    assert workspace.where() == {"fast": 3}
    run("process", "--max-jobs", "2")
    assert workspace.where() == {"fast": 1, "done": 2}


def test_process_exits_at_once_where_no_slot_is_free(workspace: Workspace, run: Run, api: CkanApi) -> None:
    workspace.queue(api)
    held = [worker_slots.acquire(workspace.spool.directory / "workers", queue, 1) for queue in ("fast", "slow")]  # type: ignore[arg-type]
    assert run("process") == CommandResult(0, "", "")
    assert workspace.where() == {"fast": 1}
    for slot in held:
        assert slot
        slot.close()
    run("process")
    assert workspace.where() == {"done": 1}


def test_process_loop_serves_what_arrives_until_sigterm(workspace: Workspace, api: CkanApi) -> None:
    worker = workspace.start("process", "--loop")
    for number in range(2):
        workspace.queue(api)
        until(lambda expected={"done": number + 1}: workspace.where() == expected)  # type: ignore[misc]
    worker.terminate()
    assert worker.communicate(timeout=PATIENCE) == ("", "")
    assert worker.returncode == 0


# status


def test_status_shows_lengths_and_workers(workspace: Workspace, run: Run, api: CkanApi) -> None:
    workspace.queue(api)
    workspace.queue(api, limit=0)
    (workspace.spool.directory / "failed" / "x.json").write_text("{")
    (workspace.spool.directory / "failed" / "x.json.reason").write_text("no valid job")
    said = run("status")
    counts = dict(line.split() for line in said.out.splitlines() if len(line.split()) == 2)
    assert {name: counts[name] for name in ("fast", "slow", "claimed", "failed", "done")} == {
        "fast": "1",
        "slow": "1",
        "claimed": "0",
        "failed": "1",
        "done": "0",
    }
    assert "no worker is active" in said.out
    slot = worker_slots.acquire(workspace.spool.directory / "workers", "fast", 1)
    assert slot
    slot.write_progress(Worker(worker="host:1", job="the-job", since=time.time() - 10, rows=50, expected=200))
    assert re.search(
        r"fast-1 +host:1 +the-job +\[######\.+\] 25% of 200: 50 rows, 5 rows/s, 0:30 left", run("status").out
    )


def test_status_of_a_job_that_waits(workspace: Workspace, run: Run, api: CkanApi) -> None:
    workspace.queue(api)
    id = workspace.queue(api)
    said = run("status", id)
    assert f"package_datastore of r from {api.url[7:]}, for ann@example.org" in said.out
    assert "requested; waiting in fast, 1 ahead\n" in said.out


def test_status_of_a_job_that_waits_for_another_attempt(workspace: Workspace, run: Run, api: CkanApi) -> None:
    id = workspace.queue(api)
    claim = workspace.spool.claim(id, "fast")
    assert claim
    attempt = Attempt(started=1.0, worker="host:1", ended=2.0, step="mail", outcome="retry", error="450 later")
    claim.release(time.time() + 1000, attempts=(attempt,))
    said = run("status", id)
    assert re.search(r"waiting in fast, not before \d{4}-\d\d-\d\d", said.out)
    assert "host:1: mail failed for now: 450 later" in said.out


def test_status_of_a_job_at_work_and_of_one_whose_worker_died(workspace: Workspace, run: Run, api: CkanApi) -> None:
    id = workspace.queue(api)
    assert workspace.spool.claim(id, "fast")
    assert "its worker died; the next one takes it over" in run("status", id).out
    slot = worker_slots.acquire(workspace.spool.directory / "workers", "fast", 1)
    assert slot
    slot.write_progress(Worker(worker="host:1", job=id, since=time.time() - 10, rows=50))
    assert "in progress: 50 rows, 5 rows/s" in run("status", id).out


def test_status_of_a_job_that_is_done(workspace: Workspace, run: Run, api: CkanApi) -> None:
    id = workspace.queue(api)
    workspace.work()
    said = run("status", id).out
    assert "requested; done\n" in said
    assert f"archive {workspace.archives[0]} (3 rows, " in said
    assert all(f"  {step}\n" in said for step in ("link mailed", "counted as a request", "finished"))


def test_status_of_a_job_that_failed(workspace: Workspace, run: Run, api: CkanApi) -> None:
    id = workspace.queue(api, sort="nofield")
    workspace.work()
    said = run("status", id).out
    assert "requested; failed\n" in said
    assert "packaging failed: http" in said
    assert "requester told that it failed" in said
    assert said.splitlines()[-1].startswith("failed: http")


# stats


def test_stats_in_all_formats(workspace: Workspace, run: Run, api: CkanApi) -> None:
    workspace.queue(api)
    workspace.queue(api, email="bob@example.org")
    workspace.queue(api, resource_id="x")
    workspace.work()
    totals = {"*": {"emails": 2, "requests": 2, "errors": 1}, "r": {"emails": 2, "requests": 2, "errors": 0}}
    answer = json.loads(run("stats", "--format", "json").out)
    assert answer["status"] == "success"
    assert {**totals, "x": {"emails": 0, "requests": 0, "errors": 1}} == answer["totals"]
    rows = list(csv.DictReader(io.StringIO(run("stats", "--format", "csv").out)))
    assert {"resource_id": "*", "emails": "2", "requests": "2", "errors": "1"} in rows
    assert re.search(r"^r +2 +2 +0$|^r .*2", run("stats").out, re.MULTILINE)
    requests = json.loads(run("stats", "requests", "--format", "json").out)["requests"]
    assert [row["email"] for row in requests] == ["bob@example.org", "ann@example.org"]
    assert len(json.loads(run("stats", "requests", "-l", "1", "-o", "1", "--format", "json").out)["requests"]) == 1
    assert (
        json.loads(run("stats", "requests", "-e", "BOB@example.org", "--format", "json").out)["requests"]
        == requests[:1]
    )
    assert list(json.loads(run("stats", "-r", "r", "--format", "json").out)["totals"]["r"].values()) == [2, 2, 0]
    assert "404" in run("stats", "errors").out
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", run("stats", "errors").out)


def test_stats_x_exits_with_1_where_there_are_errors(workspace: Workspace, run: Run, api: CkanApi) -> None:
    assert run("stats", "-x").code == 0
    assert run("stats", "errors").out == "no errors\n"
    workspace.queue(api, resource_id="x")
    workspace.work()
    assert run("stats").code == 0
    assert run("stats", "-x").code == 1
    assert run("-q", "stats", "requests", "-x") == CommandResult(1, "", "")
    assert run("stats", "-x", "-r", "other").code == 0


# retry and cancel


def test_retry_puts_a_failed_job_back_and_its_requester_gets_the_link(
    workspace: Workspace, run: Run, api: CkanApi
) -> None:
    id = workspace.queue(api, resource_id="late")
    workspace.work()
    assert run("retry", id) == CommandResult(0, f"{id}: waiting in fast\n", "")
    api.resources["late"] = Resource(api.resources["r"].fields, [[1, "x"]])
    assert run("process").code == 0
    assert workspace.find(id)[0] == "done"
    assert ["could not" in mail["Subject"] for mail in workspace.mails] == [True, False]


def test_a_retried_job_that_fails_again_tells_its_requester_again(workspace: Workspace, run: Run, api: CkanApi) -> None:
    id = workspace.queue(api, resource_id="late")
    workspace.work()
    assert run("retry", "--all").code == 0
    workspace.work()
    folder, job = workspace.find(id)
    assert (folder, len(job.attempts), job.attempts_before_retry) == ("failed", 2, 1)
    assert ["could not" in mail["Subject"] for mail in workspace.mails] == [True, True]
    assert len({mail["Message-ID"] for mail in workspace.mails}) == 2


def test_the_requester_of_a_retried_job_is_told_of_its_cancellation(
    workspace: Workspace, run: Run, api: CkanApi
) -> None:
    id = workspace.queue(api, resource_id="late")
    workspace.work()
    assert run("retry", id).code == run("cancel", id).code == 0
    workspace.work()
    assert workspace.find(id)[0] == "done"
    first, second = [str(mail.get_body(("plain",)).get_content()) for mail in workspace.mails]  # type: ignore[union-attr]
    assert "404" in first
    assert "cancelled by the administrators" in second


def test_status_tells_a_broken_job_file_from_an_unknown_job(workspace: Workspace, run: Run, api: CkanApi) -> None:
    id = workspace.queue(api)
    workspace.spool.files.path("fast", id).write_text("{")
    said = run("status", id)
    assert said.code == 2
    assert said.err == f"ckanpackager: {id}: its file in fast/ is no valid job: no valid JSON: it ends too early\n"
    assert "there is no such job" in run("status", "unknown").err


def test_retry_all_passes_over_what_is_no_job(workspace: Workspace, run: Run, api: CkanApi) -> None:
    (workspace.spool.directory / "fast" / "x.json").write_text("{")
    id = workspace.queue(api, resource_id="x")
    workspace.work()
    before = set(workspace.spool.names("failed"))
    assert run("retry", "--all") == CommandResult(0, f"{id}: waiting in fast\n", "")
    assert before - set(workspace.spool.names("failed")) == {f"{id}.json"}
    assert run("retry", "x").code == 1


def failed_with_key(workspace: Workspace, api: CkanApi, **parameters: Any) -> str:
    id = workspace.queue(api, key="very-secret-key", sort="nofield", **parameters)
    workspace.work()
    assert workspace.find(id)[0] == "failed"
    return id


def test_a_key_is_kept_no_longer_than_its_job_is_open(workspace: Workspace, run: Run, api: CkanApi) -> None:
    failed, done = failed_with_key(workspace, api), workspace.queue(api, key="very-secret-key")
    assert b"very-secret-key" in (workspace.spool.directory / "fast" / f"{done}.json").read_bytes()
    workspace.work()
    cancelled = workspace.queue(api, key="very-secret-key")
    run("cancel", cancelled)
    workspace.work()
    for id in (failed, done, cancelled):
        _, job = workspace.find(id)
        assert (job.request.key, job.key_removed) == (None, True)
    for path in workspace.directory.rglob("*"):
        assert not path.is_file() or b"very-secret-key" not in path.read_bytes(), path


def test_a_job_whose_key_was_removed_is_retried_with_another_only(workspace: Workspace, run: Run, api: CkanApi) -> None:
    with_key, without = failed_with_key(workspace, api), workspace.queue(api, sort="nofield")
    workspace.work()
    words = f"ckanpackager: {with_key}: its API key was removed when it ended; retry it with --key KEY\n"
    assert run("retry", with_key) == CommandResult(1, "", words)
    assert run("retry", "--all") == CommandResult(1, f"{without}: waiting in fast\n", words)
    assert workspace.where() == {"fast": 1, "failed": 1}
    assert run("retry", with_key, "--key", "new-key") == CommandResult(0, f"{with_key}: waiting in fast\n", "")
    assert workspace.find(with_key)[1].request.key == "new-key"
    api.log.clear()
    workspace.work()
    assert "new-key" in {request.headers["Authorization"] for request in api.log}
    assert run("retry", "--all", "--key", "x").code == 2


def test_retry_says_why_it_cannot(workspace: Workspace, run: Run, api: CkanApi) -> None:
    waiting = workspace.queue(api)
    said = run("retry", waiting, "nothing")
    assert said.code == 1
    assert said.err.splitlines() == [
        f"ckanpackager: {waiting}: it is not failed: it is waiting",
        "ckanpackager: nothing: there is no such job; `ckanpackager status` shows what there is",
    ]


@pytest.mark.parametrize("limit", [10, 0])
def test_cancel_ends_a_job_and_the_next_process_tells_its_requester(
    workspace: Workspace, run: Run, api: CkanApi, limit: int
) -> None:
    id = workspace.queue(api, limit=limit)
    said = run("cancel", id)
    assert (said.code, said.err) == (0, "")
    assert said.out == f"{id}: cancelled; the next `ckanpackager process` tells its requester\n"
    assert run("process") == CommandResult(0, "", "")
    folder, job = workspace.find(id)
    assert (folder, job.archive) == ("done", None)
    assert api.log == []
    (mail,) = workspace.mails
    assert "cancelled by the administrators" in mail.as_string()
    assert workspace.totals().get("errors", 0) == 0


def test_cancel_says_why_it_cannot(workspace: Workspace, run: Run, api: CkanApi) -> None:
    done, failed = workspace.queue(api), workspace.queue(api, resource_id="x")
    workspace.work()
    running = workspace.queue(api)
    held = workspace.spool.claim(running, "fast")
    assert held
    for id, why in ((done, "it is done"), (failed, "it has failed"), (running, "a worker is at it")):
        assert run("cancel", id) == CommandResult(1, "", f"ckanpackager: {id}: it is not waiting: {why}\n")
    assert workspace.mails
    assert workspace.find(running)[1].cancelled is False


# clear-cache, clean, check, demo


@pytest.mark.parametrize("name", ["clear-cache", "cc"])
def test_clear_cache_removes_all_archives(workspace: Workspace, run: Run, api: CkanApi, name: str) -> None:
    workspace.queue(api)
    workspace.work()
    assert run(name) == CommandResult(0, "1 archives removed\n", "")
    assert [path.name for path in workspace.store.directory.iterdir()] == [".expired"]
    assert run("-q", name) == CommandResult(0, "", "")


def test_clean_says_what_it_removed(workspace: Workspace, run: Run, api: CkanApi) -> None:
    workspace.queue(api)
    workspace.work()
    (about,) = workspace.store.directory.glob("*/.about.json")
    about.write_bytes(re.sub(rb'"published":[0-9.]+', b'"published":1', about.read_bytes()))
    for path in (workspace.spool.directory / "done").iterdir():
        os.utime(path, (1, 1))
    assert run("clean").out == "1 archives, 1 done jobs, 0 failed jobs, 0 temporary files removed\n"
    assert run("-q", "clean") == CommandResult(0, "", "")
    assert workspace.where() == {}


def test_check_finds_nothing_wrong_with_what_is_right(workspace: Workspace, run: Run, api: CkanApi) -> None:
    workspace.configure(secret="a secret")
    workspace.file.chmod(0o600)
    assert workspace.store
    with serving(workspace) as address:
        workspace.configure(secret="a secret", download_url=f"{address}/archives", public_url=address)
        said = run("check", "--ckan", api.url)
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert [line for line in lines if not line.startswith("ok ")] == []
    assert f"ok    download_url: an archive can be downloaded from {address}" in lines
    assert f"ok    public_url: the receiver answers at {address}" in lines
    assert workspace.archives == [] and not list(workspace.store.directory.iterdir())
    assert re.search(r"ckan: http://127.*: CKAN \d", lines[-1])
    assert run("-q", "check").out == ""


def test_check_says_all_that_is_wrong_in_plain_words(workspace: Workspace, run: Run) -> None:
    (workspace.directory / "file").write_text("")
    workspace.configure(
        store_directory="file",
        temp_directory="file/x",
        stats_db="sqlite:///missing/stats.db",
        mail_transport="smtp",
        smtp_host="127.0.0.1",
        smtp_port=1,
        zip_command="no-such-zip {output} {input}",
    )
    said = run("check", "--ckan", "http://[")
    assert (said.code, said.err) == (1, "")
    wrong = [line.removeprefix("WRONG ") for line in said.out.splitlines() if line.startswith("WRONG ")]
    assert [line.partition(":")[0] for line in wrong] == [
        "store_directory",
        "temp_directory",
        "statistics",
        "mail",
        "zip_command",
        "ckan",
    ]
    assert "cannot be made: File exists" in wrong[0]
    assert "cannot be made: Not a directory" in wrong[1]
    assert "is it there, may this user write to it" in wrong[2]
    assert "Connection refused" in wrong[3]
    assert "no-such-zip is not there: install it, or correct the command" in wrong[4]
    assert "no usable URL" in wrong[5]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_check_says_where_one_user_cannot_read_what_another_wrote(open_directory: Path, api: CkanApi) -> None:
    workspace = Workspace(open_directory)
    settings = workspace.settings
    os.chown(open_directory, 65534, 65534)
    id = workspace.queue(api)
    folders = [workspace.spool.directory, *workspace.spool.directory.iterdir()]
    for path in folders:
        os.chown(path, 65534, 65534)
    said = as_user(65534, lambda: next(found.words for found in check.run(settings, None) if found.level == "error"))
    file = workspace.spool.files.path("fast", id)
    assert f"this user may not read and write {file} (-rw-------, owner 0, group 0)" in said
    assert f"chmod 2770 {workspace.spool.directory}" in said
    for path in folders[1:]:
        os.chown(path, 0, 0)
    # The spool's findings alone: the others read files of the package, which that user may not be able to reach.
    said = as_user(65534, lambda: list(islice(check.run(settings, None), len(folders))))
    assert said.count("this user may not read and write") == len(folders) - 1


def test_check_passes_over_what_vanishes_while_it_looks(workspace: Workspace, run: Run) -> None:
    (workspace.spool.directory / "fast" / "x.json").symlink_to("nowhere")
    assert run("check").code in (0, 1)


def test_the_demo_runs_twice_in_the_same_directory(workspace: Workspace, tmp_path: Path) -> None:
    for number in (1, 2):
        done = workspace.run(
            "demo",
            "--rows",
            "40",
            "--directory",
            str(tmp_path / "demo"),
            CKANPACKAGER_STATS_DB="sqlite:////nowhere/x.db",
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert len(list((tmp_path / "demo" / "store").glob("*/*.zip"))) == 2 * number
        assert len(list((tmp_path / "demo" / "mail" / "new").iterdir())) == 2 * number
        assert done.stdout.count("$ ckanpackager ") == 7


# The line of progress


@pytest.mark.parametrize(
    ("rows", "expected", "seconds", "shown"),
    [
        (0, None, 0.0, "0 rows, 0 rows/s"),
        (1500, None, 1.0, "1,500 rows, 1,500 rows/s"),
        (0, 0, 1.0, "0 rows, 0 rows/s"),
        (0, 100, 0.0, "[........................] 0% of 100: 0 rows, 0 rows/s"),
        (50, 100, 1.0, "[############............] 50% of 100: 50 rows, 50 rows/s, 0:01 left"),
        (100, 100, 1.0, "[########################] 100% of 100: 100 rows, 100 rows/s"),
        (1, 7201, 1.0, "[........................] 0% of 7,201: 1 rows, 1 rows/s, 2:00:00 left"),
        (110, 100, 1.0, "[########################] 110% of 100: 110 rows, 110 rows/s"),
    ],
)
def test_progress_in_words(rows: int, expected: int | None, seconds: float, shown: str) -> None:
    assert line(rows, expected, seconds) == shown


def test_events_go_to_the_configured_file_with_the_jobs_id_and_without_the_key(
    workspace: Workspace, api: CkanApi
) -> None:
    workspace.configure(log="events.log")
    id = workspace.queue(api, key="very-secret-key")
    assert workspace.run("process").returncode == 0
    events = (workspace.directory / "events.log").read_text().splitlines()
    assert events and all(f"job {id}: " in line for line in events)
    assert "very-secret-key" not in "\n".join(events)


def test_check_says_that_jobs_failed_and_that_no_worker_is_active(
    workspace: Workspace, run: Callable[..., CommandResult]
) -> None:
    failed = workspace.queue("http://127.0.0.1:9/datastore_search")
    claim = workspace.spool.claim(failed, "fast")
    assert claim
    claim.fail(failure="no such resource")
    waiting = workspace.queue("http://127.0.0.1:9/datastore_search")
    claim = workspace.spool.claim(waiting, "fast")
    assert claim
    claim.release(time.time() - 7300)
    said = run("check")
    assert said.code == 1
    assert "1 failed in the last 24 hours" in said.out
    assert "the oldest has waited for 2 hours and no worker is active" in said.out
