"""The worker's loop over the spool: acquire a slot, claim a job, run its steps; again."""

import functools
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ckanpackager.config.settings import Settings
from ckanpackager.errors import SpoolFailure
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.request import Queue
from ckanpackager.spool.alerts import Alerts
from ckanpackager.spool.claim import Claim
from ckanpackager.spool.queue import Spool
from ckanpackager.spool.worker_slots import Slot, Worker
from ckanpackager.worker.signals import Stop, Stopped

if TYPE_CHECKING:
    from ckanpackager.statistics import StatisticsDatabase

POLL = 1.0  # seconds between two looks into an empty spool, with --loop
Show = Callable[[Job, int, int | None], None]


@dataclass
class Tally:
    """What a worker has done."""

    served: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Limits:
    """When to end: with `loop`, not although nothing waits; the others are a number of jobs, and of seconds."""

    loop: bool = False
    max_jobs: int | None = None
    max_time: float | None = None


def work(spool: Spool, settings: Settings, queues: Sequence[Queue], limits: Limits, stop: Stop, show: Show) -> Tally:
    """Run the jobs that wait in `queues`, the first queue first; `show` is told of every job's progress.

    A queue whose worker slots are all taken is left to other workers.  Raises TemporaryFailure if the spool fails.
    """
    tally, ends = Tally(), time.monotonic() + (limits.max_time or 0)
    with ExitStack() as stack:
        report = _Report(show)
        run: Callable[[Claim], bool] | None = None
        backlog = {queue: spool.claim_due(queue, time.time) for queue in queues}
        while not stop.told and not (limits.max_time and time.monotonic() >= ends):
            if (found := _next(spool, settings, backlog)) is None:
                if not limits.loop:
                    break
                stop.wait(POLL)
                continue
            claim, slot = found
            with closing(slot), closing(claim):
                report.begin(slot, claim.job, _worker_name())
                try:
                    run = run or _first_run(claim, spool, settings, stop, report, stack)
                    served = run(claim)
                except Stopped:
                    break
            tally.served += served
            tally.failed += not served
            if limits.max_jobs and tally.served + tally.failed >= limits.max_jobs:
                break
    if spool.unreadable:
        raise SpoolFailure(f"spool {spool.directory}: this user may not read {len(spool.unreadable)} job files there")
    return tally


def _next(spool: Spool, settings: Settings, backlog: dict[Queue, Iterator[Claim]]) -> tuple[Claim, Slot] | None:
    """A job and a slot to work on it, from the first queue that has both.

    The slot is held for one job only: while this worker runs a slow one, another may run the fast ones.
    """
    for queue, claims in backlog.items():
        slot = spool.acquire_slot(queue, getattr(settings.spool.workers, queue))
        if slot is None:
            continue
        try:
            claim = next(claims, None)
        except BaseException:
            slot.close()
            raise
        if claim is not None:
            return claim, slot
        slot.close()
        backlog[queue] = spool.claim_due(queue, time.time)  # for the next look
    return None


def _worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _first_run(
    claim: Claim, spool: Spool, settings: Settings, stop: Stop, report: "_Report", stack: ExitStack
) -> Callable[[Claim], bool]:
    """What runs this job and those after it; if it cannot be had, the job goes back to its queue.

    Imported when there is a job: cron starts this program every minute, and mostly nothing waits.
    """
    from ckanpackager.archives.store import Store
    from ckanpackager.worker.pipeline import run_job
    from ckanpackager.worker.steps import WorkerContext

    store = Store(Path(settings.archives.store_directory), settings.archives.cache_time)
    try:
        store.prepare()
    except BaseException:
        claim.release(time.time())
        raise

    @functools.cache
    def statistics() -> "StatisticsDatabase":
        """Opened when it is needed: a database that is down keeps no archive from being built.

        SQLAlchemy comes with it, and costs an idle run more than all the rest.
        """
        from ckanpackager.statistics import open_statistics

        return stack.enter_context(open_statistics(settings.statistics))

    context = WorkerContext(
        name=_worker_name(),
        settings=settings,
        store=store,
        statistics=statistics,
        clock=time.time,
        tell=report.progress,
        stop=stop,
        alerts=Alerts(spool.files),
    )
    return lambda claim: run_job(claim, context)


class _Report:
    """Passes the progress of the current job on to its slot and the terminal, once a second at most."""

    def __init__(self, show: Show) -> None:
        self._show = show

    def begin(self, slot: Slot, job: Job, worker: str) -> None:
        self._slot = slot
        self._worker = Worker(worker=worker, job=job.id, since=time.time())
        self._told = 0.0
        self.progress(job, 0, None)

    def progress(self, job: Job, rows: int, expected: int | None) -> None:
        if (now := time.monotonic()) - self._told >= 1 or rows == expected:
            self._told = now
            worker = self._worker
            self._slot.write_progress(
                Worker(worker=worker.worker, job=worker.job, since=worker.since, rows=rows, expected=expected)
            )
            self._show(job, rows, expected)
