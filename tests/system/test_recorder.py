"""Recording by a worker: in SQLite without SQLAlchemy, and with the same rows as with it."""

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ckanpackager.config.settings import Statistics
from ckanpackager.errors import TemporaryFailure
from ckanpackager.statistics import open_statistics, sqlite_file
from ckanpackager.statistics.recorder import Recorder

SERVED: dict[str, Any] = {
    "job": "1", "resource_id": "r\0", "email": "Ann@Example.org", "count": 3, "now": 60.7,
    "size": 12, "format": "csv", "task": "package_datastore",
}  # fmt: skip
FAILED: dict[str, Any] = {
    "job": "2", "resource_id": "r", "email": "bob@example.org", "message": "\ud800", "now": 61.0, "kind": "ckan",
}  # fmt: skip


def database(directory: Path, *, prepared: bool = True, **settings: Any) -> Statistics:
    statistics = Statistics(stats_db=f"sqlite:///{directory}/statistics %.db", **settings)
    if prepared:
        open_statistics(statistics).close()
    return statistics


def rows(settings: Statistics, table: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(settings.stats_db.removeprefix("sqlite:///"))) as connection:
        return connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()


def test_a_database_that_is_locked_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is told to stop must not wait for minutes."""
    monkeypatch.setattr(sqlite_file, "BUSY", 0.2)  # SQLAlchemy's way would wait 30 s, four times
    settings = database(tmp_path)
    with closing(sqlite3.connect(settings.stats_db.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        begun = time.monotonic()
        with closing(Recorder(settings)) as recorder, pytest.raises(TemporaryFailure, match="locked; another process"):
            recorder.record_request(**SERVED)
        assert time.monotonic() - begun < 20
        other.execute("ROLLBACK")
    with closing(Recorder(settings)) as recorder:
        recorder.record_request(**SERVED)
    assert len(rows(settings, "requests")) == 1


@pytest.mark.parametrize("settings", [{}, {"anonymize_emails": True, "anonymize_key": "key"}])
def test_one_insert_makes_the_same_rows_as_sqlalchemy(tmp_path: Path, settings: dict[str, Any]) -> None:
    found = []
    for way in (Recorder, open_statistics):
        directory = tmp_path / way.__name__
        directory.mkdir()
        with closing(way(chosen := database(directory, **settings))) as recorder:
            recorder.record_request(**SERVED)
            recorder.record_error(**FAILED)
        with open_statistics(chosen) as statistics:
            found.append((rows(chosen, "requests"), rows(chosen, "errors"), statistics.totals()))
    assert found[0] == found[1]
    assert found[0][2]["*"] == {"emails": 1, "requests": 1, "errors": 1}


def test_a_job_is_counted_once_however_often_it_is_recorded(tmp_path: Path) -> None:
    settings = database(tmp_path)
    for _ in range(2):
        with closing(Recorder(settings)) as recorder:
            recorder.record_request(**SERVED)
            recorder.record_request(**SERVED)
    assert len(rows(settings, "requests")) == 1


@pytest.mark.parametrize("lack", ["DROP TABLE ckanpackager_sums", "ALTER TABLE requests DROP COLUMN bytes"])
def test_a_database_that_lacks_something_is_completed(tmp_path: Path, lack: str) -> None:
    settings = database(tmp_path)
    with closing(sqlite3.connect(settings.stats_db.removeprefix("sqlite:///"))) as connection:
        for trigger in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger[0]}")
        for table in ("ckanpackager_sums", "ckanpackager_totals"):
            connection.execute(f"DROP TABLE {table}")
        if "COLUMN" in lack:
            connection.execute(lack)
    with closing(Recorder(settings)) as recorder:
        recorder.record_request(**SERVED)
    assert [row[-1] for row in rows(settings, "requests")] != []
    with open_statistics(settings) as statistics:
        assert statistics.totals()["*"]["requests"] == 1


def test_a_database_that_is_not_there_is_made(tmp_path: Path) -> None:
    settings = database(tmp_path, prepared=False)
    with closing(Recorder(settings)) as recorder:
        recorder.record_request(**SERVED)
    assert len(rows(settings, "requests")) == 1
    assert (tmp_path / "statistics %.db").stat().st_mode & 0o777 == 0o600


def test_what_is_wrong_is_said_as_sqlalchemy_says_it(tmp_path: Path) -> None:
    settings = database(tmp_path)
    file = Path(settings.stats_db.removeprefix("sqlite:///"))
    for each in tmp_path.iterdir():
        each.unlink()
    file.write_text("no database at all, but text that is long enough to be one" * 20)
    with (
        closing(Recorder(settings)) as recorder,
        pytest.raises(TemporaryFailure, match=r"^statistics database sqlite:"),
    ):
        recorder.record_request(**SERVED)


@pytest.mark.parametrize("prepared", [True, False])
def test_a_worker_that_records_in_sqlite_does_not_import_sqlalchemy(tmp_path: Path, prepared: bool) -> None:
    settings = database(tmp_path, prepared=prepared)
    program = (
        "import sys\nfrom ckanpackager.config.settings import Statistics\n"
        "from ckanpackager.statistics.recorder import Recorder\n"
        "Recorder(Statistics(stats_db=sys.argv[1])).record_request(\n"
        "    job='1', resource_id='r', email='a@b.org', count=1, now=1)\n"
        "assert 'sqlalchemy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, settings.stats_db], check=True, timeout=60)
    assert len(rows(settings, "requests")) == 1
