"""The worker's loop over the spool: acquire a slot, claim a job, run its steps; again."""

import functools
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ckanpackager.archives.store import open_store
from ckanpackager.config.settings import Settings
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.request import Queue
from ckanpackager.spool.claim import Claim
from ckanpackager.spool.queue import Spool
from ckanpackager.spool.worker_slots import Slot, Worker
from ckanpackager.worker.engine import open_engine
from ckanpackager.worker.pipeline import run_job
from ckanpackager.worker.signals import Stop, Stopped
from ckanpackager.worker.steps import WorkerContext

if TYPE_CHECKING:
    from ckanpackager.statistics import StatisticsDatabase

POLL = 1.0  # seconds between two looks into an empty spool, with --loop
Show = Callable[[Job, int, int | None], None]


@dataclass
class Tally:
    """What a worker has done."""

    served: int = 0
    failed: int = 0

    def count(self, served: bool) -> None:
        self.served += served
        self.failed += not served


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
    with ExitStack() as stack:
        context = _worker_context(spool, settings, stop, stack)
        backlog = Backlog(spool, settings, queues, limits)
        if settings.engine.engine == "celery":
            from ckanpackager.worker.dispatcher import dispatch

            return dispatch(backlog, context, show)
        tally = Tally()
        while not stop.told and (found := backlog.next(stop)):
            served = run_claimed(*found, context, show)
            if served is None:
                break
            tally.count(served)
    return tally


def run_claimed(claim: Claim, slot: Slot, context: WorkerContext, show: Show) -> bool | None:
    """Run a job in its slot, and let go of both; whether it was served, None if the worker was told to stop."""
    with closing(slot), closing(claim):
        report = _Report(slot, claim.job, context.name, show)
        try:
            return run_job(claim, replace(context, tell=report.progress))
        except Stopped:
            return None


class Backlog:
    """The jobs that wait in the queues of a worker, as far as its limits go."""

    def __init__(self, spool: Spool, settings: Settings, queues: Sequence[Queue], limits: Limits) -> None:
        self._spool, self._workers, self._limits = spool, settings.spool.workers, limits
        self._claims = {queue: spool.claim_due(queue, time.time) for queue in queues}
        self._ends = time.monotonic() + limits.max_time if limits.max_time else None
        self._claimed = 0

    @property
    def loop(self) -> bool:
        return self._limits.loop

    @property
    def is_over(self) -> bool:
        """Whether no further job may be claimed."""
        enough = self._limits.max_jobs is not None and self._claimed >= self._limits.max_jobs
        return enough or (self._ends is not None and time.monotonic() >= self._ends)

    def next(self, stop: Stop) -> tuple[Claim, Slot] | None:
        """The next job and its slot; waits for one with `loop`.  None if there is none, or the worker is to stop."""
        while not stop.told and not self.is_over:
            if found := self.claim():
                return found
            if not self._limits.loop:
                return None
            stop.wait(POLL)
        return None

    def claim(self) -> tuple[Claim, Slot] | None:
        """A job and a slot to work on it, from the first queue that has both.

        The slot is held for one job only: while this worker runs a slow one, another may run the fast ones.
        """
        for queue, claims in self._claims.items():
            slot = self._spool.acquire_slot(queue, getattr(self._workers, queue))
            if slot is None:
                continue
            try:
                claim = next(claims, None)
            except BaseException:
                slot.close()
                raise
            if claim is not None:
                self._claimed += 1
                return claim, slot
            slot.close()
            self._claims[queue] = self._spool.claim_due(queue, time.time)  # for the next look
        return None


def _worker_context(spool: Spool, settings: Settings, stop: Stop, stack: ExitStack) -> WorkerContext:
    store, opening = open_store(settings), threading.Lock()

    @functools.cache
    def opened() -> "StatisticsDatabase":
        """Opened when it is needed: a database that is down keeps no archive from being built.

        SQLAlchemy comes with it, and costs an idle run more than all the rest.
        """
        from ckanpackager.statistics import open_statistics

        return stack.enter_context(open_statistics(settings.statistics))

    def statistics() -> "StatisticsDatabase":
        with opening:
            return opened()

    return WorkerContext(
        name=f"{socket.gethostname()}:{os.getpid()}",
        settings=settings,
        spool=spool,
        store=store,
        engine=open_engine(settings, store, stop),
        statistics=statistics,
        clock=time.time,
        tell=lambda *_: None,
        stop=stop,
    )


class _Report:
    """Passes the progress of a job on to its slot and the terminal, once a second at most."""

    def __init__(self, slot: Slot, job: Job, worker: str, show: Show) -> None:
        self._slot, self._show = slot, show
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
