"""The statistics: counted once, counted right, in our own databases and in the original's."""

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.statistics_files import make_original

from ckanpackager.config.settings import Statistics
from ckanpackager.errors import ConfigError, TemporaryFailure
from ckanpackager.statistics import StatisticsDatabase, open_statistics


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stats.db"


@pytest.fixture
def statistics(path: Path) -> Iterator[StatisticsDatabase]:
    with open_statistics(settings(path)) as statistics:
        yield statistics


@pytest.fixture
def hidden(path: Path) -> Iterator[StatisticsDatabase]:
    with open_statistics(settings(path, anonymize_emails=True, anonymize_key="key")) as statistics:
        yield statistics


@pytest.fixture
def original(path: Path) -> Path:
    make_original(path)
    return path


def settings(path: Path, query: str = "", **others: Any) -> Statistics:
    return Statistics(stats_db=f"sqlite:///{path}{query}", **others)


def asked(
    statistics: StatisticsDatabase,
    job: str,
    *,
    resource_id: str = "r",
    email: str = "a@example.org",
    count: int | None = 1,
    now: float = 1,
    **others: Any,
) -> None:
    statistics.record_request(job=job, resource_id=resource_id, email=email, count=count, now=now, **others)


def failed(
    statistics: StatisticsDatabase,
    job: str,
    *,
    resource_id: str = "r",
    email: str = "a@example.org",
    message: str = "x",
    now: float = 1,
    kind: str | None = None,
) -> None:
    statistics.record_error(job=job, resource_id=resource_id, email=email, message=message, now=now, kind=kind)


def everything(path: Path, table: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()


def test_a_request_is_a_row(statistics: StatisticsDatabase) -> None:
    own = {"size": 3000, "format": "csv", "task": "package_datastore"}
    asked(statistics, "a", resource_id="r", email="Ann@Example.org", count=12, now=1700000000.9, **own)
    assert statistics.requests() == [
        {
            "email": "Ann@Example.org",
            "domain": "example.org",
            "resource_id": "r",
            "timestamp": 1700000000,
            "count": 12,
            "format": "csv",
            "bytes": 3000,
            "task": "package_datastore",
            "job": "a",
        }
    ]


def test_an_error_is_a_row(statistics: StatisticsDatabase) -> None:
    failed(statistics, "a", email="ann@example.org", message="it broke", now=5, kind="site")
    who = {"email": "ann@example.org", "domain": "example.org", "resource_id": "r", "timestamp": 5}
    assert statistics.errors() == [{**who, "message": "it broke", "kind": "site", "job": "a"}]


@pytest.mark.parametrize(
    ("email", "domain"), [("a@b@Example.ORG", "example.org"), ("nowhere", "nowhere"), ("", ""), ("a@", "")]
)
def test_the_domain_is_what_follows_the_last_at_or_the_whole_text(
    statistics: StatisticsDatabase, email: str, domain: str
) -> None:
    asked(statistics, "a", email=email)
    assert statistics.requests()[0]["domain"] == domain


def test_a_number_of_rows_that_is_unknown_stays_unknown(statistics: StatisticsDatabase) -> None:
    asked(statistics, "a", count=None)
    assert statistics.requests()[0]["count"] is None


def test_recording_a_job_twice_counts_it_once(statistics: StatisticsDatabase) -> None:
    for now in (1, 2):
        asked(statistics, "a", now=now)
        failed(statistics, "a", now=now)
    assert statistics.totals()["*"] == {"emails": 1, "requests": 1, "errors": 1}
    assert statistics.requests()[0]["timestamp"] == 1


def test_a_row_that_the_database_refuses_is_not_taken_for_counted(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE requests (id INTEGER PRIMARY KEY, count INTEGER NOT NULL)")
    with open_statistics(settings(path)) as statistics, pytest.raises(TemporaryFailure, match="NOT NULL"):
        asked(statistics, "a", count=None)


def test_a_database_of_the_original_is_extended_in_place(original: Path) -> None:
    with open_statistics(settings(original)) as statistics:
        assert statistics.totals()["r"] == {"emails": 1, "requests": 2, "errors": 1}
        for _ in range(2):
            asked(statistics, "a", email="bob@example.org", now=300)
            failed(statistics, "a", email="bob@example.org", now=300)
        assert [row["timestamp"] for row in statistics.requests()] == [300, 200, 100]
        assert [(row["message"], row["domain"]) for row in statistics.errors()] == [
            ("x", "example.org"),
            ("Traceback", None),
        ]
    assert everything(original, "requests")[:2] == [
        (1, 100, "r", "Ann@example.org", 7, "example.org", None, None, None, None),
        (2, 200, "r", "ann@example.org", None, "example.org", None, None, None, None),
    ]


def test_the_totals_that_the_original_counted_are_left_alone(original: Path) -> None:
    before = everything(original, "totals")
    with open_statistics(settings(original)) as statistics:
        asked(statistics, "a")
    assert everything(original, "totals") == before


def test_opening_a_database_again_changes_nothing(path: Path, statistics: StatisticsDatabase) -> None:
    asked(statistics, "a")
    with closing(sqlite3.connect(path)) as database:
        before = database.execute("SELECT name, sql FROM sqlite_master").fetchall()
        with open_statistics(settings(path)) as again:
            assert again.requests() == statistics.requests()
        assert database.execute("SELECT name, sql FROM sqlite_master").fetchall() == before


def test_nothing_recorded_is_nothing_in_total(statistics: StatisticsDatabase) -> None:
    assert statistics.totals() == {"*": {"emails": 0, "requests": 0, "errors": 0}}


def test_totals_count_requesters_by_resource_and_over_all(statistics: StatisticsDatabase) -> None:
    asked(statistics, "a", resource_id="r", email="ann@example.org")
    asked(statistics, "b", resource_id="r", email="bob@example.org")
    asked(statistics, "c", resource_id="s", email="ann@example.org")
    assert statistics.totals() == {
        "*": {"emails": 2, "requests": 3, "errors": 0},
        "r": {"emails": 2, "requests": 2, "errors": 0},
        "s": {"emails": 1, "requests": 1, "errors": 0},
    }


def test_requesters_are_compared_without_case(statistics: StatisticsDatabase) -> None:
    asked(statistics, "a", email="Ann@Example.org")
    asked(statistics, "b", email="ann@example.ORG")
    assert statistics.totals()["r"]["emails"] == 1
    assert len(statistics.requests(email="ANN@example.org")) == 2


def test_an_error_is_no_requester(statistics: StatisticsDatabase) -> None:
    failed(statistics, "a")
    assert statistics.totals() == {key: {"emails": 0, "requests": 0, "errors": 1} for key in ("*", "r")}


def test_totals_of_one_resource_are_its_own_only(statistics: StatisticsDatabase) -> None:
    asked(statistics, "a", resource_id="r")
    failed(statistics, "b", resource_id="r")
    asked(statistics, "c", resource_id="s")
    assert statistics.totals("r") == {"r": {"emails": 1, "requests": 1, "errors": 1}}


def test_totals_of_an_unknown_resource_are_empty(statistics: StatisticsDatabase) -> None:
    asked(statistics, "a")
    assert statistics.totals("unknown") == {}


@pytest.mark.parametrize(
    ("record", "rows"), [(asked, StatisticsDatabase.requests), (failed, StatisticsDatabase.errors)]
)
def test_rows_come_newest_first_and_by_pages(
    statistics: StatisticsDatabase, record: Callable[..., None], rows: Callable[..., list[dict[str, Any]]]
) -> None:
    for job, now in {"a": 10, "b": 30, "c": 20, "d": 20}.items():
        record(statistics, job, resource_id=job, now=now)
    assert [row["resource_id"] for row in rows(statistics)] == ["b", "d", "c", "a"]
    assert [row["resource_id"] for row in rows(statistics, offset=1, limit=2)] == ["d", "c"]
    assert rows(statistics, offset=4) == rows(statistics, offset=10**30) == rows(statistics, limit=0) == []
    assert len(rows(statistics, limit=10**30)) == 4


@pytest.mark.parametrize(
    ("record", "rows"), [(asked, StatisticsDatabase.requests), (failed, StatisticsDatabase.errors)]
)
def test_rows_are_filtered_by_resource_and_by_address(
    statistics: StatisticsDatabase, record: Callable[..., None], rows: Callable[..., list[dict[str, Any]]]
) -> None:
    record(statistics, "a", resource_id="r", email="Ann@example.org", now=1)
    record(statistics, "b", resource_id="r", email="bob@example.org", now=2)
    record(statistics, "c", resource_id="s", email="ann@example.org", now=3)
    assert [row["timestamp"] for row in rows(statistics, resource_id="r")] == [2, 1]
    assert [row["timestamp"] for row in rows(statistics, email="ANN@example.org")] == [3, 1]
    assert [row["timestamp"] for row in rows(statistics, email="ann@example.org", resource_id="r")] == [1]
    assert rows(statistics, email="") == rows(statistics, resource_id="") == []


def test_a_hundred_rows_are_a_page(statistics: StatisticsDatabase) -> None:
    for number in range(101):
        asked(statistics, str(number))
    assert len(statistics.requests()) == 100


def test_an_anonymised_address_is_nowhere_in_the_database(path: Path, hidden: StatisticsDatabase) -> None:
    asked(hidden, "a", email="Somebody@Example.org")
    failed(hidden, "a", email="Somebody@Example.org")
    hidden.close()
    content = b"".join(file.read_bytes() for file in path.parent.glob("stats.db*"))
    assert b"example.org" in content
    assert b"somebody" not in content.lower()


def test_anonymised_requesters_are_counted_and_found_as_before(hidden: StatisticsDatabase) -> None:
    asked(hidden, "a", email=" Ann@Example.org ")
    asked(hidden, "b", email="ann@example.ORG")
    asked(hidden, "c", email="bob@example.org")
    failed(hidden, "d", email="Ann@example.org")
    assert hidden.totals()["*"] == {"emails": 2, "requests": 3, "errors": 1}
    assert len(hidden.requests(email="ANN@example.org")) == 2
    assert len(hidden.errors(email="ANN@example.org")) == 1
    assert {row["domain"] for row in hidden.requests()} == {"example.org"}
    assert all(len(bytes.fromhex(row["email"])) == 32 for row in hidden.requests())


def test_the_hash_of_an_address_depends_on_the_key(path: Path, hidden: StatisticsDatabase) -> None:
    asked(hidden, "a")
    with open_statistics(settings(path, anonymize_emails=True, anonymize_key="other")) as other:
        assert other.requests(email="a@example.org") == []


def test_anonymising_without_a_key_is_refused(path: Path) -> None:
    with pytest.raises(ConfigError, match="anonymize_key"):
        open_statistics(settings(path, anonymize_emails=True))


def test_texts_that_databases_refuse_are_mended_and_stored(statistics: StatisticsDatabase) -> None:
    failed(
        statistics, "a", resource_id="r\0", email="\udc80@example.org", message="nul \0, half \ud800, whole \U0001f41d"
    )
    (row,) = statistics.errors(email="\udc80@example.org", resource_id="r\0")
    assert row["message"] == "nul \ufffd, half ?, whole \U0001f41d"


def test_a_locked_database_is_a_temporary_failure(path: Path, statistics: StatisticsDatabase) -> None:
    with closing(sqlite3.connect(path)) as other, open_statistics(settings(path, "?timeout=0.01")) as hasty:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TemporaryFailure, match=r"stats\.db.*locked"):
            asked(hasty, "a")
        other.rollback()
        asked(hasty, "a")
    assert statistics.totals()["*"]["requests"] == 1


def test_reading_does_not_wait_for_a_writer(path: Path, statistics: StatisticsDatabase) -> None:
    asked(statistics, "a")
    with closing(sqlite3.connect(path)) as other, open_statistics(settings(path, "?timeout=0.01")) as hasty:
        other.execute("BEGIN EXCLUSIVE")
        other.execute("DELETE FROM requests")
        assert hasty.totals()["*"]["requests"] == 1


def test_a_read_only_database_can_be_read_and_refuses_a_record_for_now(path: Path) -> None:
    with open_statistics(settings(path)) as statistics:
        asked(statistics, "a")
    with open_statistics(Statistics(stats_db=f"sqlite:///file:{path}?mode=ro&uri=true")) as statistics:
        assert statistics.totals()["*"]["requests"] == 1
        with pytest.raises(TemporaryFailure, match=r"stats\.db.*readonly.*may this user write"):
            asked(statistics, "b")


def test_a_read_only_database_of_the_original_cannot_be_extended_for_now(original: Path) -> None:
    with pytest.raises(TemporaryFailure, match="readonly"):
        open_statistics(Statistics(stats_db=f"sqlite:///file:{original}?mode=ro&uri=true"))


def test_a_missing_directory_is_a_temporary_failure_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(TemporaryFailure, match=r"missing/stats\.db.*is it there"):
        open_statistics(settings(tmp_path / "missing" / "stats.db"))
    assert not (tmp_path / "missing").exists()


def test_a_path_that_is_a_directory_is_a_temporary_failure(tmp_path: Path) -> None:
    with pytest.raises(TemporaryFailure, match="unable to open"):
        open_statistics(settings(tmp_path))


def test_a_file_that_is_no_database_is_a_temporary_failure_and_stays_as_it_is(path: Path) -> None:
    path.write_text("something else\n" * 100)
    with pytest.raises(TemporaryFailure, match="not a database"):
        open_statistics(settings(path))
    assert path.read_text() == "something else\n" * 100


@pytest.mark.parametrize("url", ["stats.db", "nosuch://host/db", "postgresql+nosuch://u:secret@host/db"])
def test_what_is_no_url_of_a_known_database_is_a_wrong_configuration(url: str) -> None:
    with pytest.raises(ConfigError, match="stats_db") as error:
        open_statistics(Statistics(stats_db=url))
    assert "secret" not in str(error.value)


def test_a_password_with_an_at_sign_is_not_quoted_in_the_error() -> None:
    with pytest.raises(ConfigError) as error:
        open_statistics(Statistics(stats_db="postgresql://user:pa@ss:word@host/db"))
    assert "ss:word" not in str(error.value) and "word@" not in str(error.value)


def test_the_message_of_a_failure_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TemporaryFailure) as error:
        open_statistics(settings(tmp_path))
    assert "\n" not in str(error.value)


def test_in_a_shared_directory_the_group_may_write_the_database(tmp_path: Path) -> None:
    tmp_path.chmod(0o2770)
    before = os.umask(0o077)
    try:
        with open_statistics(Statistics(stats_db=f"sqlite:///{tmp_path}/stats.db")) as statistics:
            statistics.record_request(job="j", resource_id="r", email="a@example.org", count=1, now=1.0)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert set(modes.values()) == {0o660}, modes
