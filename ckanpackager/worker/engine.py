"""Where archives are built: by this process, or by packers on other machines."""

import functools
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ckanpackager.archives.store import Store
from ckanpackager.config.settings import Settings
from ckanpackager.errors import TemporaryFailure, WorkerDied
from ckanpackager.jobs.job import Archive
from ckanpackager.jobs.request import Queue
from ckanpackager.packagers.build import Clock, Order, Tell, build
from ckanpackager.worker.signals import Stop, Stopped

if TYPE_CHECKING:
    from ckanpackager.celery.packers import Packers, Report

log = logging.getLogger("ckanpackager")
POLLS = (0.002, 0.5)  # seconds, least and most, between two looks at a task
SHARE = 0.04  # of the time that a task has taken so far is how long the next look waits
SEARCH = 5.0  # seconds between two searches for tasks that no queue and no packer knows


class Engine(Protocol):
    """Builds one archive at a time for each thread."""

    def package(self, order: Order, queue: Queue, tell: Tell) -> Archive:
        """Raises TemporaryFailure, PermanentFailure, Stopped."""


def open_engine(settings: Settings, store: Store, stop: Stop, clock: Clock = time.time) -> Engine:
    """The engine that the configuration names.  Raises ConfigError if its library is missing."""
    if settings.engine.engine == "local":
        return LocalEngine(settings, store, clock)
    from ckanpackager.celery.packers import Packers

    return CeleryEngine(Packers(settings), settings.engine.packer_timeout, stop)


class LocalEngine:
    """This process."""

    def __init__(self, settings: Settings, store: Store, clock: Clock) -> None:
        self._settings, self._store, self._clock = settings, store, clock

    def package(self, order: Order, queue: Queue, tell: Tell) -> Archive:
        return build(order, self._settings, self._store, tell, self._clock)


class CeleryEngine:
    """Packers behind a broker.  All waiting is here: nothing is asked of the broker but to pass on what it was given.

    A task that no packer has begun is never late.  It is sent again if no queue and no packer knows it: a broker that
    restarts, and a packer that is killed before it begins, lose tasks.
    """

    def __init__(self, packers: "Packers", timeout: float, stop: Stop) -> None:
        self._packers, self._timeout, self._stop = packers, timeout, stop
        self._lost = LostTasks(packers)

    def package(self, order: Order, queue: Queue, tell: Tell) -> Archive:
        id = self._packers.task_id(order)
        send = functools.partial(self._packers.send, id, order, queue)
        found = self._packers.report(id)
        if not found.begun:  # else a dispatcher that died has sent it
            if found.known:
                self._packers.forget(id)
            send()
        try:
            report = self._followed(id, send, tell)
        except Stopped:
            self._withdraw(id)
            raise
        self._packers.forget(id)
        if report.outcome is None:
            raise WorkerDied(f"the packer gave no sign of life for {self._timeout:g} s")
        return report.outcome.archive_or_error()

    def _followed(self, id: str, send: Callable[[], None], tell: Tell) -> "Report":
        """Wait for a task to end; its last report, without an outcome if its packer has died."""
        life, changed, answered = "", time.monotonic(), time.monotonic()
        while True:
            self._stop.pause(min(max((time.monotonic() - changed) * SHARE, POLLS[0]), POLLS[1]))
            try:
                report = self._packers.report(id)
                if not report.begun and report.outcome is None and self._lost.has_lost(id):
                    log.info("task %s: lost, and sent again", id)
                    send()
            except TemporaryFailure:
                if time.monotonic() - answered > self._timeout:
                    raise
                continue  # a broker that restarts: what a packer has begun goes on
            answered = time.monotonic()
            if report.outcome is not None:
                return report
            if report.life != life:
                life, changed = report.life, answered
                tell(report.rows, report.expected)
            elif report.begun and answered - changed > self._timeout:
                return report

    def _withdraw(self, id: str) -> None:
        """This process stops: packers need not begin with the task; the next dispatcher sends it again."""
        try:
            if not self._packers.report(id).begun:
                self._packers.withdraw(id)
        except TemporaryFailure as error:
            log.info("task %s: not withdrawn: %s", id, error)  # then it is packaged, and found by the next dispatcher


class LostTasks:
    """Finds tasks that no queue and no packer knows, in one search for all threads that wait."""

    def __init__(self, packers: "Packers") -> None:
        self._packers = packers
        self._searching = threading.Lock()
        self._searched = time.monotonic()
        self._asked: dict[str, float] = {}  # when a thread last asked for a task
        self._missing: set[str] = set()  # what the last search did not find
        self._lost: set[str] = set()  # what two searches did not find

    def has_lost(self, id: str) -> bool:
        """Whether a waiting task is lost; said once.  Raises TemporaryFailure."""
        self._asked[id] = now = time.monotonic()
        if now - self._searched > SEARCH and self._searching.acquire(blocking=False):
            try:
                self._search(now)
            finally:
                self._searched = time.monotonic()
                self._searching.release()
        if id in self._lost:
            self._lost.discard(id)
            return True
        return False

    def _search(self, now: float) -> None:
        self._asked = {id: asked for id, asked in list(self._asked.items()) if now - asked < 2 * POLLS[1]}
        missing = set(self._asked) - self._packers.known(self._asked)
        self._lost, self._missing = missing & self._missing, missing - self._missing
