"""What the dashboard tells of the service: looked up within bounds, however many jobs there are."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple, TypeVar

from ckanpackager.archives.space import StoreSpace, measure_store
from ckanpackager.config.settings import Settings
from ckanpackager.errors import BadRequest, CkanpackagerError, one_line
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.request import QUEUES
from ckanpackager.maintenance.named_packages import statuses
from ckanpackager.receiver.dashboard_charts import StatisticsFacts, read_statistics
from ckanpackager.spool.queue import Spool
from ckanpackager.spool.recent import Failure, recent_failures
from ckanpackager.spool.worker_slots import Worker
from ckanpackager.status import DAY, NamedStatus, ServiceStatus, service_status

MOST = 5  # jobs of each queue that are shown
MOST_FAILURES = 10
LATE = 600  # seconds that a job may be due before the dashboard says that no worker takes it
_Found = TypeVar("_Found")


class WaitingJob(NamedTuple):
    """A job, and the time before which it is not tried, in seconds since 1970."""

    job: Job
    not_before: float


class Facts(NamedTuple):
    """How the service stands at a time; `unknown` says in words what could not be looked up."""

    now: float
    service: ServiceStatus
    workers: list[tuple[Worker, Job | None]]
    waiting: list[WaitingJob]
    failures: list[Failure]
    alerts: list[str]
    store: StoreSpace | None
    named: list[NamedStatus]
    statistics: StatisticsFacts | None
    unknown: list[str]


def gather(settings: Settings, spool: Spool, now: float) -> Facts:
    """Look at the spool and the store.  Raises TemporaryFailure if the spool cannot be read."""
    unknown: list[str] = []
    service = service_status(spool, now)
    waiting = [WaitingJob(job, spool.not_before(job)) for queue in QUEUES for job in islice(spool.jobs(queue), MOST)]
    return Facts(
        now=now,
        service=service,
        workers=[(worker, _job(spool, worker.job)) for worker in service.workers],
        waiting=waiting,
        failures=recent_failures(spool, now - DAY, MOST_FAILURES),
        alerts=list(_alerts(spool, service, waiting, now)),
        store=None if settings.archives.store_url else known(lambda: measure_store(settings), "store", unknown),
        named=known(lambda: list(statuses(settings, spool)), "named packages", unknown) or [],
        statistics=known(lambda: read_statistics(settings.statistics, now), "statistics", unknown),
        unknown=unknown,
    )


def known(look: Callable[[], _Found], what: str, unknown: list[str]) -> _Found | None:
    """What a look-up finds; if it fails, None, and a line is added to `unknown`."""
    try:
        return look()
    except CkanpackagerError as error:
        unknown.append(f"{what}: {one_line(error, 300)}")
        return None


def _job(spool: Spool, id: str) -> Job | None:
    try:
        found = spool.find(id)
    except BadRequest:
        return None
    return found[1] if found else None


def _alerts(spool: Spool, service: ServiceStatus, waiting: list[WaitingJob], now: float) -> Iterator[str]:
    for kind in spool.current_alerts(now):
        yield _WORDS.get(kind, f"{kind} fails.")
    if not service.workers and any(0 < job.not_before < now - LATE for job in waiting):
        yield "Jobs wait, and no worker is active: see whether cron or systemd starts `ckanpackager process`."


_WORDS = {
    "packaging": "Packaging has failed for more than an hour; the jobs concerned are retried.",
    "mail": "Mail has failed for more than an hour; the jobs concerned are retried.",
    "room": "There is no room for archives, and jobs wait for it: see min_free_space and store_max_size.",
    "statistics": "The statistics have failed for more than an hour; the jobs concerned are retried.",
}
