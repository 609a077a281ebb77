"""What `ckanpackager stats` and the receiver answer about the statistics, as values for JSON."""

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from ckanpackager.statistics.database import StatisticsDatabase
from ckanpackager.statistics.figures import COLUMNS, Dimension, Figures
from ckanpackager.statistics.periods import ALL_TIME, Period, Unit

DIMENSIONS: dict[str, Dimension] = {"resources": "resource", "domains": "domain", "formats": "format"}
"""The kinds of answers that list figures by name."""
KINDS = ("totals", "requests", "errors", *DIMENSIONS)


class Query(NamedTuple):
    """What is asked about one kind; what a kind has no use for is not looked at."""

    resource_id: str | None = None
    email: str | None = None
    offset: int = 0
    limit: int = 100
    period: Period = ALL_TIME
    by: Unit | None = None


def answer(statistics: StatisticsDatabase, kind: str, query: Query) -> Any:
    """The totals by resource id, or a list of rows.  Raises TemporaryFailure, ConfigError."""
    if kind == "totals":
        return _totals(statistics, query)
    if kind in DIMENSIONS:
        return _most_requested(statistics, DIMENSIONS[kind], query)
    if query.by:
        found = statistics.figures(
            "kind" if kind == "errors" else None,
            by=query.by,
            period=query.period,
            resource_id=query.resource_id,
            emails=kind == "requests",
        )
        if kind == "errors":
            return [{"period": row.period, "kind": row.name or None, "errors": row.errors} for row in found]
        return [_without(_numbers(row), "errors") for row in found if row.requests]
    rows: Callable[..., Any] = statistics.requests if kind == "requests" else statistics.errors
    return rows(
        offset=query.offset,
        limit=query.limit,
        resource_id=query.resource_id,
        email=query.email,
        period=query.period,
    )


def _totals(statistics: StatisticsDatabase, query: Query) -> Any:
    """As the database keeps them; of a period, counted from the rows, with the numbers of rows and bytes."""
    if query.by:
        found = statistics.figures(by=query.by, period=query.period, resource_id=query.resource_id, emails=True)
        return [_numbers(row) for row in found]
    if query.period == ALL_TIME:
        return statistics.totals(query.resource_id)
    asked: dict[str, Any] = {"period": query.period, "resource_id": query.resource_id, "emails": True}
    everything = {} if query.resource_id else {"*": next(iter(statistics.figures(**asked)), Figures(emails=0))}
    figures = {**everything, **{row.name: row for row in statistics.figures("resource", **asked)}}
    order = ("emails", "requests", "errors", "rows", "bytes")
    return {name: {key: getattr(row, key) for key in order} for name, row in figures.items()}


def _most_requested(statistics: StatisticsDatabase, dimension: Dimension, query: Query) -> list[dict[str, Any]]:
    """The names that were requested most, in each day, month or year if that is asked."""
    found = statistics.figures(dimension, by=query.by, period=query.period, resource_id=query.resource_id, emails=True)
    requested: Counter[str] = Counter()
    for row in found:
        requested[row.name] += row.requests
    names = {name for name, _ in sorted(requested.items(), key=lambda each: (-each[1], each[0]))[: query.limit]}
    key, unknown = COLUMNS[dimension], ("errors",) if dimension == "format" else ()  # no error has a format
    return [{key: row.name or None, **_without(_numbers(row), *unknown)} for row in found if row.name in names]


def _numbers(row: Figures) -> dict[str, Any]:
    values = {"requests": row.requests, "rows": row.rows, "bytes": row.bytes, "emails": row.emails}
    return {**({"period": row.period} if row.period else {}), **values, "errors": row.errors}


def _without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}
