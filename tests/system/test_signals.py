"""Stopping: a signal ends what can be repeated, at once, and lets the rest come to its end."""

import os
import signal
import subprocess
import sys
import time

import pytest
from support.workspace import PATIENCE

from ckanpackager.worker.signals import Stop, Stopped


def tell(number: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_interrupts_what_is_interruptible(number: int) -> None:
    stop = Stop()
    with stop.on_signals(), pytest.raises(Stopped), stop.interruptible():
        tell(number)
        time.sleep(30)
    assert stop.told


def test_a_signal_does_not_interrupt_anything_else() -> None:
    stop, done = Stop(), []
    with stop.on_signals():
        with stop.interruptible():
            done.append("before")
        tell()
        done.append("after")
    assert stop.told
    assert done == ["before", "after"]


def test_nothing_interruptible_is_begun_after_the_signal() -> None:
    stop, done = Stop(), []
    with stop.on_signals():
        tell()
        with pytest.raises(Stopped), stop.interruptible():
            done.append("begun")
    assert not done


def test_a_second_signal_does_not_disturb_the_tidying_up_after_the_first() -> None:
    stop, done = Stop(), []
    with stop.on_signals(), pytest.raises(Stopped), stop.interruptible():
        try:
            tell()
        finally:
            tell()
            done.append("tidy")
    assert done == ["tidy"]


def test_nothing_swallows_the_stop() -> None:
    assert not issubclass(Stopped, Exception)


def test_waiting_lasts_as_long_as_it_should_and_ends_with_the_signal() -> None:
    stop = Stop()
    began = time.monotonic()
    stop.wait(0.05)
    assert time.monotonic() - began >= 0.05
    with stop.on_signals():
        signal.signal(signal.SIGALRM, lambda *_: tell())
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        stop.wait(30)
        stop.wait(30)  # already told
    assert stop.told
    assert time.monotonic() - began < 20


def test_the_handlers_of_before_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Stop().on_signals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


STORM = """
import os, signal, threading, time
from ckanpackager.worker.signals import Stop
for _ in range(300):
    stop = Stop()
    with stop.on_signals():
        threading.Timer(0.0005, os.kill, (os.getpid(), signal.SIGTERM)).start()
        while not stop.told:
            stop.wait(0.0001)
"""


def test_no_moment_is_the_wrong_one_for_a_signal() -> None:
    """A handler that took a lock would find it held by the very thread that it interrupts, some day."""
    assert subprocess.run([sys.executable, "-c", STORM], timeout=PATIENCE, check=False).returncode == 0
