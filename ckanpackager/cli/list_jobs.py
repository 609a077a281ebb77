"""jobs: the jobs of the spool, the newest first, and why those wait or failed."""

import csv
import json
import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import click

from ckanpackager.cli.context import CliContext
from ckanpackager.cli.output import Level, echo, styled
from ckanpackager.errors import one_line, printable
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.request import QUEUES
from ckanpackager.spool.job_list import list_jobs
from ckanpackager.spool.queue import Spool
from ckanpackager.status import local_time

_STATES = ("waiting", "claimed", "done", "failed")
_COLOURS: dict[str, Level] = {"failed": "bad", "cancelled": "warning", "delayed": "warning", "running": "good"}
_WHY = 80  # characters of a reason in a table
_HEADERS = ("job", "state", "queue", "task", "resource", "e-mail", "created", "why, or when next")


@click.command()
@click.option("--failed", is_flag=True, help="Only those that have failed.")
@click.option("--waiting", is_flag=True, help="Only those that wait.")
@click.option("--done", is_flag=True, help="Only those that are done.")
@click.option("--claimed", is_flag=True, help="Only those that a worker is at.")
@click.option("-e", "--email", help="Only those of this e-mail address.")
@click.option("-r", "--resource", "resource_id", help="Only those of this resource, or dataset.")
@click.option("--since", metavar="DATE", help="Only those requested since then: 2026-01-31, or seconds since 1970.")
@click.option("-l", "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Most jobs.")
@click.option(
    "--format", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True, help="How to print it."
)
@click.pass_obj
def jobs(context: CliContext, /, since: str | None, limit: int, format: str, **asked: Any) -> None:
    """List the jobs of the spool, the newest first.

    \b
    ckanpackager jobs --failed --since 2026-01-31
    ckanpackager jobs -e someone@example.org --format json
    """
    states = [state for state in _STATES if asked.pop(state)]
    if len(states) > 1:
        raise click.UsageError(f"--{states[0]} and --{states[1]} exclude each other")
    found = list_jobs(context.spool, states[0] if states else None, since=_moment(since), **asked)
    rows = (row_of(context.spool, folder, job, time.time()) for folder, job in islice(found, limit))
    if context.quiet:
        return
    if format == "json":
        echo(json.dumps({"status": "success", "success": True, "jobs": list(rows)}, indent=2))
    elif format == "csv":
        _print_csv(rows)
    else:
        _print_table(list(rows))


def row_of(spool: Spool, folder: str, job: Job, now: float) -> dict[str, Any]:
    """What the list says of a job; times are seconds since 1970."""
    due = spool.not_before(job) if folder in QUEUES and job.attempts else 0.0
    later = due if due > now else None
    last = next((attempt.error for attempt in reversed(job.recent_attempts) if attempt.error), None)
    return {
        "job": job.id,
        "state": _state(folder, job, delayed=later is not None),
        "queue": job.queue,
        "task": job.request.task,
        "resource_id": job.request.resource_id,
        "email": job.request.email,
        "created": job.created,
        "why": job.failure or (last if folder in QUEUES else None),
        "next_attempt": later,
    }


def _state(folder: str, job: Job, *, delayed: bool) -> str:
    if job.cancelled:
        return "cancelled"
    if folder in QUEUES:
        return "delayed" if delayed else "waiting"
    return "running" if folder == "claimed" else folder


def _moment(since: str | None) -> float | None:
    if since is None:
        return None
    from ckanpackager.statistics.periods import period_of

    return period_of(since, None).since


def _print_csv(rows: Iterator[dict[str, Any]]) -> None:
    writer = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(sys.stdout, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow({name: printable(cell) if isinstance(cell, str) else cell for name, cell in row.items()})


def _print_table(rows: list[dict[str, Any]]) -> None:
    if not rows:
        echo("no jobs")
        return
    from tabulate import tabulate  # takes as long to import as all of click

    cells = [[printable(cell) for cell in _cells(row)] for row in rows]
    lines = tabulate(cells, headers=_HEADERS, disable_numparse=True).splitlines()
    for line, row in zip(lines, [None, None, *rows], strict=True):
        level = _COLOURS.get(row["state"]) if row else None
        before, state, after = line.partition(f" {row['state']} ") if row and level else (line, "", "")
        click.echo(before + styled(state, level) + after)


def _cells(row: dict[str, Any]) -> list[str]:
    later = f"not before {local_time(row['next_attempt'])}" if row["next_attempt"] else ""
    why = ": ".join(filter(None, (later, one_line(row["why"] or ""))))
    shown = why if len(why) <= _WHY else f"{why[: _WHY - 1]}…"
    known = [row[name] for name in ("job", "state", "queue", "task", "resource_id", "email")]
    return [*map(one_line, known), local_time(row["created"]), shown]
