"""What only PostgreSQL does with the statistics; `test_statistics_databases` has what it shares with SQLite."""

import random
import socket

import pytest
from sqlalchemy import create_engine, text
from support.servers import need_postgresql

from ckanpackager.config.settings import Statistics
from ckanpackager.errors import TemporaryFailure
from ckanpackager.statistics import StatisticsDatabase, open_statistics

need_postgresql()


def record(statistics: StatisticsDatabase, job: str, email: str, resource: str) -> None:
    statistics.record_request(job=job, resource_id=resource, email=email, count=3, now=1000)


def test_emptied_tables_have_no_totals(new_database: str) -> None:
    engine = create_engine(new_database, isolation_level="AUTOCOMMIT")
    with open_statistics(Statistics(stats_db=new_database)) as statistics, engine.connect() as connection:
        record(statistics, "a", "ann@example.org", "r")
        connection.execute(text("TRUNCATE requests"))
        assert statistics.totals()["*"] == {"emails": 0, "requests": 0, "errors": 0}
        assert statistics.figures() == []
        record(statistics, "b", "ann@example.org", "r")
        assert statistics.totals()["*"] == {"emails": 1, "requests": 1, "errors": 0}
    engine.dispose()


def test_another_user_who_may_write_rows_changes_the_totals_too(new_database: str) -> None:
    with open_statistics(Statistics(stats_db=new_database)) as statistics:
        engine = create_engine(new_database, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            role = f"portal_{random.randrange(10**9)}"
            connection.execute(text(f"CREATE ROLE {role}"))
            connection.execute(text(f"GRANT INSERT ON requests TO {role}"))
            connection.execute(text(f"GRANT USAGE ON SEQUENCE requests_id_seq TO {role}"))
            connection.execute(text(f"SET ROLE {role}"))
            connection.execute(text("INSERT INTO requests (resource_id, email) VALUES ('r', 'x@y')"))
        engine.dispose()
        assert statistics.totals()["r"] == {"emails": 1, "requests": 1, "errors": 0}


def test_a_database_without_an_encoding_holds_text_nevertheless(server: str) -> None:
    engine = create_engine(f"{server}postgres", isolation_level="AUTOCOMMIT")
    name = f"test_{random.randrange(10**12)}"
    with engine.connect() as connection:
        how = "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        connection.execute(text(f"CREATE DATABASE {name} {how}"))
    engine.dispose()
    with open_statistics(Statistics(stats_db=f"{server}{name}")) as statistics:
        record(statistics, "a", "änne@example.org", "Käfer")
        assert statistics.totals("Käfer") == {"Käfer": {"emails": 1, "requests": 1, "errors": 0}}
        assert statistics.requests()[0]["email"] == "änne@example.org"


def test_a_database_that_does_not_answer_is_a_temporary_failure_without_its_password() -> None:
    with pytest.raises(TemporaryFailure, match=r"postgresql\+psycopg://ann:\*\*\*@127.0.0.1:1/x") as raised:
        open_statistics(Statistics(stats_db="postgresql+psycopg://ann:hidden@127.0.0.1:1/x"))
    assert "hidden" not in str(raised.value)


def test_a_database_that_takes_a_connection_and_says_nothing_is_a_temporary_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ckanpackager.statistics.schema.CONNECT", 2)  # libpq waits no shorter
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(TemporaryFailure, match="timeout"):
            open_statistics(Statistics(stats_db=f"postgresql+psycopg://ann@127.0.0.1:{silent.getsockname()[1]}/x"))
