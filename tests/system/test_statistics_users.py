"""The statistics database, read by a user who may not write it."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.statistics_files import fill
from support.web_servers import open_directory
from support.workspace import as_user

from ckanpackager.config.settings import Statistics
from ckanpackager.statistics import open_statistics

REQUEST = ["bytes", "count", "domain", "email", "format", "job", "resource_id", "task", "timestamp"]
ERROR = ["domain", "email", "job", "kind", "message", "resource_id", "timestamp"]
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def settings(path: Path, **more: Any) -> Statistics:
    return Statistics(stats_db=f"sqlite:///{path}", **more)


@pytest.fixture
def barred() -> Iterator[Path]:
    """A path for a database in a directory that others may read and not write."""
    with open_directory() as directory:
        yield directory / "stats.db"


def read(path: Path, **more: Any) -> str:
    def work() -> object:
        with open_statistics(settings(path, **more), to_read=True) as statistics:
            rows = [sorted(row) for row in (*statistics.requests(), *statistics.errors())]
            return statistics.totals(), rows

    return as_user(65534, work)


@ROOT_ONLY
@pytest.mark.parametrize("open_elsewhere", [False, True])
def test_reading_needs_no_permission_to_write(barred: Path, open_elsewhere: bool) -> None:
    fill(barred, "ann@example.org")
    counts = {"emails": 1, "requests": 1, "errors": 1}
    expected = str(({"*": counts, "r": counts}, [REQUEST, ERROR]))
    if open_elsewhere:
        with open_statistics(settings(barred)) as writer:
            writer.totals()
            for name in os.listdir(barred.parent):
                (barred.parent / name).chmod(0o644)
            assert read(barred) == expected
    else:
        barred.chmod(0o644)
        assert read(barred) == expected
        assert os.listdir(barred.parent) == ["stats.db"]


@ROOT_ONLY
def test_a_database_of_the_original_can_be_read_without_being_extended(barred: Path) -> None:
    with closing(sqlite3.connect(barred)) as database, database:
        for table, own in (("requests", "count INTEGER"), ("errors", "message TEXT")):
            database.execute(
                f"CREATE TABLE {table} (id INTEGER, timestamp INTEGER, resource_id TEXT, email TEXT, {own})"
            )
        database.execute("INSERT INTO requests VALUES (1, 50, 'r', 'ann@example.org', 7)")
    barred.chmod(0o644)
    before = barred.read_bytes()
    counts = {"emails": 1, "requests": 1, "errors": 0}
    assert read(barred) == str(({"*": counts, "r": counts}, [REQUEST]))
    assert barred.read_bytes() == before


@ROOT_ONLY
def test_an_empty_file_that_is_only_to_read_holds_nothing(barred: Path) -> None:
    barred.touch(0o644)
    assert read(barred) == str(({"*": {"emails": 0, "requests": 0, "errors": 0}}, []))


@ROOT_ONLY
def test_what_cannot_even_be_read_is_said(barred: Path) -> None:
    fill(barred, "ann@example.org")
    barred.chmod(0o600)
    assert read(barred).startswith("TemporaryFailure('statistics database ")
