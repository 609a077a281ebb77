"""Figures by resource, domain, format, task, kind of error and time: from sums, and the same from rows."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ckanpackager.config.settings import Statistics
from ckanpackager.errors import TemporaryFailure
from ckanpackager.statistics import StatisticsDatabase, open_statistics
from ckanpackager.statistics.figures import Figures, top, without_gaps
from ckanpackager.statistics.periods import ALL_TIME, UNITS, period_of

OLD = """
    CREATE TABLE requests (id INTEGER PRIMARY KEY, timestamp BIGINT, resource_id VARCHAR, email VARCHAR, domain VARCHAR,
                           count BIGINT, job VARCHAR(255));
    CREATE TABLE errors (id INTEGER PRIMARY KEY, timestamp BIGINT, resource_id VARCHAR, email VARCHAR, domain VARCHAR,
                         message TEXT, job VARCHAR(255));
    INSERT INTO requests VALUES (1, 86399, 'r', 'Ann@x.org', 'x.org', 7, 'a'),
                                (2, 86400, 's', 'ann@x.org', NULL, NULL, 'b');
    INSERT INTO errors VALUES (1, 86400, 'r', 'bob@y.org', 'y.org', 'no', 'c');
"""


@pytest.fixture
def statistics(tmp_path: Path) -> Iterator[StatisticsDatabase]:
    with open_statistics(Statistics(stats_db=f"sqlite:///{tmp_path}/stats.db")) as statistics:
        common = {"email": "Ann@x.org", "count": 10, "size": 1000, "task": "package_datastore"}
        for job, day, resource, format in (
            ("a", 20089, "r", "csv"),
            ("b", 20090, "r", "xlsx"),
            ("c", 20099, "s", "csv"),
        ):
            statistics.record_request(job=job, resource_id=resource, now=day * 86400, format=format, **common)
        statistics.record_error(
            job="d", resource_id="r", email="bob@y.org", message="x", now=20099 * 86400, kind="network"
        )
        yield statistics


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A database of version 1.0.0: without sums, and without format, bytes, task and kind."""
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(OLD)
    return path


def test_figures_of_everything(statistics: StatisticsDatabase) -> None:
    assert statistics.figures() == [Figures("", "", 3, 30, 3000, 1)]
    assert statistics.figures(emails=True) == [Figures("", "", 3, 30, 3000, 1, 1)]


def test_figures_by_name_the_most_requested_first(statistics: StatisticsDatabase) -> None:
    assert statistics.figures("resource") == [Figures("r", "", 2, 20, 2000, 1), Figures("s", "", 1, 10, 1000, 0)]
    assert statistics.figures("format") == [Figures("csv", "", 2, 20, 2000, 0), Figures("xlsx", "", 1, 10, 1000, 0)]
    assert statistics.figures("task") == [Figures("package_datastore", "", 3, 30, 3000, 0)]
    assert statistics.figures("domain") == [Figures("x.org", "", 3, 30, 3000, 0), Figures("y.org", "", 0, 0, 0, 1)]
    assert statistics.figures("kind") == [Figures("network", "", 0, 0, 0, 1)]


@pytest.mark.parametrize("keeps_sums", [True, False])
def test_the_database_adds_up_all_but_the_most_requested(statistics: StatisticsDatabase, keeps_sums: bool) -> None:
    statistics._keeps_sums = keeps_sums
    for dimension in ("resource", "domain", "format", "kind"):
        for most in (0, 1, 2, 9):
            assert statistics.figures(dimension, most=most) == top(statistics.figures(dimension), most)
    (first, others) = statistics.figures("resource", most=1)
    assert (first.name, others) == ("r", Figures("others", "", 1, 10, 1000, 0))


def test_figures_by_time_the_oldest_first(statistics: StatisticsDatabase) -> None:
    days = {row.period: row.requests for row in statistics.figures(by="day")}
    assert days == {"2025-01-01": 1, "2025-01-02": 1, "2025-01-11": 1}
    assert [row.period for row in statistics.figures(by="month")] == ["2025-01"]
    assert [(row.period, row.name) for row in statistics.figures("format", by="day")] == [
        ("2025-01-01", "csv"),
        ("2025-01-02", "xlsx"),
        ("2025-01-11", "csv"),
    ]


def test_a_period_has_its_first_and_its_last_day(statistics: StatisticsDatabase) -> None:
    period = period_of("2025-01-02", "2025-01-10")
    assert statistics.figures(period=period) == [Figures("", "", 1, 10, 1000, 0)]
    assert statistics.figures("format", period=period) == [Figures("xlsx", "", 1, 10, 1000, 0)]
    assert statistics.figures("format", period=period_of("2025-02-01", None)) == []
    assert [row["job"] for row in statistics.requests(period=period)] == ["b"]
    assert [row["job"] for row in statistics.errors(period=period_of("2025-01-11", None))] == ["d"]


def test_figures_of_one_resource(statistics: StatisticsDatabase) -> None:
    assert statistics.figures(resource_id="s") == [Figures("", "", 1, 10, 1000, 0)]
    assert statistics.figures("format", resource_id="r", by="year", emails=True) == [
        Figures("csv", "2025", 1, 10, 1000, 0, 1),
        Figures("xlsx", "2025", 1, 10, 1000, 0, 1),
    ]
    assert statistics.figures("format", resource_id="none") == []


def test_a_name_disappears_from_the_sums_with_its_last_row(statistics: StatisticsDatabase, tmp_path: Path) -> None:
    assert statistics.forget("bob@y.org") == 1
    statistics.remove_older(20099 * 86400)
    with closing(sqlite3.connect(tmp_path / "stats.db")) as database:
        known = database.execute("SELECT dimension, period, name FROM ckanpackager_sums").fetchall()
    assert {(name, period) for dimension, period, name in known if dimension == "domain"} == {
        ("x.org", "2025-01"),
        ("", "2025-01"),
    }
    assert {name for dimension, _, name in known if dimension == "format"} == {"csv"}


def test_a_database_of_version_1_gets_columns_and_sums(old: Path) -> None:
    with open_statistics(Statistics(stats_db=f"sqlite:///{old}")) as statistics:
        assert statistics.figures(by="day") == [
            Figures("", "1970-01-01", 1, 7, 0, 0),
            Figures("", "1970-01-02", 1, 0, 0, 1),
        ]
        assert statistics.figures("format") == [Figures("", "", 2, 7, 0, 0)]
        assert {row["format"] for row in statistics.requests()} == {None}
    with closing(sqlite3.connect(old)) as database:
        assert database.execute("SELECT count(*) FROM ckanpackager_sums").fetchone() == (10,)


def test_who_may_not_write_gets_the_figures_of_an_old_database_from_its_rows(old: Path) -> None:
    read_only = Statistics(stats_db=f"sqlite:///file:{old}?mode=ro&uri=true")
    with open_statistics(read_only, to_read=True) as statistics:
        assert statistics.figures("resource", by="day", emails=True) == [
            Figures("r", "1970-01-01", 1, 7, 0, 0, 1),
            Figures("s", "1970-01-02", 1, 0, 0, 0, 1),
            Figures("r", "1970-01-02", 0, 0, 0, 1, 0),
        ]
        assert statistics.figures("format") == [Figures("", "", 2, 7, 0, 0)]
        assert statistics.figures("kind") == [Figures("", "", 0, 0, 0, 1)]
        assert [(row["format"], row["bytes"], row["job"]) for row in statistics.requests()] == [
            (None, None, "b"),
            (None, None, "a"),
        ]
        with pytest.raises(TemporaryFailure):
            statistics.record_error(job="e", resource_id="r", email="a@x", message="m", now=1)


def test_a_database_without_tables_has_no_figures(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "empty.db").close()
    empty = Statistics(stats_db=f"sqlite:///file:{tmp_path}/empty.db?mode=ro&uri=true")
    with open_statistics(empty, to_read=True) as statistics:
        assert statistics.figures("resource") == statistics.figures(by="day", emails=True) == []


def test_times_before_the_first_year_and_after_the_last_are_no_days_of_a_chart(tmp_path: Path) -> None:
    with open_statistics(Statistics(stats_db=f"sqlite:///{tmp_path}/stats.db")) as statistics:
        for now in (-99_999_999_999, -62_160_000_000, 86400, 10**12):  # -1199, 0000, 1970, 33658
            statistics.record_request(job=str(now), resource_id="r", email="a@example.org", count=1, now=now)
        for unit in UNITS:
            course = without_gaps(statistics.figures(by=unit), ALL_TIME, unit)
            assert [row.period for row in course] == ["1970-01-02"[: len(course[0].period)]]
