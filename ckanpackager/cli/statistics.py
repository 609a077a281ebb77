"""stats: what was served and what failed, as a table, JSON or CSV; on a terminal with bars beside the numbers."""

import csv
import json
import shutil
import sys
from collections.abc import Callable
from typing import Any

import click

from ckanpackager.cli import remote
from ckanpackager.cli.context import CliContext
from ckanpackager.cli.output import echo
from ckanpackager.errors import printable
from ckanpackager.status import human_size, local_time

KINDS = ("totals", "requests", "errors", "resources", "domains", "formats")
_ONLY = {  # the kinds that an option is for
    "email": ("-e", ("requests", "errors")),
    "offset": ("-o", ("requests", "errors")),
    "limit": ("-l", tuple(kind for kind in KINDS if kind != "totals")),
}
_LISTS = ("requests", "errors")
_LEAST_BAR, _MOST_BAR = 8, 60  # characters


@click.command()
@click.argument("kind", type=click.Choice(KINDS), default="totals")
@click.option("-r", "resource_id", help="Only this resource.")
@click.option("-e", "email", help="Only this e-mail address (requests and errors).")
@click.option("-o", "offset", type=click.IntRange(min=0), help="Leave out the newest ones (requests and errors).")
@click.option("-l", "limit", type=click.IntRange(min=1), help="Most rows, or most names (not totals).  [default: 100]")
@click.option(
    "--since", metavar="DATE", help="From this day on, as 2026-01-01, or a time in seconds since 1970. In UTC."
)
@click.option(
    "--until", metavar="DATE", help="To this day, which belongs to it, or before a time in seconds since 1970."
)
@click.option("--by", type=click.Choice(["day", "month", "year"]), help="Numbers for each day, month or year.")
@click.option(
    "--format", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True, help="How to print it."
)
@click.option("-x", "fail", is_flag=True, help="Exit with 1 if there are errors.")
@remote.options
def stats(context: CliContext, /, given: remote.Options, kind: str, format: str, fail: bool, **asked: Any) -> None:
    """Show what was served: totals by resource; requests or errors, the newest first; or the most requested resources,
    domains of e-mail addresses, or formats.

    \b
    ckanpackager stats requests -l 20 --format csv
    ckanpackager stats resources --since 2026-01-01 --until 2026-12-31
    ckanpackager stats totals --by month
    """
    _check(kind, asked)
    source = _remote(given) if given.host else _local(context)
    answer = source(kind, asked)
    if not context.quiet:
        _print(kind, answer, format)
    if not fail:
        return
    if kind != "errors":
        only_period = {name: asked[name] for name in ("resource_id", "since", "until")}
        totals = answer if isinstance(answer, dict) else source("totals", only_period)
        answer = [counts for counts in totals.values() if counts["errors"]]
    sys.exit(1 if answer else 0)


def local_totals(context: CliContext) -> Any:
    """The totals in the database of the configuration."""
    return _local(context)("totals", {})


def _check(kind: str, asked: dict[str, Any]) -> None:
    """Refuse options that mean nothing for this kind.  Raises UsageError."""
    for name, (option, kinds) in _ONLY.items():
        if asked[name] is not None and kind not in kinds:
            raise click.UsageError(f"{option} is for {', '.join(kinds[:-1])} and {kinds[-1]}, not for {kind}")
        if asked[name] is not None and asked["by"] and kind in _LISTS:
            raise click.UsageError(f"{option} and --by exclude each other: --by counts, {option} is for a list")


def _local(context: CliContext) -> Callable[[str, dict[str, Any]], Any]:
    def ask(kind: str, asked: dict[str, Any]) -> Any:
        from ckanpackager.statistics import open_statistics
        from ckanpackager.statistics.periods import period_of
        from ckanpackager.statistics.queries import Query, answer

        values = {name: value for name, value in asked.items() if value is not None}
        period = period_of(values.pop("since", None), values.pop("until", None))
        with open_statistics(context.settings.statistics, to_read=True) as statistics:
            return answer(statistics, kind, Query(**values, period=period))

    return ask


def _remote(given: remote.Options) -> Callable[[str, dict[str, Any]], Any]:
    def ask(kind: str, asked: dict[str, Any]) -> Any:
        path = "/statistics" if kind == "totals" else f"/statistics/{kind}"
        parameters = {name: value for name, value in asked.items() if value is not None}
        return remote.call(given, path, parameters, kind)[kind]

    return ask


def _print(kind: str, answer: Any, format: str) -> None:
    rows = [{"resource_id": id, **counts} for id, counts in answer.items()] if isinstance(answer, dict) else answer
    if format == "json":
        echo(json.dumps({"status": "success", "success": True, kind: answer}, indent=2))
    elif format == "csv" and rows:
        writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {name: printable(cell) if isinstance(cell, str) else cell for name, cell in row.items()} for row in rows
        )
    elif format == "table":
        echo("\n".join(_table(rows)) if rows else f"no {kind}")


def _table(rows: list[dict[str, Any]]) -> list[str]:
    """A table for people; on a terminal with a bar for each row, as far as there is room."""
    from tabulate import tabulate  # takes as long to import as all of click

    cells = [{name: _readable(name, value) for name, value in row.items()} for row in rows]
    right = ["right" if _is_number(name, rows) else "left" for name in rows[0]]
    lines = tabulate(cells, headers="keys", disable_numparse=True, colalign=right).splitlines()
    measure = next((name for name in ("requests", "errors") if name in rows[0] and _is_number(name, rows)), None)
    if measure is None or not sys.stdout.isatty():
        return lines
    room = min(shutil.get_terminal_size().columns - max(map(len, lines)) - 2, _MOST_BAR)
    if room < _LEAST_BAR:
        return lines
    numbers = [0 if row.get("resource_id") == "*" else row[measure] for row in rows]
    widest = max(map(len, lines))
    bars = ["", "", *(bar(number, max(numbers), room) for number in numbers)]
    return [f"{line:{widest}}  {each}".rstrip() for line, each in zip(lines, bars, strict=True)]


def bar(number: int, most: int, room: int) -> str:
    """A bar of plain characters: `room` of them for the greatest number, none for zero alone."""
    return "#" * max(round(number / most * room), 1) if number else ""


def _readable(name: str, value: Any) -> str:
    if name == "timestamp":
        return local_time(value)
    if name == "bytes" and value is not None:
        return human_size(value)
    return f"{value:,}" if isinstance(value, int) else str(value or "")


def _is_number(name: str, rows: list[dict[str, Any]]) -> bool:
    return name != "timestamp" and all(isinstance(row[name], int | None) for row in rows) and name != "job"
