"""Build once: of two equal requests at the same time, one is packaged while the other waits for its archive.

building/<key>.lock is a file that a worker holds the lock of while it builds an archive of that key, on whatever
machine the packaging itself runs.  The kernel frees the lock when the worker dies.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ckanpackager.durable_files import failure
from ckanpackager.spool.job_files import give_modes

POLL = 0.1  # seconds between two looks whether the other worker has built it


@contextlib.contextmanager
def lock(directory: Path, key: str, pause: Callable[[float], None]) -> Iterator[None]:
    """Hold the key's lock; while another worker holds it, look again after each `pause(seconds)`.

    Raises TemporaryFailure.
    """
    path = directory / f"{key}.lock"
    with _explained(path):
        while (descriptor := _try_lock(path)) is None:
            pause(POLL)
    try:
        yield
    finally:
        _release(path, descriptor)


def is_locked(directory: Path, key: str) -> bool:
    """Whether a worker builds an archive of that key.  Raises TemporaryFailure."""
    path = directory / f"{key}.lock"
    with _explained(path):
        if not path.exists():
            return False
        if (descriptor := _try_lock(path)) is None:
            return True
    _release(path, descriptor)
    return False


def _release(path: Path, descriptor: int) -> None:
    """Remove the file before its lock is released: a lock counts only while the path still names its file."""
    try:
        with _explained(path):
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _try_lock(path: Path) -> int | None:
    from filelock import lock_descriptor  # here, since the receiver builds nothing and should start fast

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            give_modes(descriptor, path.parent)
        if lock_descriptor(descriptor, blocking=False) and os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise failure("spool", path.parent, error) from error
