"""Where options may stand: before the command, as the original took them, or after it."""

import pytest

from ckanpackager.cli.commands import in_their_places


@pytest.mark.parametrize(
    ("words", "places"),
    [
        ("stats", "stats"),
        ("-x -r r1 stats errors", "stats -x -r r1 errors"),
        (
            "-q -p host -s x -o 5 -l 10 -e a@x statistics requests",
            "-q -p host -s x statistics -o 5 -l 10 -e a@x requests",
        ),
        ("-p stats -r status stats", "-p stats stats -r status"),
        ("-rr1 -l10 stats", "stats -rr1 -l10"),
        ("-phost -ssecret status", "-phost -ssecret status"),
        ("--config a.yaml -D status", "--config a.yaml -D status"),
        ("--config=a.yaml status", "--config=a.yaml status"),
        ("status -q", "status -q"),
        ("process --loop -v", "process --loop -v"),
        ("queue -- t -v", "queue -- t -v"),
        ("-qv process", "-q -v process"),
        ("-vx stats errors", "-v stats -x errors"),
        ("-qxl5 stats", "-q stats -x -l5"),
        ("-vd -q queue t", "-v -d -q queue t"),
        ("-q -p -v status -q", "-q -p -v status -q"),
        ("--verbose process --verbose", "--verbose process --verbose"),
        ("- process", "- process"),
        ("--help", "--help"),
        ("-x", "-x"),
        ("-r", "-r"),
        ("", ""),
    ],
)
def test_each_option_goes_to_its_side_of_the_command(words: str, places: str) -> None:
    assert in_their_places(words.split()) == places.split()
