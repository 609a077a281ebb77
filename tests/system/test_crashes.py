"""A worker dies at any moment: the next one goes on, and everything happens once."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.workspace import FakeSmtpServer, Workspace, environment, small_ckan

from ckanpackager.maintenance.clean import clean

KILLED = Path(__file__).parents[1] / "support" / "kill_points.py"


class Workers:
    """Asks tests/support/kill_points.py for workers."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, workspace: Workspace, moment: int = 0) -> str:
        """Run a worker that dies at that moment, or to its end; what it says."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{workspace.file} {moment}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


@pytest.fixture
def workers() -> Iterator[Workers]:
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, str(KILLED)], env=environment({}), **pipes) as process:
        yield Workers(process)


@contextmanager
def moments(directory: Path, workers: Workers, **settings: Any) -> Iterator[Iterator[tuple[Workspace, str]]]:
    """A workspace for each moment at which a worker can die, after it died and the next one did the rest."""
    with small_ckan() as api:

        def one(number: int) -> tuple[Workspace, str]:
            folder = directory / str(number)
            folder.mkdir()
            workspace = Workspace(folder, **settings)
            workspace.queue(api)
            return workspace, workers.run(workspace, number)

        def all_of_them() -> Iterator[tuple[Workspace, str]]:
            _, said = one(0)
            assert said.startswith("ended 0 ")
            for number in range(1, int(said.split()[2]) + 1):
                workspace, said = one(number)
                assert said.startswith(("killed ", "ended 0 "))
                rest = workers.run(workspace)
                assert rest.startswith("ended 0 "), f"moment {number}, {said}: {rest}"
                yield workspace, f"moment {number}, {said}"

        yield all_of_them()


def check_once(workspace: Workspace, moment: str) -> None:
    """One job done, one archive, one row, no temporary files left."""
    assert workspace.where().get("done") == 1 and not {"fast", "claimed", "failed"} & workspace.where().keys(), moment
    assert len(workspace.archives) == 1, moment
    assert workspace.totals()["requests"] == 1, moment
    clean(workspace.spool, workspace.store, workspace.settings, time.time() + 7200)
    assert workspace.where() == {"done": 1}, moment
    left = [name for name in os.listdir(workspace.store.directory) if name.endswith((".part", ".lock"))]
    assert left == [], moment


def test_a_worker_that_dies_at_any_moment_leaves_one_archive_one_mail_and_one_row(
    tmp_path: Path, workers: Workers
) -> None:
    with moments(tmp_path, workers) as workspaces:
        for workspace, moment in workspaces:
            assert len(workspace.mails) == 1, moment
            check_once(workspace, moment)


def test_only_a_death_between_the_250_and_its_record_sends_the_mail_twice(
    tmp_path: Path, workers: Workers, smtp: FakeSmtpServer
) -> None:
    twice = []
    with moments(tmp_path, workers, **smtp.settings) as workspaces:
        seen = 1  # the mail of the worker that was not killed
        for workspace, moment in workspaces:
            mails = smtp.mails[seen:]
            seen = len(smtp.mails)
            assert len({mail["Message-ID"] for mail in mails}) == 1, moment
            if len(mails) > 1:
                twice.append(moment.partition(", ")[2])
            check_once(workspace, moment)
    # The server has said 250; the record is on disk already, and a rename makes it count.
    assert set(twice) == {"killed after deliver", "killed before rename"}
