"""Sizes and times in words."""

import pytest

from ckanpackager.status import duration, human_size, human_time


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_500, "999.5 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (1_234_567, "1.2 MB"),
        (5e9, "5.0 GB"),
        (999_950_000_000, "1.0 TB"),
        (4e15, "4,000.0 TB"),
    ],
)
def test_a_size_has_the_unit_that_keeps_it_short(size: float, words: str) -> None:
    assert human_size(size) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.5, "0 s"), (59, "59 s"), (60, "1 minute"), (7200, "2 hours"), (86400, "1 day"), (900_000, "10 days")],
)
def test_a_duration_is_told_in_its_largest_unit(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_moment_is_told_in_utc() -> None:
    assert human_time(1_000_000_000) == "2001-09-09 01:46 UTC"
