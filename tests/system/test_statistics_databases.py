"""The statistics in SQLite and in a real PostgreSQL: the same promises, and totals that cannot drift."""

import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Connection
from support.programs import is_there
from support.servers import need_postgresql

from ckanpackager.config.settings import Statistics
from ckanpackager.errors import ConfigError
from ckanpackager.statistics import StatisticsDatabase, open_statistics, sums
from ckanpackager.statistics.figures import Dimension, Figures
from ckanpackager.statistics.periods import Period

COUNTED = """
    SELECT coalesce(resource_id, ''), count(*), count(DISTINCT lower(email)), 0 FROM requests GROUP BY 1
    UNION ALL SELECT coalesce(resource_id, ''), 0, 0, count(*) FROM errors GROUP BY 1
    UNION ALL SELECT '*', count(*), count(DISTINCT lower(email)), 0 FROM requests
    UNION ALL SELECT '*', 0, 0, count(*) FROM errors
"""


@pytest.fixture(params=["sqlite", "postgresql"] if is_there(need_postgresql) else ["sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/stats.db"
    server: str = request.getfixturevalue("server")
    name = f"test_{random.randrange(10**12)}"
    engine = create_engine(f"{server}postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"{server}{name}"


@pytest.fixture
def statistics(url: str) -> Iterator[StatisticsDatabase]:
    with open_statistics(Statistics(stats_db=url)) as statistics:
        yield statistics


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    """As another program has it: the original, or an administrator."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def counted(connection: Connection) -> dict[str, dict[str, int]]:
    """The totals, counted from the rows."""
    totals: dict[str, dict[str, int]] = {"*": {"emails": 0, "requests": 0, "errors": 0}}
    for name, requests, emails, errors in connection.execute(text(COUNTED)):
        own = totals.setdefault(name, {"emails": 0, "requests": 0, "errors": 0})
        for key, number in (("requests", requests), ("emails", emails), ("errors", errors)):
            own[key] += number
    return totals


def record(statistics: StatisticsDatabase, job: str, email: str = "ann@example.org", resource: str = "r") -> None:
    statistics.record_request(job=job, resource_id=resource, email=email, count=3, now=1000)


def test_a_job_is_counted_once_however_often_it_is_recorded(statistics: StatisticsDatabase) -> None:
    for _ in range(3):
        record(statistics, "a")
        statistics.record_error(job="b", resource_id="r", email="ann@example.org", message="x", now=1000)
    assert statistics.totals()["r"] == {"emails": 1, "requests": 1, "errors": 1}


def test_a_requester_counts_once_whatever_the_case(statistics: StatisticsDatabase) -> None:
    for job, email, resource in (("a", "Ann@example.org", "r"), ("b", "ann@EXAMPLE.org", "r"), ("c", "x@y.org", "s")):
        record(statistics, job, email, resource)
    assert statistics.totals() == {
        "*": {"emails": 2, "requests": 3, "errors": 0},
        "r": {"emails": 1, "requests": 2, "errors": 0},
        "s": {"emails": 1, "requests": 1, "errors": 0},
    }
    assert statistics.totals("s") == {"s": {"emails": 1, "requests": 1, "errors": 0}}
    assert statistics.totals("t") == {}


def test_rows_come_newest_first_and_can_be_filtered(statistics: StatisticsDatabase) -> None:
    for number in range(5):
        email = f"{'ann' if number % 2 else 'bob'}@example.org"
        statistics.record_request(job=str(number), resource_id="r", email=email, count=number, now=number)
    assert [row["count"] for row in statistics.requests(limit=2, offset=1)] == [3, 2]
    assert [row["count"] for row in statistics.requests(email="ANN@example.org")] == [3, 1]
    assert statistics.requests(resource_id="s") == []


def test_an_empty_database_has_no_requests(statistics: StatisticsDatabase) -> None:
    assert statistics.totals() == {"*": {"emails": 0, "requests": 0, "errors": 0}}


def test_what_no_database_can_store_is_stored_nevertheless(statistics: StatisticsDatabase) -> None:
    record(statistics, "a", resource="nul \0 and half of a pair \ud800")
    (name,) = statistics.totals().keys() - {"*"}
    assert statistics.totals(name)[name]["requests"] == 1


@pytest.mark.parametrize("seed", range(3))
def test_totals_follow_whatever_another_program_does_to_the_rows(
    statistics: StatisticsDatabase, connection: Connection, seed: int
) -> None:
    chance = random.Random(seed)

    def some(*values: Any) -> Any:
        return chance.choice([*values, None])

    for _ in range(120):
        table = chance.choice(["requests", "requests", "errors"])
        row = {"r": some("r", "s", "=r"), "e": some("a@x", "A@x", "b@x"), "t": chance.randrange(20)}
        connection.execute(
            text(
                chance.choice(
                    [
                        f"INSERT INTO {table} (timestamp, resource_id, email) VALUES (:t, :r, :e), (:t + 1, :r, :e)",
                        f"INSERT INTO {table} (timestamp, resource_id, email) VALUES (:t, :r, :e)",
                        f"UPDATE {table} SET email = :e WHERE timestamp = :t",
                        f"UPDATE {table} SET email = :e, resource_id = :r WHERE timestamp > :t",
                        f"UPDATE {table} SET timestamp = timestamp + 1",
                        f"DELETE FROM {table} WHERE timestamp = :t",
                    ]
                )
            ),
            row,
        )
        assert statistics.totals() == counted(connection)
    connection.execute(text("DELETE FROM requests"))
    assert statistics.totals()["*"]["requests"] == statistics.totals()["*"]["emails"] == 0


DIMENSIONS: tuple[Dimension | None, ...] = (None, "resource", "domain", "format", "task", "kind")


def figures(statistics: StatisticsDatabase) -> list[list[Figures]]:
    """All that can be answered from the sums."""
    found = [statistics.figures(dimension, by=by) for dimension in DIMENSIONS for by in (None, "month", "year")]
    found.append(statistics.figures(by="day"))
    for since, until in ((31, 59), (None, 59), (31, 10957)):  # whole months of 1970, and up to 2000
        bounds = Period(*(None if day is None else day * 86400 for day in (since, until)))
        found += [statistics.figures(dimension, period=bounds) for dimension in DIMENSIONS]
    return found


@pytest.mark.parametrize("seed", range(2))
def test_sums_follow_whatever_another_program_does_to_the_rows(
    statistics: StatisticsDatabase, connection: Connection, seed: int
) -> None:
    chance = random.Random(seed)
    columns = {
        "requests": ("count, bytes, format, task", ":n, :n, :f, :f"),
        "errors": ("kind", ":f"),
    }
    for _ in range(120):
        table = chance.choice(["requests", "requests", "errors"])
        row = {
            "r": chance.choice(["r", "s", None]),
            "d": chance.choice(["x", "y", None]),
            "f": chance.choice(["csv", "xlsx", None]),
            "n": chance.choice([None, 5, 2**40]),
            "t": chance.choice([None, -5, 0, 10**17, 86400 * chance.randrange(120)]),
            "u": 86400 * chance.randrange(120) + 5,
        }
        names, values = columns[table]
        statements = [
            f"INSERT INTO {table} (timestamp, resource_id, domain, {names}) VALUES (:t, :r, :d, {values}), "
            f"(:u, :r, 'x', {values})",
            f"INSERT INTO {table} (timestamp, resource_id, domain, {names}) VALUES (:u, :r, :d, {values})",
            f"UPDATE {table} SET domain = :d WHERE timestamp > :u",
            f"UPDATE {table} SET timestamp = timestamp + 1728000",
            f"UPDATE {table} SET {', '.join(f'{name} = {value}' for name, value in _pairs(names, values))}",
            f"DELETE FROM {table} WHERE timestamp < :u AND resource_id = :r",
        ]
        connection.execute(text(chance.choice(statements)), row)
        assert figures(statistics) == from_rows(statistics)
    for table in columns:
        connection.execute(text(f"DELETE FROM {table}"))
    assert connection.execute(text("SELECT count(*) FROM ckanpackager_sums")).scalar_one() == 0


def _pairs(names: str, values: str) -> list[tuple[str, str]]:
    return list(zip(names.split(", "), values.split(", "), strict=True))


def from_rows(statistics: StatisticsDatabase) -> list[list[Figures]]:
    """The same without the sums."""
    statistics._keeps_sums = False
    try:
        return figures(statistics)
    finally:
        statistics._keeps_sums = True


def test_a_program_killed_while_it_makes_the_sums_leaves_none_or_all(url: str, connection: Connection) -> None:
    with open_statistics(Statistics(stats_db=url)) as statistics:
        record(statistics, "a")
        expected = figures(statistics)
    for _ in range(2):
        drop_sums(connection)
        if (process := os.fork()) == 0:
            die_after_some_triggers()
            open_statistics(Statistics(stats_db=url))
            os._exit(1)
        assert os.waitpid(process, 0)[1] == signal.SIGKILL
    with open_statistics(Statistics(stats_db=url)) as statistics:
        assert figures(statistics) == from_rows(statistics) == expected
        record(statistics, "b")
        assert figures(statistics) == from_rows(statistics) != expected


def drop_sums(connection: Connection) -> None:
    """Make it a database of the version before, whose totals are there."""
    connection.execute(text("DROP TABLE IF EXISTS ckanpackager_sums"))
    for table in ("requests", "errors"):
        for event in ("insert", "update", "delete", "truncate"):
            name = f"ckanpackager_sums_{table}_{event}"
            if connection.dialect.name == "sqlite":
                connection.execute(text(f"DROP TRIGGER IF EXISTS {name}"))
            else:
                connection.execute(text(f"DROP FUNCTION IF EXISTS {name} CASCADE"))


def die_after_some_triggers() -> None:
    """In this process, each making of triggers ends in the middle."""

    def cut(make: Callable[[], list[str]]) -> Callable[[], Iterator[str]]:
        def some() -> Iterator[str]:
            yield from make()[:4]
            os.kill(os.getpid(), signal.SIGKILL)

        return some

    for name in ("_sqlite_triggers", "_postgresql_triggers"):
        setattr(sums, name, cut(getattr(sums, name)))


def test_totals_are_right_after_many_have_recorded_at_once(url: str, connection: Connection) -> None:
    def work(number: int) -> None:
        with open_statistics(Statistics(stats_db=url)) as statistics:
            for job in range(20):
                record(statistics, f"{number}-{job}", f"{job % 7}@example.org", f"r{job % 3}")

    workers = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    with open_statistics(Statistics(stats_db=url)) as statistics:
        assert statistics.totals() == counted(connection)
        assert statistics.totals()["*"] == {"emails": 7, "requests": 120, "errors": 0}
        assert figures(statistics) == from_rows(statistics)


def test_a_database_of_the_original_gets_totals_of_its_rows(url: str, connection: Connection) -> None:
    key = "SERIAL" if url.startswith("postgresql") else "INTEGER"
    for own in ("requests (count INTEGER, ", "errors (message VARCHAR, "):
        connection.execute(
            text(
                f"CREATE TABLE {own} id {key} PRIMARY KEY, timestamp INTEGER, resource_id VARCHAR, email VARCHAR, "
                "domain VARCHAR)"
            )
        )
    insert = "(timestamp, resource_id, email) VALUES (1, 'r', 'Ann@x'), (2, 'r', 'ann@x'), (3, 's', NULL)"
    connection.execute(text(f"INSERT INTO requests {insert}"))
    connection.execute(text(f"INSERT INTO errors {insert}"))
    with open_statistics(Statistics(stats_db=url)) as statistics:
        assert statistics.totals() == counted(connection)
        record(statistics, "new", "new@x")
        assert statistics.totals() == counted(connection)
        assert statistics.totals()["r"] == {"emails": 2, "requests": 3, "errors": 2}


def test_several_that_open_a_new_database_at_once_all_can(url: str) -> None:
    together, failures = threading.Barrier(5), []

    def work(number: int) -> None:
        try:
            together.wait(10)
            with open_statistics(Statistics(stats_db=url)) as statistics:
                record(statistics, str(number))
        except Exception as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert failures == []
    with open_statistics(Statistics(stats_db=url)) as statistics:
        assert statistics.totals()["r"] == {"emails": 1, "requests": 5, "errors": 0}


def test_no_address_stays_in_the_totals_when_its_rows_are_changed(
    statistics: StatisticsDatabase, connection: Connection
) -> None:
    record(statistics, "a", "ann@example.org")
    connection.execute(text("UPDATE requests SET email = 'hash'"))
    emails = connection.execute(text("SELECT DISTINCT email FROM ckanpackager_requesters")).scalars().all()
    assert emails == ["hash"]


# PostgreSQL's own


def test_a_missing_driver_is_told_with_the_extra_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"pip install 'ckanpackager\[postgresql\]'") as raised:
        open_statistics(Statistics(stats_db="postgresql+psycopg://127.0.0.1/x"))
    assert "\n" not in str(raised.value)
