"""The steps of a job: what each does, and which field of the job holds its result."""

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from ckanpackager.archives.store import Store
from ckanpackager.config.settings import Settings
from ckanpackager.errors import PermanentFailure, TemporaryFailure
from ckanpackager.jobs.job import Archive, Job, Kind
from ckanpackager.jobs.words import format_name
from ckanpackager.mail import compose as mails
from ckanpackager.mail import send
from ckanpackager.mail.placeholders import mail_placeholders
from ckanpackager.packagers.build import Order, existing
from ckanpackager.spool.alerts import Alerts
from ckanpackager.spool.queue import Spool
from ckanpackager.status import expiry
from ckanpackager.worker import room
from ckanpackager.worker.engine import Engine
from ckanpackager.worker.signals import Stop

if TYPE_CHECKING:
    from ckanpackager.statistics.recorder import Recorder

DoneField = Literal["archive", "link_mailed_at", "request_counted_at", "failure_mailed_at", "error_counted_at"]
Record = Callable[[], None]


class WorkerContext(Struct, frozen=True):
    """What a worker works with; `tell(job, rows, expected)` reports its progress, `clock` gives seconds since 1970."""

    name: str
    settings: Settings
    spool: Spool
    store: Store
    engine: Engine
    statistics: "Callable[[], Recorder]"
    clock: Callable[[], float]
    tell: Callable[[Job, int, int | None], None]
    stop: Stop
    alerts: Alerts


class Step(Struct, frozen=True):
    """One step of a job; it is done when the job's `done_field` has a value, which is what `run` returns.

    A step that must happen `exactly_once` calls the function that `run` gets, the moment that it has happened.
    """

    name: str
    kind: Kind
    done_field: DoneField
    run: Callable[[Job, WorkerContext, Record], Archive | float]
    exactly_once: bool = False


def applies(step: Step, job: Job) -> bool:
    """Whether a step applies to the job.

    A named package has no requester: no mail, and it is no request; that it failed is counted.  After a failure,
    a requester whose archive exists, or who may have a link, gets no failure mail, unless an administrator cancelled
    the request; and that is no error.
    """
    if step in DELIVERY_STEPS:
        return step.done_field == "archive" or not job.package
    if step.done_field == "error_counted_at":
        return not job.cancelled
    if job.package:
        return False
    return not job.link_may_be_mailed and (job.cancelled or job.archive is None)


def expired(archive: Archive, context: WorkerContext) -> bool:
    """Whether `clean` may remove an archive."""
    return expiry(archive, context.settings) <= context.clock()


def _package(job: Job, context: WorkerContext, _: Record) -> Archive:
    """The archive for a job: its own from an earlier attempt, one from the cache, or a new one."""
    if job.needs_key:  # retried for its mail, but its archive has been removed meanwhile
        raise PermanentFailure(
            "its API key was removed when it had failed, and its archive is gone; retry it with --key KEY",
            public="the archive that was made for you is gone; please request the data again",
            kind="storage",
        )
    order, store, stop = _order(job, context), context.store, context.stop
    if own := existing(order, store):
        return own
    with stop.interruptible(), context.spool.building(job.build_key, stop.pause):
        found = existing(order, store) if job.package else store.find(job.build_key, context.clock())
        if found:
            return found
        build = functools.partial(context.engine.package, order, job.queue, functools.partial(context.tell, job))
        return room.with_room(build, context.settings, context.spool, context.store, context.alerts, context.clock)


def _order(job: Job, context: WorkerContext) -> Order:
    """What is to be built.  The key of a named package stands in the configuration alone."""
    request, directory = job.request, str(job.archive_directory)
    if job.package is None:
        return Order(request, directory)
    known = context.settings.named.named_packages.get(job.package)
    if known is None:
        raise PermanentFailure(f"the named package {job.package} is no longer in the configuration")
    return Order(replace(request, key=known.get("key")), directory, job.package, job.created, job.fingerprint)


def _mail_link(job: Job, context: WorkerContext, accepted: Record) -> float:
    if not job.archive or expired(job.archive, context) or not context.store.get(job.archive.name.partition("/")[0]):
        raise TemporaryFailure("the archive was removed before its link was mailed; it is built again")
    return _mail(job, context, accepted, "link")


def _mail_failure(job: Job, context: WorkerContext, accepted: Record) -> float:
    return _mail(job, context, accepted, "failure")


def _mail(job: Job, context: WorkerContext, accepted: Record, kind: mails.Kind) -> float:
    now = context.clock()
    retried = (
        f".{job.attempts_before_retry}" if kind == "failure" and job.attempts_before_retry else ""
    )  # another failure mail
    message = mails.compose(
        context.settings.mail,
        job.request.email,
        mail_placeholders(job, context.settings, now),
        kind=kind,
        job=job.id + retried,
        now=datetime.fromtimestamp(now, UTC),
    )
    send.send(message, context.settings.mail, accepted, context.stop)
    return now


def _count_request(job: Job, context: WorkerContext, _: Record) -> float:
    request, now = job.request, context.clock()
    archive = job.archive
    context.statistics().record_request(
        job=job.id,
        resource_id=request.resource_id,
        email=request.email,
        count=archive.rows if archive else None,
        now=job.created,
        size=archive.size if archive else None,
        format=format_name(request),
        task=request.task,
    )
    return now


def _count_error(job: Job, context: WorkerContext, _: Record) -> float:
    request, now = job.request, context.clock()
    context.statistics().record_error(
        job=job.id,
        resource_id=request.resource_id,
        email=request.email,
        message=str(job.failure),
        now=now,
        kind=job.failure_kind,
    )
    return now


DELIVERY_STEPS = [
    Step("packaging", "packaging", "archive", _package),
    Step("mail", "mail", "link_mailed_at", _mail_link, exactly_once=True),
    Step("statistics", "statistics", "request_counted_at", _count_request),
]
FAILURE_STEPS = [
    Step("failure mail", "mail", "failure_mailed_at", _mail_failure, exactly_once=True),
    Step("error statistics", "statistics", "error_counted_at", _count_error),
]
