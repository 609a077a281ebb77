"""Periods of the statistics: from when until when, and its days, months or years.  In UTC.  Pure."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Literal, NamedTuple

from ckanpackager.errors import BadRequest, one_line

Unit = Literal["day", "month", "year"]
UNITS: tuple[Unit, ...] = ("day", "month", "year")
DAY = 86400  # seconds
_LENGTHS: dict[Unit, int] = {"day": 10, "month": 7, "year": 4}  # of a period's name: 2026-11-25, 2026-11, 2026
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_LAST = 253402300799.0  # the last second of the year 9999
_SECONDS = re.compile(r"\d{1,12}(\.\d{1,9})?", re.ASCII)


class Period(NamedTuple):
    """From `since` on, and before `until`; in seconds since 1970.  None: without a bound."""

    since: float | None = None
    until: float | None = None


ALL_TIME = Period()


def period_of(since: object, until: object) -> Period:
    """The period between two texts: dates, or seconds since 1970; the day of a date in `until` belongs to it.

    Raises BadRequest, which names the parameter.
    """
    return Period(_moment("since", since), _moment("until", until, days=1))


def _moment(name: str, value: object, days: int = 0) -> float | None:
    if value is None or value == "":
        return None
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    if isinstance(text, str) and _SECONDS.fullmatch(text) and not _DATE.fullmatch(text):
        return min(float(text), _LAST)
    try:
        if not (isinstance(text, str) and _DATE.fullmatch(text)):
            raise ValueError
        return min((date.fromisoformat(text) - date(1970, 1, 1)).total_seconds() + days * DAY, _LAST)
    except ValueError:
        raise BadRequest(
            f"{name}: expected a date as 2026-01-31, or seconds since 1970, got {one_line(value, 40)!r}"
        ) from None


def unit_of(value: object) -> Unit | None:
    """The unit of that name.  Raises BadRequest."""
    if value is None or value == "":
        return None
    for unit in UNITS:
        if value == unit:
            return unit
    raise BadRequest(f"by: expected {', '.join(UNITS[:-1])} or {UNITS[-1]}, got {one_line(value, 40)!r}")


def name_of(moment: float, unit: Unit) -> str:
    """The name of the day, month or year: 2026-11-25, 2026-11, 2026."""
    return datetime.fromtimestamp(moment, UTC).date().isoformat()[: _LENGTHS[unit]]


def length_of_name(unit: Unit) -> int:
    return _LENGTHS[unit]


def begins(moment: float | None, unit: Unit) -> bool:
    """Whether a bound is none, or the first moment of a day or month."""
    if moment is None:
        return True
    return moment % DAY == 0 and (unit == "day" or datetime.fromtimestamp(moment, UTC).day == 1)


def last_days(number: int, now: float) -> Period:
    """The last days, today's with them."""
    tomorrow = now // DAY * DAY + DAY
    return Period(tomorrow - number * DAY, tomorrow)


def last_months(number: int, now: float) -> Period:
    """The last calendar months, this one with them, without a bound at the end."""
    today = datetime.fromtimestamp(now, UTC).date()
    months = today.year * 12 + today.month - number
    return Period(datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC).timestamp())


def names_between(first: str, last: str) -> Iterator[str]:
    """The names of all days, months or years from one to another, both with it."""
    if len(first) == _LENGTHS["day"]:
        start, end = date.fromisoformat(first), date.fromisoformat(last)
        yield from ((start + timedelta(day)).isoformat() for day in range((end - start).days + 1))
    elif len(first) == _LENGTHS["month"]:
        start_month, end_month = (int(name[:4]) * 12 + int(name[5:]) - 1 for name in (first, last))
        yield from (f"{month // 12:04}-{month % 12 + 1:02}" for month in range(start_month, end_month + 1))
    else:
        yield from (f"{year:04}" for year in range(int(first), int(last) + 1))
