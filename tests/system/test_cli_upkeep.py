"""clear-cache and clean: what they ask, what they would remove, and what stays."""

import os
import pty
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.statistics_files import make_original
from support.workspace import PATIENCE, CommandResult, Workspace, environment

Run = Callable[..., CommandResult]
DAY = 86400


def archive(workspace: Workspace, age: float = 0) -> str:
    directory = workspace.store.new_directory("a" * 32)
    with workspace.store.part(directory) as part:
        part.write_bytes(b"PK")
        return workspace.store.publish(part, directory, "t-1970-01-01.zip", rows=1, now=time.time() - age).name


def named(workspace: Workspace, name: str) -> Path:
    with workspace.store.part(workspace.store.new_directory("b" * 32)) as part:
        part.write_bytes(b"PK")
        return workspace.store.directory / workspace.store.publish_named(part, name, rows=1, now=time.time()).name


def at_a_terminal(workspace: Workspace, answer: str, *words: str) -> CommandResult:
    """Run the program with a terminal as its standard input, on which something is typed."""
    master, slave = pty.openpty()
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(workspace.command(*words), stdin=slave, env=environment({}), **pipes) as process:
        os.close(slave)
        os.write(master, answer.encode())
        out, err = process.communicate(timeout=PATIENCE)
    os.close(master)
    return CommandResult(process.returncode, out, err)


def test_clear_cache_at_a_terminal_asks_first(workspace: Workspace) -> None:
    name = archive(workspace)
    said = at_a_terminal(workspace, "n\n", "clear-cache")
    assert (said.code, said.out.strip()) == (1, "")
    assert "Remove all archives but those of named packages? The links to them stop working." in said.err
    assert "nothing was removed" in said.err
    assert workspace.archives == [name]
    said = at_a_terminal(workspace, "y\n", "cc")
    assert (said.code, said.out.strip()) == (0, "1 archives removed")
    assert workspace.archives == []


def test_clear_cache_does_not_ask_with_q_or_without_a_terminal(workspace: Workspace) -> None:
    archive(workspace)
    said = at_a_terminal(workspace, "", "clear-cache", "-q")
    assert said == (0, "", "") and workspace.archives == []
    archive(workspace)
    done = subprocess.run(workspace.command("clear-cache"), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"1 archives removed\n", b"")


def test_clear_cache_does_not_ask_about_another_machines_store(workspace: Workspace) -> None:
    said = at_a_terminal(workspace, "", "clear-cache", "-p", "127.0.0.1:9")
    assert said.code == 1 and "Remove" not in said.err and "no answer" in said.err


def test_named_archives_stay_unless_they_are_meant(workspace: Workspace, run: Run, monkeypatch: Any) -> None:
    path, _ = named(workspace, "gbif"), archive(workspace)
    assert run("clear-cache").out == "1 archives removed\n"
    assert path.exists()
    assert run("clear-cache", "--named").out == "1 archives removed\n"
    assert not path.exists() and workspace.store.named("gbif") is None
    said = run("clear-cache", "--named", "-p", "127.0.0.1:9")
    assert said.code == 2 and "--named is for the store of this machine" in said.err


def everything(directory: Path) -> dict[str, float]:
    return {str(path): path.lstat().st_mtime for path in directory.rglob("*") if path.is_file()}


def test_a_dry_run_of_clean_neither_makes_nor_completes_the_statistics(workspace: Workspace, run: Run) -> None:
    workspace.configure(keep_statistics=1)
    assert workspace.store
    workspace.spool.prepare()
    before = everything(workspace.directory)
    assert "0 requests and errors would be removed" in run("clean", "--dry-run").out
    assert everything(workspace.directory) == before
    make_original(file := workspace.directory / "stats.db")
    original = file.read_bytes()
    assert "3 requests and errors would be removed" in run("clean", "--dry-run").out
    assert file.read_bytes() == original


@pytest.mark.parametrize("keep_statistics", [None, 1])
def test_a_dry_run_of_clean_says_what_clean_removes_and_removes_nothing(
    workspace: Workspace, run: Run, keep_statistics: int | None
) -> None:
    workspace.configure(keep_archives=2, keep_done=2, keep_failed=2, cache_time=60, keep_statistics=keep_statistics)
    archive(workspace, age=3 * DAY)
    kept = archive(workspace)
    (workspace.store.directory / f".{'c' * 32}-{'d' * 32}.part").mkdir()
    for folder in ("done", "failed", "tmp", "building", "accepted"):
        path = workspace.spool.directory / folder / "old.json"
        path.write_text("{}")
        os.utime(path, (time.time() - 3 * DAY,) * 2)
    with workspace.statistics() as statistics:
        statistics.record_request(job="j", resource_id="r", email="a@example.org", count=1, now=time.time() - 3 * DAY)
    before = everything(workspace.directory)
    would = run("clean", "--dry-run")
    assert would.code == 0 and everything(workspace.directory) == before
    assert would.out.startswith("1 archives, 1 done jobs, 1 failed jobs, 3 temporary files")
    assert would.out.endswith(" would be removed\n")
    assert ("1 requests and errors" in would.out) == (keep_statistics is not None)
    done = run("clean")
    assert done.out == would.out.replace("would be removed", "removed")
    assert workspace.archives == [kept]
    assert run("clean", "--dry-run").out.startswith("0 archives, 0 done jobs, 0 failed jobs, 0 temporary files")
