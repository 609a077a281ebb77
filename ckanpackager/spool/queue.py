"""The spool: job files that are claimed by locking them and moved on by renaming them.

    tmp/      being written; never read         claimed/  a worker holds the lock of the file
    fast/     waiting, short jobs               failed/   failed for good, or no valid job
    slow/     waiting, long jobs                done/     finished
    workers/  one file per worker slot          alerts/   what administrators were told
    named/    one file per named package: its last refresh
    building/ locks of archives being built     accepted/ when requests of each address were accepted
    runs/     one file per command that cron runs: its last run

`ls` shows the state of everything.  The lock is on the job file's own descriptor: it follows the file through its
renames, leaves nothing to clean up, and the kernel frees it when the worker dies.  A file in claimed/ whose lock is
free therefore belonged to a dead worker, and the next worker resumes it.  A modification time in the future means: not
yet (as in Postfix's deferred queue).  No other package knows these files.
"""

import contextlib
import math
import os
import stat
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from ckanpackager.errors import SpoolFailure
from ckanpackager.jobs import job as jobs
from ckanpackager.jobs.email_address import comparable
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.request import Queue
from ckanpackager.spool import accepted, building, refreshes, runs, worker_slots
from ckanpackager.spool.claim import Claim, claim_listed, try_claim
from ckanpackager.spool.job_files import id_time, is_id, remove_unlocked, same_file
from ckanpackager.spool.listing import Listing

FOLDERS = (
    *("tmp", "fast", "slow", "claimed", "failed", "done", "workers", "building", "alerts"),
    *(refreshes.FOLDER, runs.FOLDER, accepted.FOLDER),
)
ACCEPTING = 10  # seconds that a receiver waits for others that count the jobs of the same e-mail address


class Spool(Listing):
    """The spool in `directory`, which `prepare` makes where it is missing.  Raises TemporaryFailure."""

    def prepare(self) -> None:
        """Make the directories that are missing."""
        try:
            if not self.directory.is_dir():
                self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in FOLDERS:
                folder = self.directory / name
                if not folder.is_dir():
                    folder.mkdir(mode=0o700, exist_ok=True)
                    self._give_modes(folder)
        except OSError as error:
            raise self.files.failure(error) from error

    def _give_modes(self, folder: Path) -> None:
        if os.geteuid() == 0:  # the folder belongs to the spool's owner, who works there
            spool = self.directory.stat()
            os.chown(folder, spool.st_uid, spool.st_gid)
        folder.chmod(0o2770 if self.files.shared else 0o700)

    def check_writable(self) -> None:
        """Raises SpoolFailure if no job could be enqueued now."""
        path = self.directory / "tmp" / f"health.{os.urandom(4).hex()}"
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            path.unlink()
        except OSError as error:
            raise self.files.failure(error) from error

    def enqueue(self, job: Job) -> str:
        """Write a job into its queue; once this returns its id, it is durably on disk."""
        id = f"{id_time(job.created)}-{os.urandom(16).hex()}"
        try:
            descriptor, written = self.files.write(id, jobs.encode(job))
            os.close(descriptor)
            try:
                self.files.publish(written, self.files.path(job.queue, id))
            except OSError:
                self.files.path(job.queue, id).unlink(missing_ok=True)  # it may be there, but the caller is told no
                raise
        except OSError as error:
            raise self.files.failure(error) from error
        return id

    def claim_due(self, queue: Queue, clock: Callable[[], float]) -> Iterator[Claim]:
        """Claim the jobs of a queue that are due, one after the other, those of dead workers first; end when none is.

        The directory is listed once for many jobs, so 100,000 waiting ones cost no more than ten.
        """
        found = True
        while found:
            found = False
            for claim in claim_listed(self, queue, clock):
                found = True
                yield claim

    def claim(self, id: str, folder: str) -> Claim | None:
        """Claim one job of a folder, due or not; None if it is not there or another process holds it."""
        return try_claim(self.files, folder, f"{id}.json", lambda: math.inf) if is_id(id) else None

    def acquire_slot(self, queue: Queue, count: int) -> worker_slots.Slot | None:
        """A free worker slot of the `count` that a queue has; None if all are taken."""
        return worker_slots.acquire(self.directory / "workers", queue, count)

    def building(self, key: str, pause: Callable[[float], None] = time.sleep) -> AbstractContextManager[None]:
        """Hold the lock of an archive's key; while another worker holds it, look again after each `pause(seconds)`."""
        return building.lock(self.directory / "building", key, pause)

    def is_building(self, key: str) -> bool:
        """Whether a worker builds an archive of that key."""
        return building.is_locked(self.directory / "building", key)

    def record_refresh(self, package: str, record: refreshes.RefreshRecord) -> None:
        """Record that the source of a named package was looked at."""
        refreshes.write(self.files, package, record)

    def record_run(self, command: str) -> None:
        """Record that a command did its work now."""
        runs.record(self.files, command)

    def remove_ended_of(self, email: str) -> int:
        """Remove the files of the jobs that have ended for an e-mail address, compared without case; how many.

        What is known of its last requests goes with them.
        """
        address, removed = comparable(email), 0
        for folder in ("done", "failed"):
            for job in self.jobs(folder):
                if comparable(job.request.email) == address:
                    try:
                        self.files.path(folder, job.id).unlink(missing_ok=True)
                    except OSError as error:
                        raise self.files.failure(error) from error
                    removed += 1
        accepted.forget(self.files, email)
        return removed

    @contextlib.contextmanager
    def accepting(self, email: str) -> Iterator[None]:
        """Hold a lock while the jobs of an e-mail address are counted and another one is enqueued."""
        number = zlib.crc32(comparable(email).encode()) % 256  # so many locks will do
        descriptor = self._lock(self.directory / "tmp" / f"accepting-{number}")
        try:
            yield
        finally:
            os.close(descriptor)

    def _lock(self, path: Path) -> int:
        from filelock import lock_descriptor  # here: most receivers have no such limit, and should start fast

        deadline = time.monotonic() + ACCEPTING
        while True:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    if os.fstat(descriptor).st_uid == os.geteuid():
                        self.files.give_modes(descriptor)
                    if lock_descriptor(descriptor, blocking=False) and same_file(path, os.fstat(descriptor)):
                        return descriptor  # else `clean` has removed the file between our open and our lock
                except BaseException:
                    os.close(descriptor)
                    raise
                os.close(descriptor)
            except OSError as error:
                raise self.files.failure(error) from error
            if time.monotonic() > deadline:
                raise SpoolFailure(f"spool {path}: locked for {ACCEPTING} s by another receiver")
            time.sleep(0.01)

    def remove_older(self, folder: str, than: float, *, dry_run: bool = False) -> int:
        """Remove the files of a folder that were last changed before `than`; how many, or how many there are.

        A file in `tmp` or `building` that is locked stays, however old: a worker needs it.
        """
        removed = 0
        for name in self.names(folder):
            path = self.directory / folder / name
            try:
                state = path.lstat()
                if state.st_mtime < than and not stat.S_ISDIR(state.st_mode):
                    remove = remove_unlocked if folder in ("tmp", "building") else _remove
                    removed += remove(path, dry_run=dry_run)
            except FileNotFoundError:
                continue  # another `clean` was faster
            except OSError as error:
                raise self.files.failure(error) from error
        return removed


def _remove(path: Path, *, dry_run: bool) -> bool:
    if not dry_run:
        path.unlink()
    return True
