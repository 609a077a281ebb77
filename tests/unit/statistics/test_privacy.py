"""Addresses in the statistics: hashed later on, forgotten, removed with their rows; and a database only to read."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.statistics_files import fill

from ckanpackager.config.settings import Statistics
from ckanpackager.errors import ConfigError
from ckanpackager.statistics import StatisticsDatabase, open_statistics

KEYED = {"anonymize_emails": True, "anonymize_key": "key"}
ANN = "$2b$12$MDAwMDAwMGV4YW1wbGUubu7BloHSE5oxJ93Sgp0w5ozF3maHVcRrC"  # by the original, of ann@example.org


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stats.db"


def settings(path: Path, **more: Any) -> Statistics:
    return Statistics(stats_db=f"sqlite:///{path}", **more)


def anonymize(path: Path, *, dry_run: bool = False, **scheme: Any) -> dict[str, int]:
    with open_statistics(settings(path, **(scheme or KEYED))) as statistics:
        return statistics.anonymize(lambda *_: None, dry_run=dry_run)


def content(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database:
        found = [database.execute(f"SELECT * FROM {table} ORDER BY id").fetchall() for table in ("requests", "errors")]
    return [row for rows in found for row in rows]


# Hashing


def test_addresses_in_clear_are_hashed_and_counted_as_before(path: Path) -> None:
    fill(path, "ann@example.org", "Ann@Example.org", "bob@example.org")
    assert anonymize(path) == {"requests": 3, "errors": 3}
    assert "example.org:" not in str(content(path)) and "ann@" not in str(content(path)).lower()
    with open_statistics(settings(path, **KEYED)) as statistics:
        assert statistics.totals()["*"] == {"emails": 2, "requests": 3, "errors": 3}
        assert len(statistics.requests(email="ANN@example.org")) == 2
        assert {row["domain"] for row in statistics.requests()} == {"example.org"}
        assert statistics.errors()[0]["message"] == "refused (address removed): mailbox unknown"
        assert statistics.clear_addresses() == 0


@pytest.mark.parametrize("scheme", [KEYED, {"anonymize_emails": True, "anonymize_scheme": "bcrypt"}])
def test_hashing_twice_changes_nothing(path: Path, scheme: Any) -> None:
    if "anonymize_scheme" in scheme:
        pytest.importorskip("bcrypt", reason="bcrypt is an extra: pip install 'ckanpackager[bcrypt]'")
    fill(path, "ann@example.org", "noat", "")
    assert anonymize(path, **scheme) == {"requests": 2, "errors": 2}
    before = content(path)
    assert anonymize(path, **scheme) == {"requests": 0, "errors": 0}
    assert content(path) == before


def test_a_dry_run_changes_nothing(path: Path) -> None:
    fill(path, "ann@example.org")
    before = content(path)
    assert anonymize(path, dry_run=True) == {"requests": 1, "errors": 1}
    assert content(path) == before


def test_hashing_that_was_interrupted_goes_on(path: Path) -> None:
    fill(path, *(f"user{number}@example.org" for number in range(150)))

    class Interrupted(Exception):
        pass

    def tell(number: int, _total: int) -> None:
        if number == 120:
            raise Interrupted

    with open_statistics(settings(path, **KEYED)) as statistics, pytest.raises(Interrupted):
        statistics.anonymize(tell, dry_run=False)
    assert anonymize(path) == {"requests": 50, "errors": 50}  # a hundred were hashed together


def test_nothing_is_hashed_while_new_addresses_are_stored_in_clear(path: Path) -> None:
    with open_statistics(settings(path)) as statistics, pytest.raises(ConfigError, match="set it to true first"):
        statistics.anonymize(lambda *_: None, dry_run=False)


def test_a_database_that_the_original_anonymized_goes_on(path: Path) -> None:
    pytest.importorskip("bcrypt", reason="bcrypt is an extra: pip install 'ckanpackager[bcrypt]'")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE requests (id INTEGER PRIMARY KEY, timestamp INTEGER, resource_id TEXT, email TEXT)"
        )
        database.execute("INSERT INTO requests VALUES (1, 50, 'r', ?)", (ANN,))
    scheme = {"anonymize_emails": True, "anonymize_scheme": "bcrypt"}
    with open_statistics(settings(path, **scheme)) as statistics:
        statistics.record_request(job="1", resource_id="r", email="Ann@example.org", count=1, now=60)
        assert statistics.totals()["*"] == {"emails": 1, "requests": 2, "errors": 0}
        assert [row["timestamp"] for row in statistics.requests(email="ann@example.org")] == [60, 50]


# Forgetting


@pytest.mark.parametrize("scheme", [{}, KEYED])
def test_a_forgotten_requester_is_nowhere_and_the_numbers_stay(path: Path, scheme: Any) -> None:
    fill(path, "Ann@example.org", "ann@example.org", "bob@other.org")
    if scheme:
        anonymize(path)
    with open_statistics(settings(path, **scheme)) as statistics:
        before = statistics.totals()
        assert statistics.forget("ann@example.org") == 4
        assert statistics.totals() == before
        assert statistics.requests(email="ann@example.org") == []
        assert statistics.forget("ann@example.org") == 0
        assert len(statistics.requests(email="bob@other.org")) == 1
    assert "ann@" not in str(content(path)) and "example.org" not in str([row[:5] for row in content(path)])


def test_a_forgotten_requester_is_not_hashed_afterwards(path: Path) -> None:
    fill(path, "ann@example.org")
    with open_statistics(settings(path)) as statistics:
        statistics.forget("ann@example.org")
    assert anonymize(path) == {"requests": 0, "errors": 0}


def test_old_rows_are_removed(path: Path) -> None:
    fill(path, "a@b.org", "c@d.org", "e@f.org")
    with open_statistics(settings(path)) as statistics:
        assert statistics.remove_older(102) == 4
        assert statistics.totals()["*"] == {"emails": 1, "requests": 1, "errors": 1}


# A database only to read


def test_a_record_still_needs_permission_to_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(path, "ann@example.org")
    with open_statistics(settings(path), to_read=True) as statistics:
        assert isinstance(statistics, StatisticsDatabase)
        assert statistics.totals()["*"]["requests"] == 1
