"""Claiming: a job belongs to the worker that holds the lock of its file.  Raises TemporaryFailure."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from ckanpackager.errors import OUR_FAULT, BadRequest, SpoolFailure, one_line
from ckanpackager.jobs import job as jobs
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.request import Queue
from ckanpackager.spool.job_files import JobFiles, content, is_id, same_file
from ckanpackager.spool.listing import Listing

MAX_CLOCK_SKEW = 3600  # seconds; no two hosts that share a spool have clocks so far apart
_NO_JOB_FILE = {errno.ELOOP, errno.EISDIR, errno.ENXIO}


class UnreadableJob(SpoolFailure):
    """A job file belongs to another user, and this one may not read it."""


class Claim:
    """A job that this process alone may work on until it calls `finish`, `fail`, `release` or `close`."""

    def __init__(self, files: JobFiles, job: Job, descriptor: int, folder: str) -> None:
        self.job = job
        self.taken_over = folder == "claimed"  # from a worker that died
        self._files = files
        self._descriptor = descriptor
        self._folder = folder

    def save(self, **changes: Any) -> None:
        """Change the job and write it to disk.  Raises TemporaryFailure."""
        self._rewrite(msgspec.structs.replace(self.job, **changes), None)

    def staged_save(self, **changes: Any) -> contextlib.AbstractContextManager[Callable[[], None]]:
        """Write a change to disk that counts once the function that the block gets is called.

        For what must not be done twice: only a rename then lies between doing it and recording it.
        """
        return self._written(msgspec.structs.replace(self.job, **changes), None)

    def release(self, not_before: float, **changes: Any) -> None:
        """Change the job and return it to its queue, where nothing claims it before `not_before`."""
        self._rewrite(msgspec.structs.replace(self.job, **changes), not_before)
        self.move(self.job.queue)
        self.close()

    def finish(self, **changes: Any) -> None:
        self._end("done", changes)

    def fail(self, **changes: Any) -> None:
        self._end("failed", changes)

    def close(self) -> None:
        """Release the lock; the file stays in its folder."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def move(self, folder: str) -> None:
        target = self._files.path(folder, self.job.id)
        try:
            descriptor = self._files.open_folder(target)
            try:
                os.rename(self._path, target)
                self._folder = folder
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._files.failure(error) from error

    @property
    def _path(self) -> Path:
        return self._files.path(self._folder, self.job.id)

    def _end(self, folder: str, changes: dict[str, Any]) -> None:
        self.save(**changes)
        self.move(folder)
        self.close()

    def _rewrite(self, job: Job, modified: float | None) -> None:
        with self._written(job, modified) as publish:
            publish()

    @contextlib.contextmanager
    def _written(self, job: Job, modified: float | None) -> Iterator[Callable[[], None]]:
        """Write a new file and lock it; the function renames it over the old one.  No moment is without a lock.

        Once renamed, it counts, even if the function then raises: its folder is not on disk yet.
        """
        from filelock import lock_descriptor

        try:
            folder = self._files.open_folder(self._path)  # before what must not be done twice: no room for it is fatal
            try:
                descriptor, written = self._files.write(job.id, jobs.encode(job), modified)
            except BaseException:
                os.close(folder)
                raise
        except OSError as error:
            raise self._files.failure(error) from error
        lock_descriptor(descriptor, blocking=False)

        def publish() -> None:
            nonlocal descriptor
            try:
                if self.job is not job:
                    _rename(written, self._path, descriptor)
                    self._descriptor, descriptor, self.job = descriptor, self._descriptor, job
                os.fsync(folder)
            except OSError as error:
                raise self._files.failure(error) from error

        try:
            yield publish
        finally:
            os.close(folder)
            os.close(descriptor)  # of the old file, or of a new one that does not count
            if self.job is not job:
                with contextlib.suppress(OSError):  # `clean` removes it later
                    written.unlink(missing_ok=True)


def _rename(source: Path, target: Path, descriptor: int) -> None:
    try:
        os.rename(source, target)
    except OSError:
        if not same_file(target, os.fstat(descriptor)):
            raise  # else a file server has done it, and its answer was lost


def claim_listed(spool: Listing, queue: Queue, clock: Callable[[], float]) -> Iterator[Claim]:
    """Claim along the queue as it is now; before each step, the jobs of workers that have died meanwhile."""
    names = spool.names(queue)
    yield from claim_abandoned(spool, queue)
    for name in names:
        if claim := _claim_readable(spool, queue, name, clock):
            yield claim
            yield from claim_abandoned(spool, queue)


def claim_abandoned(spool: Listing, queue: Queue) -> Iterator[Claim]:
    """Claim the jobs of a queue whose workers died."""
    for name in spool.names("claimed"):
        try:
            if jobs.decode(name, content(spool.directory / "claimed" / name)).queue != queue:
                continue  # the other queue's workers claim it: do not even touch its lock
        except FileNotFoundError:
            continue  # its worker has just moved it on
        except (OSError, BadRequest):
            pass  # try_claim says what is wrong with it
        if claim := _claim_readable(spool, "claimed", name, lambda: math.inf):
            yield claim


def _claim_readable(spool: Listing, folder: str, name: str, clock: Callable[[], float]) -> Claim | None:
    """Claim a job; one that this user may not read is named once, and stays where it is: it stops no other job."""
    try:
        return try_claim(spool.files, folder, name, clock)
    except UnreadableJob as error:
        if name not in spool.unreadable:
            spool.unreadable.add(name)
            _log(str(error))
        return None


def try_claim(files: JobFiles, folder: str, name: str, clock: Callable[[], float]) -> Claim | None:
    """Claim the job file of that name; None if it is gone, held by another process, or not due."""
    path = files.directory / folder / name
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in _NO_JOB_FILE:
            quarantine(files, path, f"no valid job: it cannot be opened ({error.strerror})")
            return None
        if isinstance(error, PermissionError):
            raise UnreadableJob(
                f"spool {path}: this user may not read it; put the users of the spool into one group, as `ckanpackager "
                "check` says",
                public=OUR_FAULT,
            ) from error
        raise files.failure(error) from error
    claim = None
    try:
        claim = _lock(files, descriptor, path, clock)
    except BadRequest as error:
        quarantine(files, path, str(error))
    except OSError as error:
        raise files.failure(error) from error
    finally:
        if claim is None:
            os.close(descriptor)
    if claim is not None and folder != "claimed":
        try:
            claim.move("claimed")
        except SpoolFailure:
            claim.close()
            raise
    return claim


def quarantine(files: JobFiles, path: Path, reason: str) -> None:
    """Move a file that is no valid job to failed/, with the reason beside it, so that it stops nothing else."""
    if path.parent.name == "failed":
        return  # it is there already
    target = files.directory / "failed" / os.fsdecode(os.fsencode(path.name)[:200])  # longer names leave no room
    if os.path.lexists(target):
        target = target.with_name(f"{os.urandom(4).hex()}-{target.name}")
    try:
        os.rename(path, target)
        _write_reason(files, target.with_name(f"{target.name}.reason"), reason)
    except FileNotFoundError:
        return  # another worker was faster
    except OSError as error:
        raise files.failure(error) from error
    _log(f"spool: {one_line(path.name)} was moved to failed/: {reason}")


def _write_reason(files: JobFiles, path: Path, reason: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        files.give_modes(descriptor)
        file.write(f"{reason}\n")


def _log(words: str) -> None:
    import logging  # here, since the receiver claims nothing and should start fast

    logging.getLogger("ckanpackager").error("%s", words)


def _lock(files: JobFiles, descriptor: int, path: Path, clock: Callable[[], float]) -> Claim | None:
    from filelock import lock_descriptor  # here, since the receiver claims nothing and should start fast

    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode):
        raise BadRequest("no valid job: not a regular file")
    if _waits(state, clock()) or not lock_descriptor(descriptor, blocking=False):
        return None
    if not same_file(path, state):  # its holder moved or rewrote it between our open and our lock
        return None
    if path.suffix != ".json" or not is_id(path.stem):
        raise BadRequest("no valid job: its name is not one of a job file")
    with open(descriptor, "rb", closefd=False) as file:
        return Claim(files, jobs.decode(path.stem, file.read()), descriptor, path.parent.name)


def _waits(state: os.stat_result, now: float) -> bool:
    """Whether a job is not due yet.

    One whose last change itself lies in the future was changed before the clock jumped back, and is due.
    """
    return now < state.st_mtime and state.st_ctime < now + MAX_CLOCK_SKEW
