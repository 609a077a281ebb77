"""What a report tells: figures of a period, read from the statistics."""

from datetime import datetime
from typing import NamedTuple

from ckanpackager.statistics import StatisticsDatabase
from ckanpackager.statistics.figures import Dimension, Figures, without_gaps
from ckanpackager.statistics.periods import DAY, Period, Unit

DIMENSIONS: tuple[Dimension, ...] = ("resource", "format", "task", "domain", "kind")
_DAYS, _MONTHS = 93, 60  # up to so many days the figures are by day, up to so many months by month, and else by year


class Contents(NamedTuple):
    """What a report tells.

    Attributes:
        period: As it was asked for.
        total: Of the whole period.
        by: How the period is divided.
        course: The figures of each day, month or year, those without requests too.
        named: The figures by resource, format, task, domain and kind of error.
    """

    period: Period
    total: Figures
    by: Unit
    course: list[Figures]
    named: dict[Dimension, list[Figures]]


def read(statistics: StatisticsDatabase, period: Period, now: float) -> Contents:
    """Read the figures of a period; one without an end goes on until now.  Raises TemporaryFailure."""
    total = next(iter(statistics.figures(period=period, emails=True)), Figures(emails=0))
    by_month = [row for row in statistics.figures(by="month", period=period) if row.period]
    ended = now + 1 if period.until is None else min(period.until, now + 1)
    by = _unit(by_month, period, ended)
    rows = statistics.figures(by=by, period=period, emails=True)
    course = without_gaps(rows, Period(period.since, ended) if by_month else period, by)
    named = {dimension: statistics.figures(dimension, period=period, emails=True) for dimension in DIMENSIONS}
    return Contents(period, total, by, course, named)


def _unit(months: list[Figures], period: Period, ended: float) -> Unit:
    began = period.since
    if began is None and months:
        began = datetime.fromisoformat(f"{months[0].period}-01T00:00+00:00").timestamp()
    if began is not None and ended - began <= _DAYS * DAY:
        return "day"
    return "month" if len(months) <= _MONTHS else "year"
