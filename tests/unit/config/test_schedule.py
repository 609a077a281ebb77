"""Schedules of named packages: when one is due, by a line of cron or a time span."""

from datetime import datetime

import pytest

from ckanpackager.config.schedule import SLACK, Cron, Span, parse


def at(text: str) -> float:
    """A moment in local time, as seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1 day", 86400), ("12 hours", 43200), ("30 Minutes", 1800), (" 2weeks ", 1209600), ("1 days", 86400)],
)
def test_a_time_span_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse(text) == Span(seconds)


def test_a_span_is_due_once_it_has_passed() -> None:
    day = parse("1 day")
    assert day.is_due(None, 0)
    assert not day.is_due(1000, 1000 + 86400 - SLACK - 1)
    assert day.is_due(1000, 1000 + 86400 - SLACK)
    assert day.is_due(1000, 1000 + 10 * 86400)


@pytest.mark.parametrize("text", ["1 day", "0 3 * * *"])
def test_a_time_far_in_the_future_does_not_stop_a_schedule(text: str) -> None:
    assert parse(text).is_due(at("2030-01-01"), at("2026-11-24"))


@pytest.mark.parametrize(
    ("text", "last", "now", "due"),
    [
        ("0 3 * * *", "2026-11-23 03:00:05", "2026-11-24 02:59:59", False),
        ("0 3 * * *", "2026-11-23 03:00:05", "2026-11-24 03:00:00", True),
        ("0 3 * * *", "2026-11-24 03:00:05", "2026-11-24 23:00:00", False),
        ("*/15 * * * *", "2026-11-24 10:15:01", "2026-11-24 10:29:59", False),
        ("*/15 * * * *", "2026-11-24 10:15:01", "2026-11-24 10:30:00", True),
        ("0 3 * * mon", "2026-11-17 00:00:00", "2026-11-22 23:59:00", False),
        ("0 3 * * mon", "2026-11-17 00:00:00", "2026-11-23 03:00:00", True),
        ("0 3 * * 7", "2026-11-17 00:00:00", "2026-11-22 03:00:00", True),
        ("0 3 1 * *", "2026-11-01 03:00:01", "2026-11-30 23:00:00", False),
        ("0 3 1 * *", "2026-11-01 03:00:01", "2026-12-01 03:00:00", True),
        ("30 4 1,15 * 5", "2026-11-15 04:30:01", "2026-11-20 04:30:00", True),  # a Friday: either day counts
        ("30 4 1,15 * 5", "2026-11-15 04:30:01", "2026-11-19 04:30:00", False),
        ("0 0 29 2 *", "2024-02-29 00:00:01", "2027-03-01 00:00:00", False),
        ("0 0 29 feb *", "2024-02-29 00:00:01", "2028-02-29 00:00:00", True),
        ("0 8-18/2 * * 1-5", "2026-11-24 10:00:01", "2026-11-24 12:00:00", True),
        ("0 8-18/2 * * 1-5", "2026-11-24 18:00:01", "2026-11-25 07:59:00", False),
        ("@weekly", "2026-11-22 00:00:01", "2026-11-28 23:00:00", False),
        ("@Monthly", "2026-11-22 00:00:01", "2026-12-01 00:00:00", True),
    ],
)
def test_a_line_of_cron_is_due_when_one_of_its_times_has_come(text: str, last: str, now: str, due: bool) -> None:
    assert parse(text).is_due(at(last), at(now)) is due


def test_a_line_of_cron_that_was_never_run_is_due() -> None:
    assert parse("0 3 29 2 *").is_due(None, at("2026-11-24"))


def test_fields_take_lists_ranges_steps_and_names() -> None:
    cron = parse("5,10-12,*/30 5/6 * JAN,jul-sep 0,6-7")
    assert isinstance(cron, Cron)
    assert cron.minutes == {0, 5, 10, 11, 12, 30}
    assert cron.hours == {5, 11, 17, 23}
    assert cron.months == {1, 7, 8, 9}
    assert cron.weekdays == {0, 6}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected a time span"),
        ("daily", "expected a time span"),
        ("1 month", "expected a time span"),
        ("0 days", "at least 1 minute"),
        ("* * * *", "the five fields of a crontab"),
        ("60 * * * *", "minute: '60' is not within 0 to 59"),
        ("* 24 * * *", "hour: '24' is not within 0 to 23"),
        ("* * 0 * *", "day of the month: '0' is not within 1 to 31"),
        ("* * * 13 *", "month: '13' is not within 1 to 12"),
        ("* * * * 8", "day of the week: '8' is not within 0 to 7"),
        ("5-1 * * * *", "minute: '5-1' is not within"),
        ("*/0 * * * *", "minute: '*/0' is not within"),
        ("x * * * *", "minute: 'x' is no number"),
        ("* * * foo *", "month: 'foo' is no number"),
        ("1,,2 * * * *", "minute: '' is no number, range or step"),
        ("0 0 31 feb *", "no such day exists"),
        ("0 0 31 4,6 *", "no such day exists"),
        ("² * * * *", "minute: '²' is no number"),
    ],
)
def test_what_is_no_schedule_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(text)
    assert words in str(caught.value)
