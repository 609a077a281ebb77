"""What a report tells: how a period is divided, and that each part of it has its figures."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ckanpackager.config.settings import Statistics
from ckanpackager.report.contents import read
from ckanpackager.statistics import StatisticsDatabase, open_statistics
from ckanpackager.statistics.figures import Figures
from ckanpackager.statistics.periods import ALL_TIME, period_of


def at(*date: int) -> float:
    return datetime(*date, tzinfo=UTC).timestamp()


NOW = at(2026, 11, 25, 13)


@pytest.fixture
def statistics(tmp_path: Path) -> Iterator[StatisticsDatabase]:
    with open_statistics(Statistics(stats_db=f"sqlite:///{tmp_path}/stats.db")) as statistics:
        yield statistics


def asked(statistics: StatisticsDatabase, *moments: float) -> None:
    for number, now in enumerate(moments):
        statistics.record_request(job=f"{number}", resource_id="r", email="a@x.org", count=5, now=now, format="csv")


def test_a_year_is_divided_into_months_and_those_without_requests_are_zeros(statistics: StatisticsDatabase) -> None:
    asked(statistics, at(2026, 2, 5), at(2026, 2, 6), at(2026, 11, 2))
    contents = read(statistics, period_of("2026-01-01", "2026-12-31"), NOW)
    assert (contents.by, contents.total.requests, contents.total.emails) == ("month", 3, 1)
    assert [row.requests for row in contents.course] == [0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert contents.named["format"] == [Figures("csv", "", 3, 15, 0, 0, 1)]


def test_a_month_is_divided_into_its_days_until_today(statistics: StatisticsDatabase) -> None:
    asked(statistics, at(2026, 11, 2), at(2026, 11, 25))
    for period in (period_of("2026-11-01", "2026-11-30"), period_of("2026-11-01", None), ALL_TIME):
        contents = read(statistics, period, NOW)
        assert contents.by == "day"
        assert contents.course[-1].period == "2026-11-25"
    assert len(read(statistics, period_of("2026-11-01", None), NOW).course) == 25
    assert len(read(statistics, ALL_TIME, NOW).course) == 24  # from the first request on


def test_decades_are_divided_into_years(statistics: StatisticsDatabase) -> None:
    asked(statistics, *(at(2010 + number // 12, number % 12 + 1, 1) for number in range(100)))
    contents = read(statistics, ALL_TIME, NOW)
    assert contents.by == "year"
    assert [row.period for row in contents.course] == [str(year) for year in range(2010, 2027)]


def test_statistics_without_a_request_have_nothing_to_tell(statistics: StatisticsDatabase) -> None:
    contents = read(statistics, ALL_TIME, NOW)
    assert (contents.total, contents.course) == (Figures(emails=0), [])
