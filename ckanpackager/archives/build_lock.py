"""Locks by cache key, files beside the archives, so that two workers that need the same archive build it once."""

import os
import time
from pathlib import Path
from typing import NamedTuple

from filelock import lock_descriptor

POLL = 0.1  # seconds between two looks whether the other worker has built it


class BuildLock(NamedTuple):
    """A lock that this process holds; the kernel frees it if the process dies."""

    path: Path
    descriptor: int

    def release(self) -> None:
        """Raises OSError, and is released nevertheless."""
        try:
            self.path.unlink(missing_ok=True)  # before the lock goes: see try_acquire
        finally:
            os.close(self.descriptor)


def acquire(path: Path) -> BuildLock:
    """Lock the file of that path; wait as long as another process holds it.  Raises OSError."""
    while (lock := try_acquire(path)) is None:
        time.sleep(POLL)
    return lock


def try_acquire(path: Path) -> BuildLock | None:
    """The lock, if no other process holds it.  Raises OSError.

    The holder removes the file before it lets go, so a lock counts only while the path still names its file.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if lock_descriptor(descriptor, blocking=False) and os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return BuildLock(path, descriptor)
    except FileNotFoundError:
        pass
    os.close(descriptor)
    return None
