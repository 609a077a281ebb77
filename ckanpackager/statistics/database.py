"""The statistics database: who requested what and what failed, in any database that SQLAlchemy supports.

The tables are those of the original ckanpackager: its database can be named, and what it lacks is added to it.
Totals are kept by the database itself (`totals`), or counted from the rows where it cannot do that.
"""

import hmac
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import (
    Column,
    Executable,
    Table,
    create_engine,
    distinct,
    event,
    func,
    insert,
    make_url,
    select,
)
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import ArgumentError, DataError, IntegrityError, SQLAlchemyError

from ckanpackager.config.settings import Statistics
from ckanpackager.durable_files import is_shared
from ckanpackager.errors import (
    MESSAGE_LENGTH,
    CkanpackagerError,
    ConfigError,
    PermanentFailure,
    TemporaryFailure,
    one_line,
)
from ckanpackager.statistics import totals as kept_totals
from ckanpackager.statistics.schema import ERRORS, REQUESTS, prepare

BUSY = 30  # seconds that SQLite waits for other writers; `?timeout=` in the URL overrides it
_MOST = 2**63 - 1  # what databases take as a number


def open_statistics(settings: Statistics) -> "StatisticsDatabase":
    """Connect to the database, and make the tables, columns and indexes that it lacks.

    Raises ConfigError if the URL is none or its driver is not installed, TemporaryFailure if the database cannot be
    reached or prepared.
    """
    if settings.anonymize_emails and not settings.anonymize_key:
        raise ConfigError("anonymize_emails needs anonymize_key")
    engine = _engine(settings.stats_db)
    try:
        with _explained(engine):
            keeps_totals = prepare(engine)
    except TypeError as error:  # what some drivers make of a parameter in the URL that they do not know
        engine.dispose()
        raise ConfigError(f"stats_db: {one_line(error, MESSAGE_LENGTH)}") from error
    except BaseException:
        engine.dispose()
        raise
    return StatisticsDatabase(engine, keeps_totals, settings.anonymize_key if settings.anonymize_emails else None)


class StatisticsDatabase:
    """An open statistics database; a context manager that closes it.

    Every method raises TemporaryFailure where the database cannot be used now (locked, read-only, out of reach, full),
    and PermanentFailure for a value that it will never take.
    """

    def __init__(self, engine: Engine, keeps_totals: bool, anonymize_key: str | None) -> None:
        self._engine = engine
        self._keeps_totals = keeps_totals
        self._anonymize_key = anonymize_key

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._engine.dispose()

    def record_request(self, *, job: str, resource_id: str, email: str, count: int | None, now: float) -> None:
        """Count a request that was served, with its number of rows; a job only once, however often this is called."""
        self._record(REQUESTS, email, now, {"job": job, "resource_id": _storable(resource_id), "count": count})

    def record_error(self, *, job: str, resource_id: str, email: str, message: str, now: float) -> None:
        """Count a request that failed; a job only once, however often this is called."""
        own = {"job": job, "resource_id": _storable(resource_id), "message": _storable(message)}
        self._record(ERRORS, email, now, own)

    def totals(self, resource_id: str | None = None) -> dict[str, dict[str, int]]:
        """Numbers of `emails` (different requesters, without case), `requests` and `errors`, by resource id.

        `*` stands for all of them.  With a resource id only its own, and nothing if it has none.
        """
        totals: dict[str, dict[str, int]] = {}
        with self._reading() as connection:
            if self._keeps_totals:
                return kept_totals.read(connection, None if resource_id is None else _storable(resource_id))
            if resource_id is None:
                errors = connection.execute(select(func.count()).select_from(ERRORS)).scalar_one()
                requests, emails = connection.execute(select(func.count(), _EMAILS).select_from(REQUESTS)).one()
                totals["*"] = {"emails": emails, "requests": requests, "errors": errors}
            for name, requests, emails in connection.execute(_by_resource(REQUESTS, resource_id, _EMAILS)):
                totals[name or ""] = {"emails": emails, "requests": requests, "errors": 0}
            for name, errors in connection.execute(_by_resource(ERRORS, resource_id)):
                totals.setdefault(name or "", {"emails": 0, "requests": 0})["errors"] = errors
        return totals

    def served(self) -> int:
        """The number of all requests that were served."""
        with self._reading() as connection:
            if self._keeps_totals:
                return kept_totals.read(connection, None, only_all=True)[kept_totals.EVERYTHING]["requests"]
            return connection.execute(select(func.count()).select_from(REQUESTS)).scalar_one()

    def requests(
        self, *, offset: int = 0, limit: int = 100, resource_id: str | None = None, email: str | None = None
    ) -> list[dict[str, Any]]:
        """Requests, newest first: `email`, `domain`, `resource_id`, `timestamp` (seconds since 1970), `count`."""
        return self._rows(REQUESTS.c["count"], (offset, limit), resource_id, email)

    def errors(
        self, *, offset: int = 0, limit: int = 100, resource_id: str | None = None, email: str | None = None
    ) -> list[dict[str, Any]]:
        """Errors, newest first: `email`, `domain`, `resource_id`, `timestamp` (seconds since 1970), `message`."""
        return self._rows(ERRORS.c["message"], (offset, limit), resource_id, email)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with _explained(self._engine), self._engine.connect() as connection:
            yield connection

    def _record(self, table: Table, email: str, now: float, own: Mapping[str, object]) -> None:
        domain = _storable(email).rpartition("@")[2].strip().lower()
        row = {"timestamp": int(now), "email": self._known_as(email), "domain": domain, **own}
        with _explained(self._engine):
            try:
                with self._engine.begin() as connection:
                    connection.execute(insert(table).values(row))
            except IntegrityError:
                with self._engine.connect() as connection:
                    counted = connection.execute(select(table.c.id).where(table.c.job == own["job"])).first()
                if counted is None:
                    raise

    def _rows(
        self, own: Column[Any], page: tuple[int, int], resource_id: str | None, email: str | None
    ) -> list[dict[str, Any]]:
        c = own.table.c
        offset, limit = (min(number, _MOST) for number in page)
        query = select(c.email, c.domain, c.resource_id, c.timestamp, own)
        if resource_id is not None:
            query = query.where(c.resource_id == _storable(resource_id))
        if email is not None:
            query = query.where(func.lower(c.email) == func.lower(self._known_as(email)))
        query = query.order_by(c.timestamp.desc(), c.id.desc()).offset(offset).limit(limit)
        with self._reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _known_as(self, email: str) -> str:
        """The address as it stands in the tables: as typed, or as a keyed hash of it (HMAC-SHA256, RFC 2104)."""
        if self._anonymize_key is None:
            return _storable(email)
        address = _storable(email).strip().lower()
        return hmac.digest(self._anonymize_key.encode(), address.encode(), "sha256").hex()


_EMAILS = func.count(distinct(func.lower(REQUESTS.c.email)))


def _by_resource(table: Table, resource_id: str | None, *counts: Any) -> Executable:
    query = select(table.c.resource_id, func.count(), *counts).group_by(table.c.resource_id)
    return query if resource_id is None else query.where(table.c.resource_id == _storable(resource_id))


def _storable(value: str) -> str:
    """Without what databases refuse: NUL, and halves of surrogate pairs."""
    return value.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _engine(stats_db: str) -> Engine:
    try:
        url = make_url(stats_db)
        waiting = {"timeout": BUSY} if _is_sqlite(url) and "timeout" not in url.query else {}
        engine = create_engine(url, pool_pre_ping=True, connect_args=waiting)
    except ImportError as error:
        extra = "; pip install 'ckanpackager[postgresql]'" if stats_db.startswith("postgresql") else ""
        raise ConfigError(f"stats_db: {one_line(error, MESSAGE_LENGTH)}{extra}") from None
    except ArgumentError as error:
        raise ConfigError(f"stats_db: {one_line(error, MESSAGE_LENGTH)}") from None
    except (TypeError, ValueError):  # their text could quote from the password
        raise ConfigError("stats_db: expected an SQLAlchemy URL, as in sqlite:////srv/ckanpackager/stats.db") from None
    if _is_sqlite(url):
        _make_shared(url.database or "")
        event.listen(engine, "connect", _write_ahead)
    return engine


def _make_shared(file: str) -> None:
    """In a shared directory, make the file one that the group may write, whatever the umask.

    SQLite gives the files beside it the same mode.
    """
    with suppress(OSError):  # it exists already, or cannot be made, which SQLite reports
        if is_shared(Path(file).parent):
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o660)
            os.fchmod(descriptor, 0o660)
            os.close(descriptor)


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _write_ahead(connection: Any, _record: Any) -> None:
    """Readers and the writer then do not wait for each other."""
    with suppress(sqlite3.OperationalError):  # read-only, or locked by another process that sets it, once for all
        connection.execute("PRAGMA journal_mode = WAL").close()


@contextmanager
def _explained(engine: Engine) -> Iterator[None]:
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
        return TemporaryFailure(f"{words}; another process holds it for too long: retry, or find out which one")
    return TemporaryFailure(f"{words}; is it there, may this user write to it and its directory, has the disk room?")
