"""Several processes at once record in one statistics database."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.statistics_files import make_original

import ckanpackager
from ckanpackager.config.settings import Statistics
from ckanpackager.statistics import open_statistics

# What a second process does: it says that it is ready, waits for the starting signal, opens the statistics and records.
WORKER = """
import sys
from ckanpackager.config.settings import Statistics
from ckanpackager.statistics import open_statistics
print("ready", flush=True)
sys.stdin.readline()
with open_statistics(Statistics(stats_db=sys.argv[1])) as statistics:
    for job in "abc":
        statistics.record_request(job=job, resource_id="r", email="a@example.org", count=1, now=1)
        statistics.record_error(job=job, resource_id="r", email="a@example.org", message="x", now=1)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stats.db"


@pytest.fixture
def original(path: Path) -> Path:
    make_original(path)
    return path


def settings(path: Path, query: str = "", **others: Any) -> Statistics:
    return Statistics(stats_db=f"sqlite:///{path}{query}", **others)


def race(path: Path, processes: int = 8) -> None:
    """Let that many processes open the database at path and record the same three jobs, all at once."""
    command = [sys.executable, "-c", WORKER, f"sqlite:///{path}"]
    home = Path(ckanpackager.__file__).parents[1]
    workers = [
        subprocess.Popen(command, cwd=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(processes)
    ]
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(b"go\n")
        worker.stdin.flush()
    assert [worker.communicate()[0] or worker.returncode for worker in workers] == [0] * processes


def everything(path: Path, table: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()


def test_eight_processes_that_record_the_same_jobs_at_once_count_each_once(path: Path) -> None:
    race(path)
    with open_statistics(settings(path)) as statistics:
        assert statistics.totals()["*"] == {"emails": 1, "requests": 3, "errors": 3}


def test_eight_processes_that_open_a_database_of_the_original_at_once_all_succeed(original: Path) -> None:
    race(original)
    with open_statistics(settings(original)) as statistics:
        assert statistics.totals()["*"] == {"emails": 2, "requests": 5, "errors": 4}
