"""When what happens regularly is due: a line of cron, as in `0 3 * * *`, or a time span, as in `1 day`.  Pure.

Lines of cron mean what crontab(5) says, in the local time zone: five fields with *, ranges, lists, steps and names; a
day matches by either field where day of month and day of week are both restricted.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

SLACK = 60  # seconds before the end of a span: a run by cron may start a moment earlier than the one before
_SEARCHED = 366 * 8 + 1  # days back: 29 February can be eight years ago
_UNITS = {"minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400}
_SPAN = re.compile(r"(\d{1,5}) *(minute|hour|day|week)s?", re.IGNORECASE)
_WORDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of the week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
_PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?")


class Span(NamedTuple):
    """Again so many seconds after the last time."""

    seconds: int

    def is_due(self, last: float | None, now: float) -> bool:
        """Whether it is time again; both are seconds since 1970, and None means never."""
        return last is None or not now - self.seconds + SLACK < last <= now + SLACK


class Cron(NamedTuple):
    """At certain minutes of certain days."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday
    either_day: bool

    def is_due(self, last: float | None, now: float) -> bool:
        """Whether one of its times has come since the last time; None means never."""
        if last is None or last > now + SLACK:
            return True
        latest = next(self._before(datetime.fromtimestamp(now)), None)
        return latest is not None and latest.timestamp() > last

    def _before(self, now: datetime) -> Iterator[datetime]:
        """Its times up to `now`, the latest first."""
        for back in range(_SEARCHED):
            day = now.date() - timedelta(days=back)
            if self._matches(day):
                for hour in sorted(self.hours, reverse=True):
                    for minute in sorted(self.minutes, reverse=True):
                        moment = datetime.combine(day, time(hour, minute))
                        if moment <= now:
                            yield moment

    def _matches(self, day: date) -> bool:
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (by_month or by_week if self.either_day else by_month and by_week)


Schedule = Span | Cron


def parse(text: str) -> Schedule:
    """The schedule that a text means.  Raises ValueError with words for its author."""
    if span := _SPAN.fullmatch(text.strip()):
        if not int(span[1]):
            raise ValueError("expected at least 1 minute")
        return Span(int(span[1]) * _UNITS[span[2].lower()])
    parts = _WORDS.get(text.strip().lower(), text).split()
    if len(parts) != len(_FIELDS):
        raise ValueError("expected a time span, as in 1 day, or the five fields of a crontab, as in 0 3 * * *")
    values = [_field(part, *field) for part, field in zip(parts, _FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = values
    if months.isdisjoint({1, 3, 5, 7, 8, 10, 12}) and min(days) > (29 if months == {2} else 30):
        raise ValueError("no such day exists")
    either = not (parts[2].startswith("*") or parts[4].startswith("*"))
    return Cron(minutes, hours, days, months, frozenset(day % 7 for day in weekdays), either)


def _field(text: str, name: str, lowest: int, highest: int, names: dict[str, int]) -> frozenset[int]:
    values: set[int] = set()
    for part in text.lower().split(","):
        if not (found := _PART.fullmatch(part)):
            raise ValueError(f"{name}: {part!r} is no number, range or step")
        first, last = lowest, highest
        if found[1]:
            first = _number(found[1], name, names)
            last = _number(found[2], name, names) if found[2] else (highest if found[3] else first)
        step = int(found[3] or 1)
        if not (lowest <= first <= last <= highest and step):
            raise ValueError(f"{name}: {part!r} is not within {lowest} to {highest}")
        values |= set(range(first, last + 1, step))
    return frozenset(values)


def _number(text: str, name: str, names: dict[str, int]) -> int:
    if text in names:
        return names[text]
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{name}: {text!r} is no number")
    return int(text)
