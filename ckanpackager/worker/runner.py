"""Runs claimed jobs in their slots, each with all that its steps need."""

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import cache
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ckanpackager.config.settings import Settings
from ckanpackager.jobs.job import Job
from ckanpackager.spool.alerts import Alerts
from ckanpackager.spool.claim import Claim
from ckanpackager.spool.queue import Spool
from ckanpackager.spool.worker_slots import Slot, Worker
from ckanpackager.worker.signals import Stop, Stopped

if TYPE_CHECKING:
    from ckanpackager.statistics.recorder import Recorder
    from ckanpackager.worker.steps import WorkerContext

Show = Callable[[Job, int, int | None], None]


class Runner:
    """Runs one job at a time for each thread; `show` is told of every job's progress.

    What jobs need is imported and opened with the first one: cron starts this program every minute, and mostly nothing
    waits.
    """

    def __init__(self, spool: Spool, settings: Settings, stop: Stop, show: Show, stack: ExitStack) -> None:
        self._spool, self._settings, self._stop, self._show, self._stack = spool, settings, stop, show, stack
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._opening = threading.RLock()
        self._context: WorkerContext | None = None

    def run(self, claim: Claim, slot: Slot) -> bool | None:
        """Run a job, and let go of claim and slot; whether it was served, None if the worker was told to stop."""
        with closing(slot), closing(claim):
            report = _Report(slot, claim.job, self._name, self._show)
            context = self._opened(claim)
            from ckanpackager.worker.pipeline import run_job

            try:
                return run_job(claim, replace(context, tell=report.progress))
            except Stopped:
                return None

    def _opened(self, claim: Claim) -> "WorkerContext":
        """What jobs need; if it cannot be had, the job goes back to its queue."""
        with self._opening:
            try:
                self._context = self._context or self._open()
            except BaseException:
                claim.release(time.time())
                raise
            return self._context

    def _open(self) -> "WorkerContext":
        from ckanpackager.archives.store import open_store
        from ckanpackager.worker.engine import open_engine
        from ckanpackager.worker.steps import WorkerContext

        store = open_store(self._settings)

        @cache
        def opened() -> "Recorder":
            """Opened when it is needed: a database that is down keeps no archive from being built."""
            from ckanpackager.statistics.recorder import Recorder

            return self._stack.enter_context(closing(Recorder(self._settings.statistics)))

        def statistics() -> "Recorder":
            with self._opening:
                return opened()

        return WorkerContext(
            name=self._name,
            settings=self._settings,
            spool=self._spool,
            store=store,
            engine=open_engine(self._settings, store, self._stop),
            statistics=statistics,
            clock=time.time,
            tell=lambda *_: None,
            stop=self._stop,
            alerts=Alerts(self._spool.files),
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
