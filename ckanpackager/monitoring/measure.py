"""What Prometheus is told: each part of the service, measured on its own, so that one that fails hides no other.

Nothing here costs more where more requests were served: totals come from the statistics, which keep them, and job
files are counted; of the failed ones a thousand are read.
"""

import platform
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from msgspec import UNSET

from ckanpackager import __version__
from ckanpackager.archives.space import measure_store
from ckanpackager.config.settings import Settings
from ckanpackager.errors import FAILURE_KINDS, CkanpackagerError, TemporaryFailure
from ckanpackager.jobs.request import QUEUES, TASKS
from ckanpackager.spool.queue import Spool
from ckanpackager.status import DAY

_STATES = {"claimed": "running", "failed": "failed", "done": "done"}  # by folder of the spool
_READ = 1000  # files of failed jobs
Labelled = tuple[tuple[str, ...], float]


class Metric(NamedTuple):
    """Values of one kind, each with its labels; a name without the program's, whose end tells the unit."""

    name: str
    help: str
    values: Sequence[Labelled]
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"


class Measurement(NamedTuple):
    """The metrics of all parts that could be measured, and what went wrong, by part."""

    metrics: list[Metric]
    errors: dict[str, str]


def measure(settings: Settings, spool: Spool, now: float, *, with_bucket: bool = False) -> Measurement:
    """Measure every part.

    Args:
        with_bucket: also measure a store in a bucket, whose listing costs money and time.
    """
    metrics, errors = [_build()], {}
    parts = {part: work for part, work in _PARTS.items() if with_bucket or not _is_bucket(part, settings)}
    for part, measure_part in parts.items():
        try:
            metrics += list(measure_part(settings, spool, now))
        except CkanpackagerError as error:
            errors[part] = str(error)
    failed = [((part,), float(part in errors)) for part in parts]
    metrics.append(Metric("scrape_errors", "1 for a part that could not be measured.", failed, ("part",)))
    return Measurement(metrics, errors)


def _is_bucket(part: str, settings: Settings) -> bool:
    return part == "store" and settings.archives.store_url is not None


def _build() -> Metric:
    labels = (__version__, platform.python_version())
    return Metric("build_info", "The version of ckanpackager, and of Python.", [(labels, 1)], ("version", "python"))


def _jobs(settings: Settings, spool: Spool, now: float) -> Iterator[Metric]:
    queues = {queue: spool.waiting(queue, now) for queue in QUEUES}
    jobs: list[Labelled] = [(("waiting", queue), waiting.length) for queue, waiting in queues.items()]
    jobs += [((state, ""), spool.length(folder)) for folder, state in _STATES.items()]
    yield Metric("jobs", "Job files in the spool, by state and queue.", jobs, ("state", "queue"))
    oldest = [((queue,), _age(waiting.oldest, now)) for queue, waiting in queues.items()]
    overdue = [((queue,), _age(waiting.overdue_since, now)) for queue, waiting in queues.items()]
    words = "Time since the oldest waiting job arrived; it may wait for another attempt. 0: none waits."
    yield Metric("oldest_job_age_seconds", words, oldest, ("queue",))
    words = "For how long a job has been waiting for a worker that could run it. 0: none waits."
    yield Metric("overdue_seconds", words, overdue, ("queue",))
    alarms = spool.alarms_since(now - DAY, _READ)
    mistaken = max(0, spool.changed_since("failed", now - DAY) - alarms)
    causes = [(("request",), float(mistaken)), (("service",), float(alarms))]
    words = "Jobs that failed within the last 24 hours, by what was at fault: the request itself, or anything else."
    yield Metric("jobs_failed_last_day", words, causes, ("cause",))


def _age(moment: float | None, now: float) -> float:
    return 0.0 if moment is None else max(0.0, now - moment)


def _workers(settings: Settings, spool: Spool, now: float) -> Iterator[Metric]:
    busy = [worker.slot.partition("-")[0] for worker in spool.active_workers()]
    values = [((queue,), float(busy.count(queue))) for queue in QUEUES]
    yield Metric("workers_busy", "Workers that are working on a job.", values, ("queue",))
    slots = [((queue,), float(getattr(settings.spool.workers, queue))) for queue in QUEUES]
    yield Metric("worker_slots", "Workers that may work at once: `workers`.", slots, ("queue",))


def _runs(settings: Settings, spool: Spool, now: float) -> Iterator[Metric]:
    runs: list[Labelled] = [((command,), when) for command, when in spool.last_runs().items()]
    words = "When a command last did its work, as far as it is known."
    yield Metric("last_run_timestamp_seconds", words, runs, ("command",))


def _alerts(settings: Settings, spool: Spool, now: float) -> Iterator[Metric]:
    alerts: list[Labelled] = [((kind,), 1) for kind in spool.current_alerts(now)]
    yield Metric("alert", "1 for what administrators were told of, and that goes on.", alerts, ("kind",))


def _disks(settings: Settings, spool: Spool, now: float) -> Iterator[Metric]:
    directories = {"spool": str(spool.directory), "temp": settings.archives.temp_directory or tempfile.gettempdir()}
    if not settings.archives.store_url:
        directories["store"] = settings.archives.store_directory
    free: list[Labelled] = []
    size: list[Labelled] = []
    for name, directory in directories.items():
        try:
            usage = shutil.disk_usage(_existing(Path(directory)))
        except OSError as error:
            raise TemporaryFailure(f"{directory}: {error.strerror}") from error
        free.append(((name,), usage.free))
        size.append(((name,), usage.total))
    yield Metric("disk_free_bytes", "Free space of the file system of a directory.", free, ("directory",))
    yield Metric("disk_size_bytes", "Size of the file system of a directory.", size, ("directory",))


def _existing(directory: Path) -> Path:
    """The directory, or the nearest one above it: those that are missing are made when they are needed."""
    return next((path for path in (directory, *directory.parents) if path.exists()), directory)


def _store(settings: Settings, spool: Spool, now: float) -> Iterator[Metric]:
    space = measure_store(settings)
    yield Metric("store_used_bytes", "Size of everything in the store.", [((), space.used)])
    yield Metric("store_archives", "Archives in the store, named packages included.", [((), space.archives)])
    expiry: list[Labelled] = [] if space.next_expiry is None else [((), space.next_expiry)]
    words = "When the first archive expires. Absent: none does."
    yield Metric("store_next_expiry_timestamp_seconds", words, expiry)


def _statistics(settings: Settings, spool: Spool, now: float) -> Iterator[Metric]:
    from ckanpackager.statistics import open_statistics
    from ckanpackager.statistics.figures import Figures

    with open_statistics(settings.statistics, to_read=True) as statistics:
        emails = statistics.overall()["emails"]
        (whole,) = statistics.figures() or [Figures()]
        tasks, kinds = statistics.figures("task"), statistics.figures("kind")
    by_task = dict.fromkeys(TASKS, 0) | {each.name: each.requests for each in tasks if each.requests}
    by_kind = dict.fromkeys(FAILURE_KINDS, 0) | {each.name: each.errors for each in kinds if each.errors}
    counted: dict[str, tuple[str, list[Labelled], tuple[str, ...]]] = {
        "requests": ("Requests that were served", _labelled(by_task), ("task",)),
        "errors": ("Requests that failed", _labelled(by_kind), ("kind",)),
        "served_rows": ("Rows of requests that were served", [((), whole.rows)], ()),
        "served_bytes": ("Bytes of archives that were served, once for each request", [((), whole.bytes)], ()),
    }
    for name, (words, numbers, labels) in counted.items():
        if settings.statistics.keep_statistics is None:
            yield Metric(f"{name}_total", f"{words}.", numbers, labels, "counter")
        else:  # what `clean` removes would look like a counter that began anew, and be counted again
            yield Metric(f"{name}_kept", f"{words}, of the last keep_statistics days.", numbers, labels)
    yield Metric("requesters", "Different e-mail addresses of requests that were served.", [((), emails)])


def _labelled(values: dict[str, int]) -> list[Labelled]:
    return [((name,), value) for name, value in values.items()]


def _named_packages(settings: Settings, spool: Spool, now: float) -> Iterator[Metric]:
    from ckanpackager.maintenance.named_packages import statuses

    known = list(statuses(settings, spool))
    failed: list[Labelled] = [((named.name,), float(named.failed is not UNSET)) for named in known]
    yield Metric("named_package_failed", "1 if the last refresh of a named package failed.", failed, ("name",))
    for field, name, words in _NAMED:
        told = [((named.name,), getattr(named, field)) for named in known]
        values: list[Labelled] = [(labels, float(value)) for labels, value in told if isinstance(value, int | float)]
        yield Metric(f"named_package_{name}", words, values, ("name",))


_NAMED = (
    ("published", "published_timestamp_seconds", "When a named package was last built."),
    ("looked_at", "looked_at_timestamp_seconds", "When the source of a named package was last looked at."),
    ("size", "size_bytes", "Size of a named package."),
    ("rows", "rows", "Rows of a named package."),
)
_PARTS: dict[str, Callable[[Settings, Spool, float], Iterable[Metric]]] = {
    "jobs": _jobs,
    "workers": _workers,
    "runs": _runs,
    "alerts": _alerts,
    "disks": _disks,
    "store": _store,
    "statistics": _statistics,
    "named_packages": _named_packages,
}
