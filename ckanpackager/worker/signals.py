"""Stopping a worker by a signal, without losing a job or repeating a step."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType


class Stopped(BaseException):
    """The worker was told to stop during work that can be repeated; no Exception, so that no handler swallows it."""


class Stop:
    """Whether this process was told to stop.

    A signal interrupts only what the main thread does within `interruptible`; other threads stop at their next `pause`.
    """

    def __init__(self) -> None:
        self._told = False  # no threading.Event: whose lock the handler could find held by the thread it interrupts
        self._interruptible = False

    @property
    def told(self) -> bool:
        return self._told

    def wait(self, seconds: float) -> None:
        """Wait, until the signal at the longest."""
        with contextlib.suppress(Stopped), self.interruptible():
            time.sleep(seconds)

    def pause(self, seconds: float) -> None:
        """Wait.  Raises Stopped if the signal comes meanwhile, or has come."""
        with self.interruptible():
            time.sleep(seconds)
        if self.told:  # another thread than the main one hears of it only now
            raise Stopped

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Raises Stopped within the block when the signal comes, or before it if the signal has come."""
        if threading.current_thread() is not threading.main_thread():
            if self.told:
                raise Stopped
            yield
            return
        before = self._interruptible
        try:
            self._interruptible = True  # before the test, or a signal between the two would be missed
            if self.told:
                raise Stopped
            yield
        finally:
            self._interruptible = before

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Heed SIGTERM and SIGINT."""
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._told = True
        if self._interruptible:
            self._interruptible = False
            raise Stopped
