"""The steps of a job: what each does, and which field of the job holds its result."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from ckanpackager.archives import layout, writer
from ckanpackager.archives.store import Store
from ckanpackager.config.settings import Settings
from ckanpackager.errors import PermanentFailure, TemporaryFailure
from ckanpackager.hosts import HostPolicy
from ckanpackager.http_client import Client
from ckanpackager.jobs.job import Archive, Job, Kind
from ckanpackager.mail import send
from ckanpackager.mail.compose import compose
from ckanpackager.mail.placeholders import mail_placeholders
from ckanpackager.packagers.context import PackagingContext, Result, packager
from ckanpackager.packagers.title import title_of
from ckanpackager.spool.alerts import Alerts
from ckanpackager.status import expiry
from ckanpackager.worker.signals import Stop

if TYPE_CHECKING:
    from ckanpackager.statistics import StatisticsDatabase

DoneField = Literal["archive", "link_mailed_at", "request_counted_at", "failure_mailed_at", "error_counted_at"]
Record = Callable[[], None]


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
    alerts: Alerts


@dataclass(frozen=True)
class Step:
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

    A named package is refreshed for nobody: no mail, and it is no request; that it failed is counted.  After a failure,
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
    if job.package:
        return _package_named(job, job.package, context)
    store, directory, key = context.store, str(job.archive_directory), job.build_key
    if own := store.get(directory):
        return own
    with context.stop.interruptible(), store.building(key):
        if cached := store.find(key, context.clock()):
            return cached
        with store.part(directory) as part:
            began = context.clock()
            result = _build(part, job, context)
            return store.publish(
                part,
                directory,
                layout.file_name(result.title, job.request.resource_id, began),
                rows=result.rows,
                notes=result.notes,
                complete=result.complete,
                now=context.clock(),
            )


def _package_named(job: Job, name: str, context: WorkerContext) -> Archive:
    """The new archive of a named package, in the place of the old one; its key stands in the configuration alone."""
    store = context.store
    with context.stop.interruptible(), store.building(job.build_key):
        own = store.named(name)
        if own and own.published >= job.created and own.fingerprint == job.fingerprint:
            return own
        known = context.settings.named.named_packages.get(name)
        if known is None:
            raise PermanentFailure(f"the named package {name} is no longer in the configuration")
        job = replace(job, request=replace(job.request, key=known.get("key")))
        with store.part(str(job.archive_directory)) as part:
            result = _build(part, job, context)
            return store.publish_named(
                part, name, rows=result.rows, notes=result.notes, fingerprint=job.fingerprint, now=context.clock()
            )


def _build(part: Path, job: Job, context: WorkerContext) -> Result:
    """Fetch what was asked for and write it into an archive."""
    settings = context.settings
    with _client(job, settings) as client:
        packaging = PackagingContext(
            client=client,
            ckan=settings.ckan,
            archives=settings.archives,
            darwin_core=settings.darwin_core,
            now=context.clock(),
            tell=lambda rows, expected: context.tell(job, rows, expected),
        )
        with writer.create(part, settings.archives, packaging.now) as writing:
            result = packager(job.request.task)(job.request, writing, packaging)
        return result if result.title else dataclasses.replace(result, title=title_of(job.request, client))


@contextlib.contextmanager
def _client(job: Job, settings: Settings) -> Iterator[Client]:
    client = Client(
        key=job.request.key,
        timeout=settings.ckan.request_timeout,
        min_download_rate=settings.ckan.min_download_rate,
        hosts=HostPolicy(
            site=job.request.api_url,
            ckan_hosts=settings.ckan.ckan_hosts,
            allowed_hosts=settings.ckan.allowed_hosts,
            allow_private_addresses=settings.ckan.allow_private_addresses,
        ),
    )
    with contextlib.closing(client):
        yield client


def _mail_link(job: Job, context: WorkerContext, accepted: Record) -> float:
    if not job.archive or expired(job.archive, context) or not context.store.get(job.archive.name):
        raise TemporaryFailure("the archive was removed before its link was mailed; it is built again")
    return _mail(job, context, accepted, failed=False)


def _mail_failure(job: Job, context: WorkerContext, accepted: Record) -> float:
    return _mail(job, context, accepted, failed=True)


def _mail(job: Job, context: WorkerContext, accepted: Record, *, failed: bool) -> float:
    now = context.clock()
    retried = f".{job.attempts_before_retry}" if failed and job.attempts_before_retry else ""  # another failure mail
    message = compose(
        context.settings.mail,
        job.request.email,
        mail_placeholders(job, context.settings),
        failed=failed,
        job=job.id + retried,
        now=datetime.fromtimestamp(now, UTC),
    )
    send.send(message, context.settings.mail, accepted, context.stop)
    return now


def _count_request(job: Job, context: WorkerContext, _: Record) -> float:
    request, now = job.request, context.clock()
    rows = job.archive.rows if job.archive else None
    context.statistics().record_request(
        job=job.id, resource_id=request.resource_id, email=request.email, count=rows, now=job.created
    )
    return now


def _count_error(job: Job, context: WorkerContext, _: Record) -> float:
    request, now = job.request, context.clock()
    context.statistics().record_error(
        job=job.id, resource_id=request.resource_id, email=request.email, message=str(job.failure), now=now
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
