"""Figures: requests, rows, bytes, errors and requesters, by resource, domain, format, task, kind of error, and by time.

They come from the sums that the database keeps (`sums`) where these are enough, and else from the rows.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Literal, NamedTuple, TypeVar

from sqlalchemy import Column, Select, Table, and_, distinct, func, literal, literal_column, null, select
from sqlalchemy.engine import Connection

from ckanpackager.errors import ConfigError
from ckanpackager.statistics.periods import Period, Unit, begins, length_of_name, name_of, names_between
from ckanpackager.statistics.schema import ERRORS, REQUESTS
from ckanpackager.statistics.sums import ALL, SUMS, period_name
from ckanpackager.statistics.totals import kept_by

Dimension = Literal["resource", "domain", "format", "task", "kind"]
COLUMNS: dict[Dimension, str] = {
    "resource": "resource_id",
    "domain": "domain",
    "format": "format",
    "task": "task",
    "kind": "kind",
}
"""What each dimension is called as a column, and as a key of JSON and CSV."""

OTHERS = "others"
MOST_PERIODS = 4000  # days of eleven years
_FIRST_YEAR = "0001"  # SQLite counts on before it, in names as -1199-02-1, which are no dates
S = TypeVar("S", bound=Select[Any])


class Figures(NamedTuple):
    """The figures of a name, of a day, month or year, of both, or of everything; `name` is empty if a row has none."""

    name: str = ""
    period: str = ""  # 2026-11-25, 2026-11, 2026; empty: all of the time that was asked for, or rows without a time
    requests: int = 0
    rows: int = 0
    bytes: int = 0
    errors: int = 0
    emails: int | None = None  # different requesters, without case; None: not counted


class Asked(NamedTuple):
    """What figures are asked for."""

    dimension: Dimension | None
    by: Unit | None
    period: Period
    resource_id: str | None
    emails: bool
    most: int | None = None  # names; the others are added up


def grouped(connection: Connection, asked: Asked, missing: set[Column[Any]], *, keeps_sums: bool) -> list[Figures]:
    """The figures; the oldest first, then the most requested.  Raises ConfigError if the database cannot do it."""
    if keeps_sums and _are_enough(asked):
        found = _from_sums(connection, asked)
        if asked.most is not None:
            return found
    else:
        found = list(_from_rows(connection, asked, missing).values())
        if asked.most is not None:
            return top(found, asked.most)
    return sorted(found, key=lambda row: (row.period, -row.requests, -row.errors, row.name))


def within(query: S, timestamp: Any, period: Period) -> S:
    """The query for a period alone."""
    if period.since is not None:
        query = query.where(timestamp >= period.since)
    return query if period.until is None else query.where(timestamp < period.until)


def top(rows: Iterable[Figures], number: int) -> list[Figures]:
    """The most requested of rows without a period, and the sum of all others, if there are any, as `others`."""
    ranked = sorted(rows, key=lambda row: (-row.requests, -row.errors, row.name))
    if len(ranked) <= number:
        return ranked
    rest = ranked[number:]
    sums = (sum(getattr(row, name) for row in rest) for name in ("requests", "rows", "bytes", "errors"))
    return [*ranked[:number], Figures(OTHERS, "", *sums)]


def without_gaps(rows: Iterable[Figures], period: Period, by: Unit) -> list[Figures]:
    """A row for each day, month or year of the period, zeros where nothing was requested; rows without a name.

    Where the period has no bound, from the first row on, and to the last one.  If these were more than MOST_PERIODS,
    the rows alone.
    """
    known = {row.period: row for row in rows if row.period >= _FIRST_YEAR}
    first = name_of(period.since, by) if period.since is not None else min(known, default="")
    last = name_of(period.until - 1, by) if period.until is not None else max(known, default="")
    if not (first and last):
        return []
    names = list(islice(names_between(first, last), MOST_PERIODS + 1))
    return [known.get(name, Figures(period=name)) for name in (names if len(names) <= MOST_PERIODS else sorted(known))]


def _are_enough(asked: Asked) -> bool:
    """Whether the sums answer it."""
    if asked.emails or asked.resource_id is not None:
        return False
    unit: Unit = "month" if asked.dimension else "day"
    return not (asked.dimension and asked.by == "day") and all(begins(bound, unit) for bound in asked.period)


def _from_sums(connection: Connection, asked: Asked) -> list[Figures]:
    c = SUMS.c
    period = func.substr(c.period, 1, length_of_name(asked.by)) if asked.by else literal("")
    numbers = [func.sum(number) for number in (c.requests, c.rows, c.bytes, c.errors)]
    query = select(c.name, period, *numbers).where(c.dimension == (asked.dimension or ALL)).group_by(c.name)
    if asked.by:
        query = query.group_by(literal_column("2"))
    unit: Unit = "month" if asked.dimension else "day"
    if asked.period.since is not None:
        query = query.where(c.period >= name_of(asked.period.since, unit))
    if asked.period.until is not None:
        query = query.where(and_(c.period < name_of(asked.period.until, unit), c.period != ""))
    if asked.most is not None:
        return _most_requested(connection, query, numbers, asked.most)
    return [Figures(name, of, *map(int, sums)) for name, of, *sums in connection.execute(query)]


def _most_requested(connection: Connection, query: Select[Any], numbers: list[Any], most: int) -> list[Figures]:
    """What `top` makes of all rows of a query, as the database does it: it has no need to hand over all names."""
    requests, *_, errors = numbers
    query = query.add_columns(*(func.sum(number).over() for number in numbers), func.count().over())
    query = query.order_by(requests.desc(), errors.desc(), SUMS.c.name).limit(max(most, 1))
    found = connection.execute(query).all()
    rows = [Figures(name, of, *map(int, sums[:4])) for name, of, *sums in found][:most]
    if not found or found[0][-1] <= most:
        return rows
    all_of_them = map(int, found[0][6:10])
    shown = (sum(getattr(row, name) for row in rows) for name in ("requests", "rows", "bytes", "errors"))
    return [*rows, Figures(OTHERS, "", *(whole - part for whole, part in zip(all_of_them, shown, strict=True)))]


def _from_rows(connection: Connection, asked: Asked, missing: set[Column[Any]]) -> Mapping[tuple[str, str], Figures]:
    if asked.by and not kept_by(connection.dialect.name):
        raise ConfigError(f"by: figures by {asked.by} need a statistics database in SQLite or PostgreSQL")

    def query(table: Table, numbers: list[Any]) -> Select[Any]:
        return _query(table, numbers, asked, missing, connection.dialect.name)

    found: dict[tuple[str, str], Figures] = {}
    if REQUESTS.c.id not in missing and (asked.dimension is None or COLUMNS[asked.dimension] in REQUESTS.c):
        numbers = [func.count(), *(_sum(REQUESTS.c[name], missing) for name in ("count", "bytes"))]
        if asked.emails:
            numbers.append(func.count(distinct(func.lower(REQUESTS.c.email))))
        for name, period, requests, rows, size, *emails in connection.execute(query(REQUESTS, numbers)):
            if requests:
                key = (name or "", period or "")
                found[key] = Figures(*key, requests, int(rows or 0), int(size or 0), 0, *emails)
    if ERRORS.c.id not in missing and (asked.dimension is None or COLUMNS[asked.dimension] in ERRORS.c):
        for name, period, errors in connection.execute(query(ERRORS, [func.count()])):
            if errors:
                key = (name or "", period or "")
                none = Figures(*key, emails=0 if asked.emails else None)
                found[key] = found.get(key, none)._replace(errors=errors)
    return found


def _query(table: Table, numbers: list[Any], asked: Asked, missing: set[Column[Any]], dialect: str) -> Select[Any]:
    column = table.c[COLUMNS[asked.dimension]] if asked.dimension else None
    name: Any = literal("") if column is None or column in missing else func.coalesce(column, "")
    period: Any = literal("")
    if asked.by:
        period = literal_column(period_name(dialect, "timestamp", length_of_name(asked.by)))
    query = select(name.label("name"), period.label("period"), *numbers).select_from(table)
    if asked.dimension and column not in missing:
        query = query.group_by(literal_column("1"))
    if asked.by:
        query = query.group_by(literal_column("2"))
    if asked.resource_id is not None:
        query = query.where(table.c.resource_id == asked.resource_id)
    return within(query, table.c.timestamp, asked.period)


def _sum(column: Column[Any], missing: set[Column[Any]]) -> Any:
    return null() if column in missing else func.sum(column)
