"""The statistics: who requested what, and what failed, in any database that SQLAlchemy speaks to.

Totals are kept by the database itself (`totals`); where it cannot do that, they are counted from the rows.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, Unpack

from sqlalchemy import Column, Executable, Table, distinct, func, insert, null, select
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import IntegrityError

from ckanpackager.config.settings import Statistics
from ckanpackager.errors import ConfigError
from ckanpackager.statistics.email_hash import Hash, hash_of
from ckanpackager.statistics.figures import Asked, Dimension, Figures, grouped, within
from ckanpackager.statistics.periods import ALL_TIME, Period, Unit
from ckanpackager.statistics.privacy import anonymize, clear_addresses, count_older, forget, remove_older
from ckanpackager.statistics.rows import Failed, Served, error_row, known_as, request_row, storable
from ckanpackager.statistics.schema import (
    ERRORS,
    REQUESTS,
    explained,
    is_complete,
    kept_tables,
    missing_columns,
    open_engine,
    open_to_read,
    open_unchanged,
)
from ckanpackager.statistics.sums import SUMS
from ckanpackager.statistics.totals import TOTALS
from ckanpackager.statistics.totals import read as read_totals

_MOST = 2**63 - 1  # what databases take as a number


def open_statistics(settings: Statistics, *, to_read: bool = False, unchanged: bool = False) -> "StatisticsDatabase":
    """Connect to the database; a reader need not be allowed to write, and one may leave it `unchanged`.

    Raises ConfigError if the URL is none or its driver is not installed, TemporaryFailure if the database cannot be
    reached or prepared.
    """
    hashed = hash_of(settings)
    engine = (open_unchanged if unchanged else open_to_read if to_read else open_engine)(settings.stats_db)
    complete = is_complete(engine)
    missing = set()
    if not complete and (to_read or unchanged):
        with explained(engine):
            missing = missing_columns(engine)
    kept = {TOTALS, SUMS} if complete else kept_tables(engine)
    return StatisticsDatabase(engine, hashed, missing, kept)


class StatisticsDatabase:
    """An open statistics database; a context manager that closes it.

    Every method raises TemporaryFailure where the database cannot be used now (locked, read-only, out of reach, full),
    and PermanentFailure for a value that it will never take.
    """

    def __init__(self, engine: Engine, hashed: Hash | None, missing: set[Column[Any]], kept: set[Table]) -> None:
        self._engine = engine
        self._hashed = hashed
        self._missing = missing
        self._keeps_totals = TOTALS in kept
        self._keeps_sums = SUMS in kept

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._engine.dispose()

    def record_request(self, **about: Unpack[Served]) -> None:
        """Count a request that was served; a job only once, however often this is called."""
        self._record(REQUESTS, request_row(about, self._hashed))

    def record_error(self, **about: Unpack[Failed]) -> None:
        """Count a request that failed; a job only once, however often this is called."""
        self._record(ERRORS, error_row(about, self._hashed))

    def clear_addresses(self) -> int:
        """How many rows hold an address in clear."""
        return clear_addresses(self._engine)

    def anonymize(self, tell: Callable[[int, int], object], *, dry_run: bool) -> dict[str, int]:
        """Hash the addresses that are in clear; the number of rows by table.  Raises ConfigError."""
        if self._hashed is None:
            raise ConfigError("anonymize_emails: false; set it to true first, or new addresses are stored in clear")
        return anonymize(self._engine, self._hashed, tell, dry_run=dry_run)

    def forget(self, email: str) -> int:
        """Put a name that tells nothing in the place of an address; in how many rows."""
        return forget(self._engine, storable(email), self._hashed)

    def count_older(self, before: float) -> int:
        """How many requests and errors are from before a time."""
        if self._missing >= {REQUESTS.c.id, ERRORS.c.id}:  # there are no tables
            return 0
        with self._reading() as connection:
            return count_older(connection, before)

    def remove_older(self, before: float) -> int:
        """Remove the requests and errors from before a time; how many."""
        return remove_older(self._engine, before)

    def totals(self, resource_id: str | None = None) -> dict[str, dict[str, int]]:
        """Numbers of `emails` (different requesters, without case), `requests` and `errors`, by resource id.

        `*` stands for all of them.  With a resource id only its own, and nothing if it has none.
        """
        totals: dict[str, dict[str, int]] = {}
        if self._missing >= {REQUESTS.c.id, ERRORS.c.id}:  # there are no tables
            return {} if resource_id else {"*": {"emails": 0, "requests": 0, "errors": 0}}
        with self._reading() as connection:
            if self._keeps_totals:
                return read_totals(connection, None if resource_id is None else storable(resource_id))
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
        return self.overall()["requests"]

    def overall(self) -> dict[str, int]:
        """The numbers of `emails`, `requests` and `errors` of all resources together."""
        if not self._keeps_totals:
            return self.totals()["*"]
        with self._reading() as connection:
            return read_totals(connection, None, only_all=True)["*"]

    def requests(
        self,
        *,
        offset: int = 0,
        limit: int = 100,
        resource_id: str | None = None,
        email: str | None = None,
        period: Period = ALL_TIME,
    ) -> list[dict[str, Any]]:
        """Requests, newest first: `email`, `domain`, `resource_id`, `timestamp` (seconds since 1970), `count`,
        `format`, `bytes`, `task`, `job`."""
        c = REQUESTS.c
        return self._rows((c["count"], c.format, c.bytes, c.task, c.job), (offset, limit), resource_id, email, period)

    def errors(
        self,
        *,
        offset: int = 0,
        limit: int = 100,
        resource_id: str | None = None,
        email: str | None = None,
        period: Period = ALL_TIME,
    ) -> list[dict[str, Any]]:
        """Errors, newest first: `email`, `domain`, `resource_id`, `timestamp` (seconds since 1970), `message`, `kind`,
        `job`."""
        own = (ERRORS.c.message, ERRORS.c.kind, ERRORS.c.job)
        return self._rows(own, (offset, limit), resource_id, email, period)

    def figures(
        self,
        dimension: Dimension | None = None,
        *,
        by: Unit | None = None,
        period: Period = ALL_TIME,
        resource_id: str | None = None,
        emails: bool = False,
        most: int | None = None,
    ) -> list[Figures]:
        """Requests, rows, bytes and errors in a period, by dimension and by day, month or year, as far as asked.

        The oldest first, then the most requested.  Different requesters are counted with `emails`, which takes a look
        at every row; without it and without a resource, sums that the database keeps are enough for whole days, or with
        a dimension for whole months.  With `most`, and without `by`, only so many names, and the others added up.
        """
        if self._missing >= {REQUESTS.c.id, ERRORS.c.id}:
            return []
        asked = Asked(dimension, by, period, None if resource_id is None else storable(resource_id), emails, most)
        with self._reading() as connection:
            return grouped(connection, asked, self._missing, keeps_sums=self._keeps_sums)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with explained(self._engine), self._engine.connect() as connection:
            yield connection

    def _record(self, table: Table, row: Mapping[str, object]) -> None:
        with explained(self._engine):
            try:
                with self._engine.begin() as connection:
                    connection.execute(insert(table).values(row))
            except IntegrityError:
                with self._engine.connect() as connection:
                    counted = connection.execute(select(table.c.id).where(table.c.job == row["job"])).first()
                if counted is None:
                    raise

    def _rows(
        self,
        own: tuple[Column[Any], ...],
        page: tuple[int, int],
        resource_id: str | None,
        email: str | None,
        period: Period,
    ) -> list[dict[str, Any]]:
        c = own[0].table.c
        offset, limit = (min(number, _MOST) for number in page)
        columns = [c.email, c.domain, c.resource_id, c.timestamp, *own]
        query = select(*(null().label(column.name) if column in self._missing else column for column in columns))
        if resource_id is not None:
            query = query.where(c.resource_id == storable(resource_id))
        if email is not None:
            query = query.where(func.lower(c.email) == func.lower(known_as(email, self._hashed)))
        query = within(query, c.timestamp, period)
        query = query.order_by(c.timestamp.desc(), c.id.desc()).offset(offset).limit(limit)
        if c.id in self._missing:  # there is no such table
            return []
        with self._reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]


_EMAILS = func.count(distinct(func.lower(REQUESTS.c.email)))


def _by_resource(table: Table, resource_id: str | None, *counts: Any) -> Executable:
    query = select(table.c.resource_id, func.count(), *counts).group_by(table.c.resource_id)
    return query if resource_id is None else query.where(table.c.resource_id == storable(resource_id))
