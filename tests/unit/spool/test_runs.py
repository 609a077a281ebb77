"""When commands last did their work."""

import os
import time
from pathlib import Path

import pytest
from support.workspace import Workspace

from ckanpackager.maintenance.clean import clean
from ckanpackager.spool.queue import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    return spool


def test_a_run_is_recorded_with_its_time(spool: Spool) -> None:
    assert spool.last_runs() == {}
    spool.record_run("clean")
    spool.record_run("process")
    runs = spool.last_runs()
    assert set(runs) == {"clean", "process"} and all(abs(moment - time.time()) < 60 for moment in runs.values())
    os.utime(spool.directory / "runs" / "clean", (1, 1))
    assert spool.last_runs()["clean"] == 1
    spool.record_run("clean")
    assert spool.last_runs()["clean"] > 1


def test_a_run_that_cannot_be_recorded_ends_nothing(spool: Spool) -> None:
    (spool.directory / "runs").rmdir()
    (spool.directory / "runs").write_text("no directory")
    spool.record_run("process")
    assert spool.last_runs() == {}


def test_only_a_clean_that_removes_is_recorded(workspace: Workspace) -> None:
    given = (workspace.spool, workspace.store, workspace.settings, time.time())
    clean(*given, dry_run=True)
    assert workspace.spool.last_runs() == {}
    clean(*given)
    assert set(workspace.spool.last_runs()) == {"clean"}


def test_a_worker_that_finds_nothing_has_looked(workspace: Workspace) -> None:
    workspace.work()
    assert set(workspace.spool.last_runs()) == {"process"}


def test_how_a_queue_stands_is_told_by_one_look(workspace: Workspace) -> None:
    now = time.time()
    assert workspace.spool.waiting("fast", now) == (0, None, None)
    ids = [workspace.queue("http://127.0.0.1:9/api/3/action/datastore_search") for _ in range(3)]
    for id, moment in zip(ids, (now + 100, now - 50, now - 70), strict=True):
        os.utime(workspace.spool.files.path("fast", id), (moment, moment))
    length, oldest, overdue = workspace.spool.waiting("fast", now)
    assert (length, oldest) == (3, workspace.find(ids[0])[1].created) and overdue == pytest.approx(now - 70)
    assert workspace.spool.overdue_since("fast", now) == overdue
