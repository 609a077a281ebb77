"""Periods: which texts are understood, and which days they mean.  In UTC."""

from datetime import UTC, datetime

import pytest

from ckanpackager.errors import BadRequest
from ckanpackager.statistics.figures import Figures, top, without_gaps
from ckanpackager.statistics.periods import (
    ALL_TIME,
    Period,
    begins,
    last_days,
    last_months,
    name_of,
    names_between,
    period_of,
    unit_of,
)


def at(*date: int) -> float:
    return datetime(*date, tzinfo=UTC).timestamp()


def test_the_day_of_until_belongs_to_the_period() -> None:
    assert period_of("2026-01-01", "2026-12-31") == Period(at(2026, 1, 1), at(2027, 1, 1))


def test_seconds_are_moments() -> None:
    assert period_of(1700000000, "1700000001.5") == Period(1700000000, 1700000001.5)
    assert period_of(None, "") == ALL_TIME


@pytest.mark.parametrize(
    "value", ["x", "2026-02-30", "2026-1-1", "-5", "1e9", True, [], {}, 1e300, "\u0662\u0660\u0662\u0666-01-01", " 5"]
)
def test_other_texts_are_refused_by_the_name_of_the_parameter(value: object) -> None:
    with pytest.raises(BadRequest, match=r"^until: expected a date as 2026-01-31, or seconds"):
        period_of(None, value)


def test_no_moment_is_too_far_away() -> None:
    for until in ("9999-12-31", "999999999999"):
        period = period_of("0001-01-01", until)
        assert name_of(period.until or 0, "day") == "9999-12-31"
        assert [begins(bound, "month") for bound in period] == [True, False]


def test_units_are_day_month_and_year() -> None:
    assert [unit_of(name) for name in ("day", "month", "year", "", None)] == ["day", "month", "year", None, None]
    with pytest.raises(BadRequest, match=r"^by: expected day, month or year"):
        unit_of("week")


def test_the_last_days_and_months_contain_today() -> None:
    now = at(2026, 1, 31, 13)
    assert last_days(2, now) == Period(at(2026, 1, 30), at(2026, 2, 1))
    assert last_months(3, now) == Period(at(2025, 11, 1), None)
    assert last_months(1, now) == Period(at(2026, 1, 1), None)


def test_names_go_on_over_the_ends_of_months_and_years() -> None:
    assert list(names_between("2027-12-31", "2028-01-01")) == ["2027-12-31", "2028-01-01"]
    assert list(names_between("2028-02-28", "2028-03-01")) == ["2028-02-28", "2028-02-29", "2028-03-01"]
    assert list(names_between("2027-12", "2028-02")) == ["2027-12", "2028-01", "2028-02"]
    assert list(names_between("1999", "2001")) == ["1999", "2000", "2001"]


def test_days_without_requests_are_zeros() -> None:
    rows = [Figures("", "2026-01-02", 5)]
    days = without_gaps(rows, Period(at(2026, 1, 1), at(2026, 1, 4)), "day")
    assert [(day.period, day.requests) for day in days] == [("2026-01-01", 0), ("2026-01-02", 5), ("2026-01-03", 0)]
    assert without_gaps(rows, ALL_TIME, "day") == rows
    assert without_gaps([], ALL_TIME, "day") == []


def test_a_period_of_centuries_has_only_the_days_with_requests() -> None:
    rows = [Figures("", "2026-01-02", 5)]
    assert without_gaps(rows, period_of("0001-01-01", "9999-12-31"), "day") == rows


def test_the_most_requested_come_first_and_the_others_are_added_up() -> None:
    rows = [Figures(name, "", number, 10, 100, 1, 2) for name, number in (("a", 1), ("b", 3), ("c", 2))]
    assert top(rows, 1) == [rows[1], Figures("others", "", 3, 20, 200, 2, None)]
    assert [row.name for row in top(rows, 3)] == ["b", "c", "a"]
