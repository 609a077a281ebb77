"""The worker's loop over the spool: acquire a slot, claim a job, run its steps; again."""

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack

from msgspec import Struct

from ckanpackager.config.settings import Settings
from ckanpackager.errors import SpoolFailure
from ckanpackager.jobs.request import Queue
from ckanpackager.spool.claim import Claim
from ckanpackager.spool.queue import Spool
from ckanpackager.spool.worker_slots import Slot
from ckanpackager.worker.accepted_mails import AcceptedMails
from ckanpackager.worker.runner import Runner, Show
from ckanpackager.worker.signals import Stop

POLL = 1.0  # seconds between two looks into an empty spool, with --loop
NOTE = 30.0  # seconds between two records that a worker looks for jobs


class Tally(Struct):
    """What a worker has done."""

    served: int = 0
    failed: int = 0

    def count(self, served: bool) -> None:
        self.served += served
        self.failed += not served


class Limits(Struct, frozen=True):
    """When to end: with `loop`, not although nothing waits; the others are a number of jobs, and of seconds."""

    loop: bool = False
    max_jobs: int | None = None
    max_time: float | None = None


def work(spool: Spool, settings: Settings, queues: Sequence[Queue], limits: Limits, stop: Stop, show: Show) -> Tally:
    """Run the jobs that wait in `queues`, the first queue first; `show` is told of every job's progress.

    A queue whose worker slots are all taken is left to other workers.  Raises TemporaryFailure if the spool fails.
    """
    with ExitStack() as stack:
        accepted = AcceptedMails(spool, settings, stop)
        backlog, runner = Backlog(spool, settings, queues, limits, accepted), Runner(spool, settings, stop, show, stack)
        if settings.engine.engine == "celery":
            from ckanpackager.worker.dispatcher import dispatch

            tally = dispatch(backlog, runner, stop, settings.spool.workers)
        else:
            tally = _one_by_one(backlog, runner, stop)
    if spool.unreadable:
        raise SpoolFailure(f"spool {spool.directory}: this user may not read {len(spool.unreadable)} job files there")
    return tally


def _one_by_one(backlog: "Backlog", runner: Runner, stop: Stop) -> Tally:
    tally = Tally()
    while not stop.told and (found := backlog.next(stop)):
        if (served := runner.run(*found)) is None:
            break
        tally.count(served)
    return tally


class Backlog:
    """The jobs that wait in the queues of a worker, as far as its limits go."""

    def __init__(
        self, spool: Spool, settings: Settings, queues: Sequence[Queue], limits: Limits, accepted: AcceptedMails
    ) -> None:
        self._accepted = accepted
        self._spool, self._workers, self._limits = spool, settings.spool.workers, limits
        self._claims = {queue: spool.claim_due(queue, time.time) for queue in queues}
        self._ends = time.monotonic() + limits.max_time if limits.max_time else None
        self._claimed = 0
        self._noted = -math.inf

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
        self._accepted.send()
        self._note()
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

    def _note(self) -> None:
        """Record now and then that a worker looks for jobs, for monitoring."""
        if time.monotonic() - self._noted >= NOTE:
            self._spool.record_run("process")
            self._noted = time.monotonic()
