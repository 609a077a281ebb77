"""Worker slots: how many workers may work at once, and what each of them is doing.

workers/fast-1 is a file whose lock a worker holds while it works on a job of the fast queue, and in which it writes its
progress.  The kernel frees the lock with the process, so a slot is never lost.
"""

import contextlib
import os
import re
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from ckanpackager.errors import TemporaryFailure
from ckanpackager.jobs.request import Queue
from ckanpackager.spool.job_files import give_modes

_NAME = re.compile(r"(fast|slow)-[0-9]+")
_LENGTH = 1024  # every writing has this length and is one system call, so that a reader never meets half of one


class Worker(Struct, frozen=True, kw_only=True):
    """What a worker is doing: times in seconds since 1970, rows as far as they are known."""

    slot: str = ""
    worker: str
    job: str
    since: float
    rows: int = 0
    expected: int | None = None


class _Note(Worker, frozen=True, kw_only=True):
    """What stands in a slot's file: also when it was written, by the clock of the worker's host."""

    written: float


class Slot:
    """A slot that this process holds until `close`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write_progress(self, worker: Worker) -> None:
        """Write the progress for `ckanpackager status` and the job's page; a full disk must not end the work."""
        with contextlib.suppress(OSError):
            note = _Note(**msgspec.structs.asdict(worker), written=time.time())
            os.pwrite(self._descriptor, msgspec.json.encode(note).ljust(_LENGTH), 0)

    def close(self) -> None:
        _truncate(self._descriptor)
        os.close(self._descriptor)


def acquire(directory: Path, queue: Queue, count: int) -> Slot | None:
    """A free slot of the `count` that a queue has; None if all are taken.  Raises TemporaryFailure."""
    from filelock import lock_descriptor  # here: the receiver acquires nothing and should start fast

    for _ in range(3):  # `active_workers` holds a dead worker's lock for a moment, which must not pass for a worker
        for number in range(1, count + 1):
            try:
                descriptor = _open(directory, f"{queue}-{number}")
            except OSError as error:
                raise TemporaryFailure(f"worker slot {error.filename}: {error.strerror}") from error
            if lock_descriptor(descriptor, blocking=False):
                _truncate(descriptor)
                return Slot(descriptor)
            os.close(descriptor)
        time.sleep(0.01)
    return None


def active_workers(directory: Path) -> list[Worker]:
    """The workers that are working on a job.  Raises TemporaryFailure."""
    from filelock import lock_descriptor

    workers = []
    try:
        for path in sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name)):
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                if not (said := os.pread(descriptor, _LENGTH, 0)):
                    continue  # a free slot, whose lock must stay free, or one that was just taken
                if lock_descriptor(descriptor, blocking=False):
                    _truncate(descriptor)  # its worker died; while we hold the lock it would look alive
                else:
                    worker = msgspec.json.decode(said, type=Worker)
                    workers.append(msgspec.structs.replace(worker, slot=path.name))
            except msgspec.DecodeError:
                continue  # not written by a worker
            finally:
                os.close(descriptor)
    except OSError as error:
        raise TemporaryFailure(f"worker slots {error.filename or directory}: {error.strerror}") from error
    return workers


def clock_differences(directory: Path) -> dict[str, float]:
    """By worker, how many seconds its host's clock is ahead of the file system's.  Raises TemporaryFailure.

    Each writes the time into its slot; the file system notes when.
    """
    differences = {}
    try:
        for path in (path for path in directory.iterdir() if _NAME.fullmatch(path.name)):
            with path.open("rb") as file:
                said, noted = file.read(_LENGTH), os.fstat(file.fileno()).st_mtime
            with contextlib.suppress(msgspec.DecodeError):  # free, or of an earlier version
                note = msgspec.json.decode(said, type=_Note)
                differences[note.worker] = note.written - noted
    except OSError as error:
        raise TemporaryFailure(f"worker slots {error.filename or directory}: {error.strerror}") from error
    return differences


def _open(directory: Path, name: str) -> int:
    """Open a slot's file, making it, with the modes of the spool whatever the umask."""
    try:
        return os.open(directory / name, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        descriptor = os.open(directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(descriptor).st_uid == os.geteuid():  # else another user was faster, who sets it
            give_modes(descriptor, directory)
        return descriptor


def _truncate(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
