"""status: how the service stands, or one job."""

import json
import time
from collections.abc import Iterator
from typing import Any

import click
import msgspec
from msgspec.structs import replace

from ckanpackager.cli import completed, remote
from ckanpackager.cli.context import CliContext
from ckanpackager.cli.output import Level, echo, echo_styled
from ckanpackager.cli.progress import line
from ckanpackager.cli.statistics import local_totals
from ckanpackager.errors import BadRequest
from ckanpackager.jobs.request import QUEUES
from ckanpackager.status import (
    JobReport,
    NamedStatus,
    ServiceStatus,
    duration,
    human_size,
    job_report,
    local_time,
    service_status,
)

_COLOURS: dict[str, Level] = {"done": "good", "running": "good", "failed": "bad", "cancelled": "warning"}


@click.command()
@click.argument("job", required=False, shell_complete=completed.job_of())
@click.option(
    "--format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to print it."
)
@remote.options
def status(context: CliContext, /, given: remote.Options, job: str | None, format: str) -> None:
    """Show queue lengths and workers, or what has become of one job.

    \b
    ckanpackager status
    ckanpackager status 20261124T025758123456-5d41402abc4b2a76b9719d911017c592
    """
    found: JobReport | ServiceStatus
    if job is not None:
        found = remote.job_report(given, job) if given.host else _local_report(context, job)
        lines = describe_job(found, time.time())
    else:
        found = remote.service_status(given) if given.host else _local_status(context, count_requests=format == "json")
        lines = describe_service(found, time.time())
    if context.quiet:
        return
    if format == "json":
        values = {"status": "success", "success": True, **msgspec.to_builtins(found)}
        echo(json.dumps(values, indent=2))
    else:
        for text, level in lines:
            echo_styled((text, level))


def _local_status(context: CliContext, *, count_requests: bool) -> ServiceStatus:
    from ckanpackager.maintenance.named_packages import statuses

    service = service_status(context.spool, time.time())
    service = replace(service, named_packages=list(statuses(context.settings, context.spool)))
    if count_requests:
        totals = local_totals(context)
        service = replace(service, processed_requests=totals.get("*", {}).get("requests", 0))
    return service


def _local_report(context: CliContext, id: str) -> JobReport:
    if (found := context.spool.find(id)) is None:
        raise BadRequest(f"{id}: there is no such job; finished ones are kept for keep_done days")
    return job_report(*found, context.settings, context.spool, time.time())


Line = tuple[str, Level | None]


def describe_service(service: ServiceStatus, now: float) -> Iterator[Line]:
    """How the service stands, line by line, each with its colour."""
    numbers = service.queues or {"queue_length": service.queue_length}
    yield _columns(numbers.items(), headers=["jobs", "number"]), None
    yield "", None
    if service.processed_requests is not msgspec.UNSET:
        yield f"{service.processed_requests:,} requests served", None
    if service.oldest_waiting is not None:
        yield f"the oldest waiting job arrived {duration(service.oldest_waiting)} ago", None
    failed = service.failed_last_24_hours
    yield f"{failed} failed in the last 24 hours", "bad" if failed else "good"
    workers = [
        (worker.slot, worker.worker, worker.job, line(worker.rows, worker.expected, now - worker.since))
        for worker in service.workers
    ]
    if workers:
        yield _columns(workers, headers=["slot", "worker", "job", "progress"]), None
    else:
        yield "no worker is active", "warning" if service.queue_length else None
    if service.named_packages:
        yield "", None
        rows = [(named.name, *_named_columns(named, now)) for named in service.named_packages]
        yield _columns(rows, headers=["named package", "age", "size", "looked at", "last refresh"]), None


def _named_columns(named: NamedStatus, now: float) -> tuple[str, str, str, str]:
    age = duration(now - named.published) if named.published else "not built yet"
    looked = f"{duration(now - named.looked_at)} ago" if named.looked_at else "never"
    return age, human_size(named.size) if named.size else "", looked, f"failed: {named.failed}" if named.failed else ""


def describe_job(job: JobReport, now: float) -> Iterator[Line]:
    """What has become of a job, line by line, in plain words, each with its colour."""
    yield str(job.job), None
    yield f"{job.task} of {job.resource_id} from {job.host}, for {job.email}", None
    yield f"{local_time(job.requested or 0)}  requested; {_state(job, now)}", _COLOURS.get(job.state)
    for event in job.history:
        yield f"{local_time(event.at)}  {event.words}", "faint"
    if job.download_url:
        yield f"{local_time(job.expires or 0)}  the archive expires: {job.download_url}", None
    for note in job.notes or ():
        yield note, "warning"
    if job.failure:
        yield f"failed: {job.failure}", "bad"


def _state(job: JobReport, now: float) -> str:
    later = f", not before {local_time(job.next_attempt)}" if job.next_attempt else ""
    if job.state == "waiting":
        return f"waiting in {job.folder}" + (later or f", {job.position} ahead")
    if job.state == "running":
        if not job.since:
            return "its worker died; the next one takes it over"
        return f"in progress: {line(job.rows or 0, job.expected or None, now - job.since)}"
    mail = "; the mail about it waits" if job.folder in QUEUES else ""
    return f"{job.state}{mail}{later}"


def _columns(rows: Any, **options: Any) -> str:
    from tabulate import tabulate  # takes as long to import as all of click

    return tabulate(rows, **options)
