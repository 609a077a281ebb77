"""stats: figures of a period, by resource, domain and format, as table, JSON and CSV, with bars on a terminal."""

import csv
import fcntl
import io
import json
import os
import re
import struct
import subprocess
import termios
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from support.workspace import PATIENCE, CommandResult, Workspace

Run = Callable[..., CommandResult]


@pytest.fixture(autouse=True)
def requests(workspace: Workspace) -> None:
    """Ten requests of each of three resources' shares, in January and February 2026, and an error."""
    with workspace.statistics() as statistics:
        for number in range(10):
            statistics.record_request(
                job=f"job-{number}",
                resource_id="r" if number < 7 else "s",
                email=f"p{number}@{'x' if number % 2 else 'y'}.org",
                count=1000,
                now=at(1 + number // 5, 1 + number),
                size=2000,
                format="csv" if number else "xlsx",
                task="package_datastore",
            )
        statistics.record_error(
            job="failed", resource_id="r", email="e@x.org", message="no", now=at(2, 28), kind="refused"
        )


def at(month: int, day: int) -> float:
    return datetime(2026, month, day, 12, tzinfo=UTC).timestamp()


def answer(run: Run, kind: str, *words: str) -> object:
    said = run("stats", kind, *words, "--format", "json")
    assert (said.code, said.err) == (0, "")
    return json.loads(said.out)[kind]


def test_the_most_requested_resources_domains_and_formats(run: Run) -> None:
    common = {"rows": 7000, "bytes": 14000, "emails": 7}
    assert answer(run, "resources", "-l", "1") == [{"resource_id": "r", "requests": 7, **common, "errors": 1}]
    assert [(row["domain"], row["requests"]) for row in answer(run, "domains")] == [("x.org", 5), ("y.org", 5)]
    assert [(row["format"], row["requests"]) for row in answer(run, "formats")] == [("csv", 9), ("xlsx", 1)]


def test_figures_of_a_period_with_its_last_day(run: Run) -> None:
    period = ("--since", "2026-01-02", "--until", "2026-02-06")
    assert answer(run, "totals", *period)["*"] == {
        "emails": 5,
        "requests": 5,
        "errors": 0,
        "rows": 5000,
        "bytes": 10000,
    }
    assert [row["job"] for row in answer(run, "requests", *period)] == [f"job-{number}" for number in (5, 4, 3, 2, 1)]
    assert answer(run, "errors", "--since", "2026-03-01") == []
    assert answer(run, "formats", *period)[0]["requests"] == 5


def test_figures_by_month(run: Run) -> None:
    months = answer(run, "totals", "--by", "month")
    assert [(row["period"], row["requests"], row["errors"]) for row in months] == [("2026-01", 5, 0), ("2026-02", 5, 1)]
    assert answer(run, "errors", "--by", "month") == [{"period": "2026-02", "kind": "refused", "errors": 1}]
    by_day = answer(run, "requests", "--by", "day", "-r", "s")
    assert [row["period"] for row in by_day] == ["2026-02-08", "2026-02-09", "2026-02-10"]
    found = [(row["period"], row["resource_id"], row["requests"]) for row in answer(run, "resources", "--by", "month")]
    assert found == [("2026-01", "r", 5), ("2026-02", "s", 3), ("2026-02", "r", 2)]


def test_errors_name_their_job_and_kind(run: Run) -> None:
    assert re.search(r"^e@x.org .* no +refused +failed$", run("stats", "errors").out, re.MULTILINE)


def test_csv_has_plain_numbers_and_a_table_readable_ones(run: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(run("stats", "resources", "--format", "csv").out)))
    assert rows[0] == {
        "resource_id": "r",
        "requests": "7",
        "rows": "7000",
        "bytes": "14000",
        "emails": "7",
        "errors": "1",
    }
    assert re.search(r"^r +7 +7,000 +14\.0 kB +7 +1$", run("stats", "resources").out, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("totals", "-e", "a@b.org"), "-e is for requests and errors, not for totals"),
        (("resources", "-o", "1"), "-o is for requests and errors, not for resources"),
        (("totals", "-l", "1"), "-l is for requests, errors, resources, domains and formats, not for totals"),
        (("requests", "--by", "day", "-e", "a@b.org"), "-e and --by exclude each other"),
        (("requests", "--by", "week"), "'week' is not one of 'day', 'month', 'year'"),
        (("totals", "--since", "yesterday"), "since: expected a date as 2026-01-31, or seconds since 1970"),
        (("tasks",), "'tasks' is not one of"),
    ],
)
def test_options_that_mean_nothing_are_refused_in_words(run: Run, words: tuple[str, ...], says: str) -> None:
    said = run("stats", *words)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert says in said.err


def on_a_terminal(workspace: Workspace, columns: int, *words: str) -> str:
    """What a command prints on a terminal of that width."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    environ = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    subprocess.run(workspace.command(*words), stdout=theirs, env=environ, check=True, timeout=PATIENCE)
    os.close(theirs)
    said = os.read(ours, 65536).decode()
    os.close(ours)
    return said.replace("\r\n", "\n")


def test_a_terminal_gets_bars_of_its_width_and_a_pipe_none(workspace: Workspace, run: Run) -> None:
    said = on_a_terminal(workspace, 80, "stats", "resources")
    lengths = {line.split()[0]: line.count("#") for line in said.splitlines() if "#" in line}
    assert lengths["r"] > 12 and lengths["s"] == round(lengths["r"] * 3 / 7)
    assert max(map(len, said.splitlines())) <= 80
    assert "#" not in on_a_terminal(workspace, 50, "stats", "resources") + run("stats", "resources").out
