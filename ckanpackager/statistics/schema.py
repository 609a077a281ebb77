"""The tables of the statistics, and the connection to their database.

The tables are those of the original ckanpackager: its database can be named, and what it lacks is added to it.
"""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    false,
    inspect,
    make_url,
    select,
)
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, SQLAlchemyError
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable

from ckanpackager.errors import (
    MESSAGE_LENGTH,
    CkanpackagerError,
    ConfigError,
    PermanentFailure,
    TemporaryFailure,
    one_line,
)
from ckanpackager.statistics.sqlite_file import BUSY, READER_BUSY, make_private, schema_of
from ckanpackager.statistics.sums import SUMS
from ckanpackager.statistics.sums import create as create_sums
from ckanpackager.statistics.totals import TOTALS, kept_by
from ckanpackager.statistics.totals import create as create_totals

CONNECT = 10  # seconds that a connection to PostgreSQL may take
UNANSWERED = 60  # seconds until one whose other end has gone counts as broken (libpq, tcp_user_timeout)
_WORDS = String().with_variant(Text(), "mysql", "mariadb")  # where VARCHAR needs a length
_TABLES = MetaData()


def _table(name: str, *own: Column[Any]) -> Table:
    return Table(
        name,
        _TABLES,
        Column("id", Integer, primary_key=True),
        Column("timestamp", BigInteger),  # seconds since 1970
        Column("resource_id", _WORDS),
        Column("email", _WORDS),
        Column("domain", _WORDS),
        *own,
        Column("job", String(255)),  # null in the original's rows
        Index(f"ckanpackager_{name}_job", "job", unique=True),
        Index(f"ckanpackager_{name}_timestamp", "timestamp"),
    )


REQUESTS = _table(
    "requests",
    Column("count", BigInteger),  # rows
    # The rest is null in rows of the original and of version 1.0.0.
    Column("format", String(255)),  # null also for a file, which is packed as it is
    Column("bytes", BigInteger),  # of the archive
    Column("task", String(255)),
)
ERRORS = _table(
    "errors",
    Column("message", Text),
    Column("kind", String(255)),  # one of errors.FAILURE_KINDS; null in older rows
)


class _Locked(TemporaryFailure):
    """Another process writes, or holds the database."""


def open_engine(stats_db: str, busy: float = BUSY) -> Engine:
    """Connect to the database, and make the tables, columns and indexes that it lacks.

    `busy` is the number of seconds that SQLite waits for other writers.

    Raises ConfigError if the URL is none or its driver is not installed, TemporaryFailure if the database cannot be
    reached or prepared.
    """
    engine = _engine(stats_db, busy)
    try:
        with explained(engine):
            _prepare(engine)
    except TypeError as error:  # what some drivers make of a parameter in the URL that they do not know
        engine.dispose()
        raise ConfigError(f"stats_db: {one_line(error, MESSAGE_LENGTH)}") from error
    except BaseException:
        engine.dispose()
        raise
    return engine


def open_to_read(stats_db: str) -> Engine:
    """The same for a reader, who need not be allowed to write.

    SQLite's write-ahead log asks a reader for permission to write, unless the file is said not to change: no other
    process has it open where there is no log, unless it is locked.
    """
    try:
        return open_engine(stats_db, READER_BUSY)
    except TemporaryFailure as failure:
        url = make_url(stats_db)
        file = url.database or ""
        open_elsewhere = os.path.exists(f"{file}-wal") or isinstance(failure, _Locked)
        unchanging = url.set(database=f"file:{quote(file)}").update_query_dict({"immutable": "1", "uri": "true"})
        for readable in (
            url,
            *([unchanging] if _is_sqlite(url) and not open_elsewhere and os.access(file, os.R_OK) else []),
        ):
            engine = _engine(readable.render_as_string(hide_password=False), READER_BUSY)
            with suppress(SQLAlchemyError):
                inspect(engine).get_table_names()
                return engine
            engine.dispose()
        raise


def open_unchanged(stats_db: str) -> Engine:
    """The same, and the database stays as it is, incomplete or not there: then nothing is in it."""
    url = make_url(stats_db)
    missing = _is_sqlite_file(url) and not os.path.exists(str(url.database))
    return _engine("sqlite://" if missing else stats_db, READER_BUSY, unchanged=True)


def is_complete(engine: Engine) -> bool:
    """Whether no column lacks and totals and sums are kept, which are made last: four small queries."""
    return _can_be_read(engine, *_TABLES.sorted_tables, TOTALS, SUMS)


def kept_tables(engine: Engine) -> set[Table]:
    """Which of TOTALS and SUMS the database keeps."""
    return {table for table in (TOTALS, SUMS) if _can_be_read(engine, table)}


def _can_be_read(engine: Engine, *tables: Table) -> bool:
    try:
        with engine.connect() as connection:
            for table in tables:
                connection.execute(select(table).where(false()))
    except SQLAlchemyError:  # the long way finds out why, and says it
        return False
    return True


def missing_columns(engine: Engine) -> set[Column[Any]]:
    """What a database lacks that its reader may not complete."""
    found = inspect(engine)
    missing: set[Column[Any]] = set()
    for table in _TABLES.sorted_tables:
        there = found.has_table(table.name)
        names = {column["name"] for column in found.get_columns(table.name)} if there else set()
        missing |= {column for column in table.columns if column.name not in names}
    return missing


def _engine(stats_db: str, busy: float, *, unchanged: bool = False) -> Engine:
    try:
        url = make_url(stats_db)
        engine = create_engine(url, pool_pre_ping=True, connect_args=_connect_args(url, busy))
    except ImportError as error:
        extra = "; pip install 'ckanpackager[postgresql]'" if stats_db.startswith("postgresql") else ""
        raise ConfigError(f"stats_db: {one_line(error, MESSAGE_LENGTH)}{extra}") from None
    except ArgumentError as error:
        raise ConfigError(f"stats_db: {one_line(error, MESSAGE_LENGTH)}") from None
    except (TypeError, ValueError):  # their text could quote from the password
        raise ConfigError("stats_db: expected an SQLAlchemy URL, as in sqlite:////srv/ckanpackager/stats.db") from None
    if _is_sqlite(url) and not unchanged:
        if _is_sqlite_file(url):
            make_private(str(url.database))
        event.listen(engine, "connect", _write_ahead)
    return engine


def _connect_args(url: URL, busy: float) -> dict[str, Any]:
    if _is_sqlite(url):
        return {} if "timeout" in url.query else {"timeout": busy}
    if url.get_driver_name() in ("psycopg", "psycopg2"):  # or a database in SQL_ASCII would give bytes instead of text
        bounds = {"connect_timeout": CONNECT, "tcp_user_timeout": UNANSWERED * 1000}
        return {"client_encoding": "utf8"} | {name: value for name, value in bounds.items() if name not in url.query}
    return {}


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _is_sqlite_file(url: URL) -> bool:
    return _is_sqlite(url) and bool(url.database) and not str(url.database).startswith(("file:", ":"))


def _write_ahead(connection: Any, _record: Any) -> None:
    """Readers and the writer then do not wait for each other."""
    with suppress(sqlite3.OperationalError):  # read-only, or locked by another process that sets it, once for all
        connection.execute("PRAGMA journal_mode = WAL").close()


def _prepare(engine: Engine) -> None:
    """Add what the database lacks; another process may have just done the same."""
    if is_complete(engine):
        return
    for lack in _lacks(engine):
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql(lack)
        except DBAPIError:
            if lack in _lacks(engine):
                raise
    if not kept_by(engine.dialect.name):
        return
    for table, create in ((TOTALS, create_totals), (SUMS, create_sums)):
        if not inspect(engine).has_table(table.name):
            with suppress(DBAPIError):  # no right to make tables, or the database is locked: counted from the rows
                with engine.begin() as connection:
                    create(connection)


def _lacks(engine: Engine) -> list[str]:
    """The statements that would make the database complete, in their order."""
    found = inspect(engine)
    statements: list[Any] = []
    for table in _TABLES.sorted_tables:
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        if not found.has_table(table.name):
            statements += [CreateTable(table), *map(CreateIndex, indexes)]
            continue
        present = {column["name"] for column in found.get_columns(table.name)}
        for column in table.columns:
            if column.name not in present:
                definition = CreateColumn(column).compile(dialect=engine.dialect)
                statements.append(f"ALTER TABLE {table.name} ADD COLUMN {definition}")
        there = {known["name"] for known in found.get_indexes(table.name)}
        statements += [CreateIndex(index) for index in indexes if index.name not in there]
    return [sql if isinstance(sql, str) else str(sql.compile(dialect=engine.dialect)) for sql in statements]


def sqlite_schema() -> str:
    """What makes a new SQLite database, for `sqlite_file.SCHEMA`."""
    with tempfile.TemporaryDirectory() as directory:
        file = f"{directory}/new.db"
        open_engine(f"sqlite:///{file}").dispose()
        return schema_of(file)


@contextmanager
def explained(engine: Engine) -> Iterator[None]:
    """Raise the errors of the database as our own, which name the database without its password."""
    try:
        yield
    except SQLAlchemyError as error:
        raise _failure(engine.url, error) from error


def _failure(url: URL, error: SQLAlchemyError) -> CkanpackagerError:
    cause = getattr(error, "orig", None) or error
    words = f"statistics database {url.render_as_string(hide_password=True)}: {one_line(cause, MESSAGE_LENGTH)}"
    if isinstance(error, DataError):
        return PermanentFailure(words)
    if "locked" in str(cause):
        return _Locked(f"{words}; another process holds it for too long: retry, or find out which one")
    return TemporaryFailure(f"{words}; is it there, may this user write to it and its directory, has the disk room?")
