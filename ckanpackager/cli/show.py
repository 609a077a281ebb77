"""status and stats: what an administrator wants to know."""

import csv
import json
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import click

from ckanpackager.cli import remote
from ckanpackager.cli.context import CliContext
from ckanpackager.cli.progress import line
from ckanpackager.errors import BadRequest
from ckanpackager.jobs.job import Attempt, Job
from ckanpackager.jobs.request import QUEUES
from ckanpackager.spool.queue import Spool
from ckanpackager.status import duration, overview


@click.command()
@click.argument("job", required=False)
@remote.options
def status(context: CliContext, /, given: remote.Options, job: str | None) -> None:
    """Show queue lengths and workers, or the story of one job.

    \b
    ckanpackager status
    ckanpackager status 20261124T025758123456-5d41402abc4b2a76b9719d911017c592
    """
    if given.host:
        asked, wanted = ({"job": job}, "state") if job else ({}, "worker_count")
        answer = remote.call(given, "/status", asked, wanted)
        if not context.quiet:
            click.echo(_columns(list(_lines(answer)), disable_numparse=True))
        return
    if job is not None:
        if (found := context.spool.find(job)) is None:
            raise BadRequest(f"{job}: there is no such job; finished ones are kept for keep_done days")
        click.echo("\n".join(story(context.spool, *found)))
        return
    now = time.time()
    view = overview(context.spool, now)
    click.echo(_columns(view.jobs.items(), headers=["jobs", "number"]))
    click.echo()
    if view.oldest is not None:
        click.echo(f"the oldest waiting job came {duration(view.oldest)} ago")
    click.echo(f"{view.failed_lately} given up in the last 24 hours")
    workers = [
        (worker.slot, worker.worker, worker.job, line(worker.rows, worker.expected, now - worker.since))
        for worker in view.workers
    ]
    click.echo(_columns(workers, headers=["slot", "worker", "job", "progress"]) if workers else "no worker is at work")


@click.command()
@click.argument("table", type=click.Choice(["totals", "requests", "errors"]), default="totals")
@click.option("-r", "resource_id", help="Only this resource.")
@click.option("-e", "email", help="Only this e-mail address (requests and errors).")
@click.option("-o", "offset", type=click.IntRange(min=0), default=0, help="Leave out the newest ones.")
@click.option("-l", "limit", type=click.IntRange(min=1), default=100, show_default=True, help="Most rows.")
@click.option(
    "--format", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True, help="How to print it."
)
@click.option("-x", "fail", is_flag=True, help="Exit with 1 if there are errors.")
@remote.options
def stats(
    context: CliContext,
    /,
    given: remote.Options,
    table: str,
    resource_id: str | None,
    email: str | None,
    offset: int,
    limit: int,
    format: str,
    fail: bool,
) -> None:
    """Show what was served: totals by resource, requests, or errors, the newest first.

    \b
    ckanpackager stats requests -l 20 --format csv
    """
    asked = {"resource_id": resource_id, "email": email, "offset": offset, "limit": limit}
    source = _remote_statistics(given) if given.host else _local_statistics(context)
    answer = source(table, asked)
    if not context.quiet:
        _print_table(table, answer, format)
    totals = answer if table == "totals" else source("totals", asked) if fail else {}
    sys.exit(1 if fail and any(counts["errors"] for counts in totals.values()) else 0)


def _lines(answer: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a receiver tells of its state, or of a job, to be read line by line."""
    for name, value in answer.items():
        if isinstance(value, dict):
            yield from value.items()
        elif name in ("requested", "expires", "next_attempt"):
            yield name, _at(value)
        elif name not in ("status", "success", "msg") and value not in (None, []):
            shown = round(value) if isinstance(value, float) else value
            yield name, "; ".join(shown) if isinstance(shown, list) else shown


def _local_statistics(context: CliContext) -> Callable[[str, dict[str, Any]], Any]:
    def ask(table: str, asked: dict[str, Any]) -> Any:
        from ckanpackager.statistics import open_statistics

        with open_statistics(context.settings.statistics) as statistics:
            if table == "totals":
                return statistics.totals(asked["resource_id"])
            return (statistics.requests if table == "requests" else statistics.errors)(**asked)

    return ask


def _remote_statistics(given: remote.Options) -> Callable[[str, dict[str, Any]], Any]:
    def ask(table: str, asked: dict[str, Any]) -> Any:
        path = "/statistics" if table == "totals" else f"/statistics/{table}"
        parameters = {name: value for name, value in asked.items() if value is not None}
        return remote.call(given, path, parameters, table)[table]

    return ask


def story(spool: Spool, folder: str, job: Job) -> list[str]:
    """What has become of a job, in plain words."""
    lines = [
        f"{job.id}",
        f"{job.request.task} of {job.request.resource_id} from {job.request.host}, for {job.request.email}",
        f"{_at(job.created)}  requested; {_state(spool, folder, job)}",
    ]
    lines += [_attempt(attempt) for attempt in job.attempts]
    if job.archive:
        rows = "" if job.archive.rows is None else f"{job.archive.rows:,} rows, "
        lines.append(f"{_at(job.archive.published)}  archive {job.archive.name} ({rows}{job.archive.size:,} bytes)")
    for when, what in (
        (job.link_mailed_at, "link mailed"),
        (job.request_counted_at, "counted as a request"),
        (job.failure_mailed_at, "requester told that it failed"),
        (job.error_counted_at, "counted as an error"),
        (job.finished_at, "finished_at"),
    ):
        if when is not None:
            lines.append(f"{_at(when)}  {what}")
    return [*lines, f"given up: {job.failure}"] if job.failure else lines


def _state(spool: Spool, folder: str, job: Job) -> str:
    if folder in QUEUES:
        due = spool.not_before(job)
        later = f", not before {_at(due)}" if due > time.time() else ""
        return f"waiting in {folder}, {spool.jobs_ahead(job.id, job.queue)} ahead{later}"
    for worker in spool.active_workers():
        if worker.job == job.id:
            return f"being worked on: {line(worker.rows, worker.expected, time.time() - worker.since)}"
    return {"claimed": "its worker died; the next one takes it over"}.get(folder, folder)


def _attempt(attempt: Attempt) -> str:
    if attempt.error:
        kind = "failed" if attempt.outcome == "failed" else "failed for now"
        return f"{_at(attempt.started)}  {attempt.worker}: {attempt.step or attempt.outcome} {kind}: {attempt.error}"
    return f"{_at(attempt.started)}  {attempt.worker}: {'worked' if attempt.ended else 'began'}"


def _print_table(table: str, answer: Any, format: str) -> None:
    rows = [{"resource_id": id, **counts} for id, counts in answer.items()] if table == "totals" else answer
    if format == "json":
        click.echo(json.dumps({"status": "success", "success": True, table: answer}, indent=2))
    elif format == "csv" and rows:
        writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    elif format == "table":
        shown = [{**row, "timestamp": _at(row["timestamp"])} if "timestamp" in row else row for row in rows]
        click.echo(_columns(shown, headers="keys", disable_numparse=True) if shown else f"no {table}")


def _columns(rows: Any, **options: Any) -> str:
    from tabulate import tabulate  # takes as long to import as all of click

    return tabulate(rows, **options)


def _at(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment):%Y-%m-%d %H:%M:%S}"
