"""How one job and the whole service stand: the one source for job page, command line, HTTP and mail."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from ckanpackager.archives.space import human_size as human_size  # noqa: PLC0414 - told to others from here
from ckanpackager.config.settings import Settings
from ckanpackager.jobs.job import Archive, Attempt, Job
from ckanpackager.jobs.request import QUEUES
from ckanpackager.jobs.words import format_in_words, selection_of
from ckanpackager.metadata.query import query_on_a_line
from ckanpackager.spool.queue import Spool
from ckanpackager.spool.worker_slots import Worker

DAY = 86400
LATEST = 253_402_300_799  # seconds since 1970, the end of the year 9999, which dates go up to
FOLDERS = (*QUEUES, "claimed", "failed", "done")

MESSAGES = {
    "waiting": "You need not do anything: the link will come by e-mail.",
    "running": "You need not do anything: the link will come by e-mail.",
    "delayed": "Something did not work yet and will be retried. The link will come by e-mail.",
    "done": "The link was also sent to you by e-mail.",
    "expired": "Archives are kept for a limited time. Please request the data again.",
    "failed": "It could not be packaged.",
    "cancelled": "Please ask the administrators of the site.",
    "unknown": "There is no such request, or it is so old that it is no longer known here.",
}
"""What a requester reads about each state; `delayed` is `waiting` after a failed attempt."""


_OUTCOMES = {
    "done": "worked",
    "retry": "failed for now",
    "unanswered": "was not answered",
    "failed": "failed",
    "died": "its worker died",
    "spool": "failed for now",
    "full": "waits for room",
}


class JobStatus(Struct, frozen=True, kw_only=True):
    """What a requester may know of a job, which is not whose job it is.

    What does not apply to its state is unset, and absent in JSON.  Times are seconds since 1970, sizes are bytes.
    """

    state: str
    message: str
    job: str | UnsetType = UNSET
    resource_id: str | UnsetType = UNSET
    host: str | UnsetType = UNSET
    requested: float | UnsetType = UNSET
    position: int | UnsetType = UNSET  # jobs ahead in its queue
    next_attempt: float | UnsetType = UNSET
    rows: int | UnsetType | None = UNSET
    expected: int | UnsetType | None = UNSET
    size: int | UnsetType = UNSET
    notes: list[str] | UnsetType = UNSET
    expires: float | UnsetType = UNSET
    download_url: str | UnsetType = UNSET
    title: str | UnsetType = UNSET
    format: str | UnsetType = UNSET
    query: str | UnsetType = UNSET
    sha256: str | UnsetType = UNSET


UNKNOWN = JobStatus(state="unknown", message=MESSAGES["unknown"])
EXPIRED = JobStatus(state="expired", message=MESSAGES["expired"])


class Event(Struct, frozen=True):
    """Something that happened to a job, with its time."""

    at: float
    words: str


class JobReport(JobStatus, frozen=True, kw_only=True):
    """What an administrator may also know of a job; `folder` is the one of the spool, `since` when its worker began."""

    task: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    folder: str | UnsetType = UNSET
    since: float | UnsetType = UNSET
    failure: str | UnsetType = UNSET
    history: list[Event] = []


class NamedStatus(Struct, frozen=True, kw_only=True):
    """How a named package stands; times are seconds since 1970, what is not known is unset."""

    name: str
    published: float | UnsetType = UNSET
    size: int | UnsetType = UNSET
    rows: int | UnsetType | None = UNSET
    download_url: str | UnsetType = UNSET
    looked_at: float | UnsetType = UNSET  # when its source was last looked at
    failed: str | UnsetType = UNSET  # why its last refresh failed


class ServiceStatus(Struct, frozen=True, kw_only=True):
    """Numbers of jobs by folder, the age of the oldest waiting job in seconds, recent failures, and the workers.

    Only `worker_count` and `queue_length` come from every receiver, the original's included.
    """

    worker_count: int
    queue_length: int
    processed_requests: int | UnsetType = UNSET
    queues: dict[str, int] = {}
    oldest_waiting: float | None = None
    failed_last_24_hours: int = 0
    workers: list[Worker] = []
    named_packages: list[NamedStatus] = []


def service_status(spool: Spool, now: float) -> ServiceStatus:
    """Look at the spool.  Raises TemporaryFailure."""
    arrivals = [arrival for queue in QUEUES if (arrival := spool.oldest(queue)) is not None]
    queues = {folder: spool.length(folder) for folder in FOLDERS}
    workers = spool.active_workers()
    return ServiceStatus(
        worker_count=len(workers),
        queue_length=sum(queues[folder] for folder in (*QUEUES, "claimed")),
        queues=queues,
        oldest_waiting=max(0.0, now - min(arrivals)) if arrivals else None,
        failed_last_24_hours=spool.changed_since("failed", now - DAY),
        workers=workers,
    )


def job_status(folder: str, job: Job, settings: Settings, spool: Spool, now: float) -> JobStatus:
    """How a job stands that was found in a folder of the spool.  Raises TemporaryFailure."""
    report = job_report(folder, job, settings, spool, now)
    return JobStatus(**{name: getattr(report, name) for name in JobStatus.__struct_fields__})


def job_report(folder: str, job: Job, settings: Settings, spool: Spool, now: float) -> JobReport:
    """The same, and what only administrators may know.  Raises TemporaryFailure."""
    state = _state(folder, job, settings, now)
    failure = (job.public_failure or job.failure) if state in ("failed", "cancelled") else None
    message = failure or MESSAGES[state]
    known: dict[str, Any] = {"message": message, "failure": job.failure or UNSET}
    if folder in QUEUES and job.attempts and (due := spool.not_before(job)) > now:
        known |= {"next_attempt": due}
        if state == "waiting":
            known |= {"message": MESSAGES["delayed"]}
    elif state == "waiting":
        known |= {"position": spool.jobs_ahead(job.id, job.queue)}
    if state == "running":
        for worker in spool.active_workers():
            if worker.job == job.id:
                known |= {"rows": worker.rows, "expected": worker.expected, "since": worker.since}
    if job.archive and state not in ("failed", "cancelled"):
        known |= {"rows": job.archive.rows, "size": job.archive.size, "notes": list(job.archive.notes)}
        known |= {"expires": expiry(job.archive, settings)}
        if state != "expired" and (url := archive_url(job.archive, settings, now)):
            known |= {"download_url": url}
    return JobReport(
        **known,
        state=state,
        job=job.id,
        resource_id=job.request.resource_id,
        host=job.request.host,
        title=(job.archive.description.title if job.archive else "") or UNSET,
        format=format_in_words(job.request) or UNSET,
        query=query_on_a_line(selection_of(job.request)) or UNSET,
        sha256=(job.archive.sha256 if job.archive else "") or UNSET,
        requested=job.created,
        task=job.request.task,
        email=job.request.email,
        folder=folder,
        history=list(_history(job)),
    )


def _state(folder: str, job: Job, settings: Settings, now: float) -> str:
    if job.cancelled:
        return "cancelled"
    failed = folder == "failed" or job.failure is not None
    if failed and job.link_mailed_at is None:  # who has the link need not know that counting the request failed
        return "failed"
    if job.archive and expiry(job.archive, settings) <= now:
        return "expired"
    if folder in QUEUES:
        return "waiting"
    return "running" if folder == "claimed" else "done"


def _history(job: Job) -> Iterator[Event]:
    yield from map(_attempt_event, job.attempts)
    if job.archive:
        rows = "" if job.archive.rows is None else f"{job.archive.rows:,} rows, "
        yield Event(job.archive.published, f"archive {job.archive.name} ({rows}{human_size(job.archive.size)})")
    for at, words in (
        (job.accepted_mailed_at, "requester told that it was accepted"),
        (job.link_mailed_at, "link mailed"),
        (job.request_counted_at, "counted as a request"),
        (job.failure_mailed_at, "requester told that it failed"),
        (job.error_counted_at, "counted as an error"),
        (job.finished_at, "finished"),
    ):
        if at is not None:
            yield Event(at, words)


def _attempt_event(attempt: Attempt) -> Event:
    words = _OUTCOMES.get(attempt.outcome or "", "began")
    if attempt.error:
        words = f"{attempt.step or 'spool'} {words}: {attempt.error}"
    return Event(attempt.started, f"{attempt.worker}: {words}")


def expiry(archive: Archive, settings: Settings) -> float:
    """When an archive may be removed, in seconds since 1970."""
    return min(archive.published + settings.archives.keep_archives * DAY, LATEST)


def archive_url(archive: Archive, settings: Settings, now: float) -> str:
    """The address of an archive; an empty text where it has none.

    Raises TemporaryFailure if a bucket's link cannot be signed.
    """
    if settings.mail.download_url or not settings.archives.store_url:
        return settings.mail.archive_url(archive.name)
    from ckanpackager.archives.store import open_store

    return open_store(settings).link(archive, expiry(archive, settings), now)


def named_url(archive: Archive, settings: Settings) -> str:
    """The stable address of a named package; the receiver redirects to a bucket that is not served."""
    if settings.archives.store_url and not settings.mail.download_url and settings.receiver.public_url:
        return f"{settings.receiver.public_url}/archives/{archive.name}"
    return settings.mail.archive_url(archive.name)


def human_time(moment: float) -> str:
    """A moment for readers anywhere."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"


def local_time(moment: float) -> str:
    """A moment for the administrator of this machine, in its time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def duration(seconds: float) -> str:
    """A time in words, to its largest unit."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number} {unit}{'s' if number > 1 else ''}"
    return f"{int(seconds)} s"
