"""The corridor: a claimed job's walk from request to mailed link, and the loop that claims one after the other.

Only this module knows the order of the rooms.  What a step has done is written into the job before the next begins,
so that whoever takes the job over repeats nothing.
"""

import contextlib
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from msgspec.structs import replace

from ckanpackager.archives import writer
from ckanpackager.archives.store import Store
from ckanpackager.config.settings import Settings
from ckanpackager.errors import CkanpackagerError, TemporaryFailure
from ckanpackager.http_client import Client
from ckanpackager.jobs.job import Archive, Attempt, Job
from ckanpackager.jobs.request import cache_key
from ckanpackager.mail import send
from ckanpackager.packagers.context import PackagingContext, packager
from ckanpackager.spool.claim import Claim
from ckanpackager.worker.signals import Stop, Stopped

if TYPE_CHECKING:
    from ckanpackager.statistics import StatisticsDatabase

log = logging.getLogger("ckanpackager")
NOTES_MAILED = 20  # at most: all of them are in the archive's datapackage.json, and on the job's page
LONGEST_ASKED = 86400  # seconds: a site that asks to be left alone for longer is asked again nevertheless


@dataclass(frozen=True)
class WorkerContext:
    """What a worker works with; `tell(job, rows, expected)` reports its progress, `clock` gives seconds since 1970."""

    name: str
    settings: Settings
    store: Store
    statistics: "Callable[[], StatisticsDatabase]"
    clock: Callable[[], float]
    tell: Callable[[Job, int, int | None], None]
    stop: Stop


@dataclass(frozen=True)
class Step:
    """A step of the walk; it is behind a job whose `done_field` has a value, which is what `run` returns.

    What must not be done `once` more calls the function that it gets, the moment that it is done.
    """

    name: str
    done_field: str
    run: Callable[..., Any]
    exactly_once: bool = False


def run_job(claim: Claim, context: WorkerContext) -> bool:
    """Walk a claimed job as far as it goes; whether it was served or waits for another attempt.

    Raises TemporaryFailure only if the spool itself fails, Stopped if the worker was told to stop.
    """
    before = claim.job
    try:
        claim.save(**start_attempt(claim, context))
        if claim.job.failure is None:
            run_steps(claim, context, DELIVERY_STEPS)
        if claim.job.failure is not None:
            run_steps(claim, context, [step for step in FAILURE_STEPS if applies(step, claim.job)])
        return _end(claim, context)
    except Stopped:
        claim.release(context.clock(), attempts=before.attempts)
        log.info("job %s: handed back, since this worker was told to stop", before.id)
        raise
    except _Postponed:
        return True
    except TemporaryFailure:  # of the spool; a rename needs no room on a full disk, and is no worker's death
        with contextlib.suppress(TemporaryFailure):
            claim.move(before.queue)
        raise


def start_attempt(claim: Claim, context: WorkerContext) -> dict[str, Any]:
    """The job at the start of an attempt; one that keeps killing its workers is given up."""
    job, changes = claim.job, _archive_lost(claim.job, context)
    if job.attempts and job.attempts[-1].step is None and not claim.taken_over:
        last = replace(job.attempts[-1], step="spool", error="the spool could not be written", temporary=True)
        job = replace(job, attempts=(*job.attempts[:-1], last))
    if not job.archive_name or "archive_name" in changes:
        changes["archive_name"] = context.store.new_name(cache_key(job.request))
    if job.failure is None and job.failed_attempts(None) >= context.settings.spool.max_attempts:
        changes["failure"] = f"its worker died {job.failed_attempts(None)} times while it was at it"
    changes["attempts"] = (*job.attempts, Attempt(started=context.clock(), worker=context.name))
    return changes


def _archive_lost(job: Job, context: WorkerContext) -> dict[str, Any]:
    """What changes in a job whose archive was removed before its link was mailed: it is built again."""
    if not job.archive or job.link_mailed_at:
        return {}
    try:
        return {} if context.store.get(job.archive.name) else {"archive": None, "archive_name": None}
    except TemporaryFailure:
        return {"archive": None}  # the packaging looks again, and waits for the store


def run_steps(claim: Claim, context: WorkerContext, steps: list[Step]) -> None:
    """Do the steps that are not behind the job yet.  A failure ends the walk, unless it is the one of giving up."""
    for step in steps:
        if getattr(claim.job, step.done_field) is not None:
            continue
        try:
            if step.exactly_once:
                with claim.staged_save(**{step.done_field: context.clock()}) as note:
                    step.run(claim.job, context, note)
            else:
                claim.save(**{step.done_field: step.run(claim.job, context)})
        except Exception as error:
            giving_up = claim.job.failure is not None
            handle_failure(claim, context, step, error)
            if giving_up:
                continue
            return
        log.info("job %s: %s done", claim.job.id, step.name)


def handle_failure(claim: Claim, context: WorkerContext, step: Step, error: Exception) -> None:
    """Let the job wait for another attempt, or give it up."""
    message = _message(error, claim.job, context)
    job, now, temporary = claim.job, context.clock(), isinstance(error, TemporaryFailure)
    last = job.attempts[-1]
    earlier = job.attempts if last.ended else job.attempts[:-1]  # one attempt may fail at packaging, then at mailing
    last = Attempt(
        started=last.ended or last.started,
        worker=context.name,
        ended=now,
        step=step.name,
        error=message,
        temporary=temporary,
    )
    job = replace(job, attempts=(*earlier, last))
    tried = job.failed_attempts(step.name)
    if temporary and tried < context.settings.spool.max_attempts:
        delay = _delay(tried, context.settings, getattr(error, "retry_after", None))
        log.info("job %s: %s failed, next attempt in %.0f s: %s", job.id, step.name, delay, message)
        claim.release(now + delay, attempts=job.attempts)
        raise _Postponed
    log.error("job %s: given up: %s: %s", job.id, step.name, message)
    claim.save(attempts=job.attempts, failure=job.failure or message)


def _message(error: Exception, job: Job, context: WorkerContext) -> str:
    if isinstance(error, CkanpackagerError):
        return _one_line(str(error))
    # A fault of ours; one job must not take the worker with it.
    log.error("job %s: internal error", job.id, exc_info=context.settings.receiver.debug)
    return _one_line(f"internal error: {type(error).__name__}: {error}")


def _one_line(text: str) -> str:
    """Fit for a job's file: nobody could write one with text that is no Unicode (the name of a file, say)."""
    return " ".join(text.encode("utf-8", "backslashreplace").decode().split())


def _delay(tried: int, settings: Settings, asked: float | None) -> float:
    """Seconds until the next attempt: doubled each time, with a tenth of chance so that not all come back at once."""
    delay = min(settings.spool.retry_delay * 2.0 ** min(tried - 1, 60), settings.spool.retry_delay_max)
    return max(delay * random.uniform(1, 1.1), min(asked or 0, LONGEST_ASKED))  # noqa: S311 - no secret


def _end(claim: Claim, context: WorkerContext) -> bool:
    job, now = claim.job, context.clock()
    last = job.attempts[-1] if job.attempts[-1].ended else replace(job.attempts[-1], ended=now, step="end")
    changes = {"finished_at": now, "attempts": (*job.attempts[:-1], last)}
    if job.failure is None or job.cancelled:
        claim.finish(**changes)
        return True
    claim.fail(**changes)
    return False


def _package(job: Job, context: WorkerContext) -> Archive:
    """The archive for a job: this job's own from an earlier attempt, one from the cache, or a new one."""
    store, settings, name = context.store, context.settings, str(job.archive_name)
    if mine := store.get(name):
        return mine
    key = cache_key(job.request)
    with context.stop.interruptible(), store.building(key):
        if cached := store.find(key, context.clock()):
            return cached
        with store.part(name) as part, _client(job, settings) as client:
            packaging = PackagingContext(
                client=client,
                ckan=settings.ckan,
                archives=settings.archives,
                darwin_core=settings.darwin_core,
                now=context.clock(),
                tell=lambda rows, expected: context.tell(job, rows, expected),
            )
            with writer.create(part, settings.archives, context.clock()) as writing:
                result = packager(job.request.task)(job.request, writing, packaging)
            return store.publish(
                part, name, rows=result.rows, notes=result.notes, complete=result.complete, now=context.clock()
            )


@contextlib.contextmanager
def _client(job: Job, settings: Settings) -> Iterator[Client]:
    client = Client(
        key=job.request.key,
        site=job.request.url,
        timeout=settings.ckan.request_timeout,
        allowed_hosts=settings.ckan.allowed_hosts,
    )
    with contextlib.closing(client):
        yield client


def _mail_link(job: Job, context: WorkerContext, note: Callable[[], None]) -> None:
    _mail(job, context, note, failed=False)


def _mail_failure(job: Job, context: WorkerContext, note: Callable[[], None]) -> None:
    _mail(job, context, note, failed=True)


def _mail(job: Job, context: WorkerContext, note: Callable[[], None], *, failed: bool) -> None:
    message = send.compose(
        context.settings.mail,
        job.request.email,
        mail_placeholders(job, context.settings),
        failed=failed,
        job=job.id,
        now=datetime.fromtimestamp(context.clock(), UTC),
    )
    send.send(message, context.settings.mail, note)


def _count_request(job: Job, context: WorkerContext) -> float:
    request, now = job.request, context.clock()
    rows = job.archive.rows if job.archive else None
    context.statistics().record_request(
        job=job.id, resource_id=request.resource_id, email=request.email, count=rows, now=job.created
    )
    return now


def _count_error(job: Job, context: WorkerContext) -> float:
    request, now = job.request, context.clock()
    context.statistics().record_error(
        job=job.id, resource_id=request.resource_id, email=request.email, message=str(job.failure), now=now
    )
    return now


DELIVERY_STEPS = [
    Step("packaging", "archive", _package),
    Step("mail", "link_mailed_at", _mail_link, exactly_once=True),
    Step("statistics", "request_counted_at", _count_request),
]
FAILURE_STEPS = [
    Step("failure mail", "failure_mailed_at", _mail_failure, exactly_once=True),
    Step("error statistics", "error_counted_at", _count_error),
]


def applies(step: Step, job: Job) -> bool:
    """Who has the link is not told of a failure behind it; what an administrator cancelled is no error."""
    return not job.cancelled if step.done_field == "error_counted_at" else job.link_mailed_at is None


def mail_placeholders(job: Job, settings: Settings) -> dict[str, str]:
    """What the placeholders of the mail templates stand for."""
    values = {
        "resource_id": job.request.resource_id,
        "ckan_host": job.request.host,
        "doi": getattr(job.request, "doi", None) or "",
        "job": job.id,
        "error": job.failure or "",
    }
    if settings.receiver.public_url:
        values["status_url"] = f"{settings.receiver.public_url.rstrip('/')}/jobs/{job.id}"
    if job.archive:
        values["zip_file_name"] = job.archive.name
        values["download_url"] = f"{(settings.mail.download_url or '').rstrip('/')}/{quote(job.archive.name)}"
        values["rows"] = "" if job.archive.rows is None else f"{job.archive.rows:,}"
        values["size"] = human_size(job.archive.size)
        expires = datetime.fromtimestamp(job.archive.published + settings.archives.keep_archives * 86400, UTC)
        values["expires"] = f"{expires:%Y-%m-%d %H:%M} UTC"
        values["notes"] = _summary(job.archive.notes)
    return values


def _summary(notes: tuple[str, ...]) -> str:
    """The notes on an archive in one line, as placeholders have it; a mail is no context for hundreds."""
    more = len(notes) - NOTES_MAILED
    return "; ".join([*notes[:NOTES_MAILED], *([f"and {more:,} more"] if more > 0 else [])])


def human_size(size: float) -> str:
    """A number of bytes in decimal units, as download pages write it."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}" if unit != "bytes" else f"{size} bytes"
        size /= 1000
    return f"{size:.3g} TB"


class _Postponed(Exception):
    """The job waits for its next attempt; the walk is over for now."""
