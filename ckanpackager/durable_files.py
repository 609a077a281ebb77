"""Files and crashes: what was written or renamed survives one, and temporary directories that one left are found."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ckanpackager.errors import OUR_FAULT, TemporaryFailure

SCRATCH = "ckanpackager-scratch-"  # how the names of temporary directories begin
YOUNG = 3600  # seconds: a worker may be between making a directory and locking its file
_LOCK = ".lock"


def sync(path: Path) -> None:
    """Wait until a file's content, or a directory's entries, are on disk (fsync).  Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(source: Path, target: Path) -> None:
    """Rename a file; the new name is on disk when this returns.  Raises OSError."""
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # if this fails, nothing is renamed
    try:
        os.rename(source, target)
        os.fsync(folder)
    finally:
        os.close(folder)


def is_shared(directory: Path) -> bool:
    """Whether two users of one group write in a directory: it is setgid and group-writable.  Raises OSError."""
    shared = stat.S_ISGID | stat.S_IWGRP
    return directory.stat().st_mode & shared == shared


def failure(what: str, directory: Path, error: OSError) -> TemporaryFailure:
    """An error of the file system in words that say what to do; `what` is written in `directory`."""
    return TemporaryFailure(explanation(what, directory, error), public=OUR_FAULT)


def explanation(what: str, directory: Path, error: OSError) -> str:
    """The words of `failure`."""
    return (
        f"{what} {error.filename or directory}: {error.strerror}; make sure that the disk has room and "
        f"that this user may write into {directory}"
    )


@contextlib.contextmanager
def scratch_directory(parent: str | None) -> Iterator[Path]:
    """A new directory below `parent` (None: the system's temporary directory), removed at the end.  Raises OSError.

    It holds a locked file while it is used, by which `clean` tells it from that of a dead worker.
    """
    import tempfile  # here, and shutil: the receiver has no use for them, and should start fast

    from filelock import lock_descriptor

    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=parent, ignore_cleanup_errors=True) as name:
        descriptor = os.open(Path(name) / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            lock_descriptor(descriptor, blocking=False)
            yield Path(name)
        finally:
            os.close(descriptor)


def remove_abandoned_scratch(parent: Path, now: float) -> int:
    """Remove the directories of dead workers; how many.  Raises TemporaryFailure.

    Other users share the system's temporary directory: their directories stay.
    """
    import shutil

    removed = 0
    for path in parent.glob(f"{SCRATCH}*"):
        try:
            state = path.lstat()
            if state.st_uid == os.geteuid() and state.st_mtime < now - YOUNG and _is_abandoned(path):
                shutil.rmtree(path)
                removed += 1
        except FileNotFoundError:
            continue  # its worker, or another `clean`, was faster
        except OSError as error:
            raise TemporaryFailure(f"temporary directory {path}: {error.strerror}") from error
    return removed


def _is_abandoned(path: Path) -> bool:
    from filelock import lock_descriptor

    try:
        descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return True  # its worker died before it made the file
    try:
        return bool(lock_descriptor(descriptor, blocking=False))
    finally:
        os.close(descriptor)
