"""The spool: job files that are claimed by locking them and moved on by renaming them.

    tmp/      being written; never read         claimed/  a worker holds the lock of the file
    fast/     waiting, short jobs               failed/   given up, or no job at all
    slow/     waiting, long jobs                done/     finished

`ls` shows the state of everything.  The lock is on the job file's own descriptor: it follows the file through its
renames, leaves nothing to clean up, and the kernel frees it when the worker dies.  A file in claimed/ whose lock is
free is therefore a dead worker's, and the next worker goes on with it.  A modification time in the future means: not
yet (as in Postfix's deferred queue).  Nothing else in the house knows these files.
"""

from __future__ import annotations

import errno
import math
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from ckanpackager.errors import BadRequest
from ckanpackager.jobs import job as jobs
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.request import Queue
from ckanpackager.spool.claim import Claim
from ckanpackager.spool.job_files import JobFiles, content

FOLDERS = ("tmp", "fast", "slow", "claimed", "failed", "done", "workers")
OPEN = ("fast", "slow", "claimed")
STATES = ("fast", "slow", "claimed", "done", "failed")
MAX_CLOCK_SKEW = 3600  # seconds; no two hosts that share a spool have clocks so far apart
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}")
_NO_JOB_FILE = {errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ENXIO}


class Spool:
    """The spool in `directory`, which `prepare` makes where it is missing."""

    def __init__(self, directory: Path) -> None:
        self.files = JobFiles(directory)

    @property
    def directory(self) -> Path:
        return self.files.directory

    def prepare(self) -> None:
        """Make what is missing of the directories.  Raises TemporaryFailure."""
        try:
            if not self.directory.is_dir():
                self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in FOLDERS:
                folder = self.directory / name
                if not folder.is_dir():
                    folder.mkdir(mode=0o700, exist_ok=True)
                    folder.chmod(0o2770 if self.files.shared else 0o700)
        except OSError as error:
            raise self.files.failure(error) from error

    def enqueue(self, job: Job) -> str:
        """Write a job into its queue; once this returns its id, it is durably on disk.  Raises TemporaryFailure."""
        whole, fraction = divmod(round(job.created * 1e6), 1_000_000)
        id = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(whole))}{fraction:06d}-{os.urandom(16).hex()}"
        try:
            descriptor, written = self.files.write(id, jobs.encode(job))
            os.close(descriptor)
            try:
                self.files.publish(written, self.files.path(job.queue, id))
            except OSError:
                self.files.path(job.queue, id).unlink(missing_ok=True)  # it may be there, but whoever asked is told no
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
            for claim in self._due(queue, clock):
                found = True
                yield claim

    def claim(self, id: str, folder: str) -> Claim | None:
        """Claim one job of a folder, due or not; None if it is not there or somebody holds it."""
        return self.try_claim(folder, f"{id}.json", lambda: math.inf) if _ID.fullmatch(id) else None

    def find(self, id: str) -> tuple[str, Job] | None:
        """The folder that a job is in, and the job; None if there is none of that id."""
        if not _ID.fullmatch(id):
            return None
        for folder in STATES * 2:  # twice: it may move on while we look
            try:
                return folder, jobs.decode(id, content(self.files.path(folder, id)))
            except FileNotFoundError:
                continue
            except BadRequest:
                return None
            except OSError as error:
                raise self.files.failure(error) from error
        return None

    def open_jobs_of(self, email: str) -> int:
        """How many jobs wait or are worked on for an e-mail address, whatever its case."""
        address = email.lower()
        return sum(job.request.email.lower() == address for queue in OPEN for job in self.jobs(queue))

    def oldest(self, queue: Queue) -> float | None:
        """When the first job of a queue arrived, in seconds since 1970; None if none waits."""
        return next((job.created for job in self.jobs(queue)), None)

    def changed_since(self, folder: str, moment: float) -> int:
        """How many jobs have come into a folder since then."""
        try:
            with os.scandir(self.directory / folder) as entries:
                files = [entry for entry in entries if entry.name.endswith(".json")]
                return sum(entry.stat(follow_symlinks=False).st_mtime >= moment for entry in files)
        except OSError as error:
            raise self.files.failure(error) from error

    def jobs_ahead(self, id: str, queue: Queue, most: int | None = None) -> int:
        """How many jobs of its queue came before that one, counted to `most` at the most: a queue may be long."""
        try:
            with os.scandir(self.directory / queue) as entries:
                return sum(1 for _ in islice((entry for entry in entries if entry.name < f"{id}.json"), most))
        except OSError as error:
            raise self.files.failure(error) from error

    def not_before(self, job: Job) -> float:
        """The time before which a waiting job is not claimed; 0 if it has moved on."""
        try:
            return self.files.path(job.queue, job.id).stat().st_mtime
        except OSError:
            return 0.0

    def length(self, folder: str) -> int:
        """How many jobs, or what was taken for one, are in a folder.  Raises TemporaryFailure."""
        return sum(not name.endswith(".reason") for name in self.names(folder))

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder, by time of arrival.  Raises TemporaryFailure."""
        try:
            return sorted(os.listdir(self.directory / folder))
        except OSError as error:
            raise self.files.failure(error) from error

    def jobs(self, folder: str) -> Iterator[Job]:
        """The jobs in a folder, by time of arrival; those that move on or are broken meanwhile are left out."""
        for name in self.names(folder):
            try:
                yield jobs.decode(name.removesuffix(".json"), content(self.directory / folder / name))
            except (OSError, BadRequest):
                continue

    def remove_older(self, folder: str, than: float) -> int:
        """Remove the files of `tmp`, `done` or `failed` that were last changed before `than`; how many."""
        removed = 0
        for name in self.names(folder):
            path = self.directory / folder / name
            try:
                state = path.lstat()
                if state.st_mtime < than and not stat.S_ISDIR(state.st_mode):
                    path.unlink()
                    removed += 1
            except FileNotFoundError:
                continue  # another `clean` was faster
            except OSError as error:
                raise self.files.failure(error) from error
        return removed

    def _due(self, queue: Queue, clock: Callable[[], float]) -> Iterator[Claim]:
        """One walk along the queue as it is now, with a look for dead workers' jobs before each step."""
        names = self.names(queue)
        yield from self.claim_abandoned(queue)
        for name in names:
            if claim := self.try_claim(queue, name, clock):
                yield claim
                yield from self.claim_abandoned(queue)

    def claim_abandoned(self, queue: Queue) -> Iterator[Claim]:
        for name in self.names("claimed"):
            try:
                if jobs.decode(name, content(self.directory / "claimed" / name)).queue != queue:
                    continue  # the other queue's workers look after it: do not even touch its lock
            except OSError:
                continue  # its worker has just moved it on
            except BadRequest:
                pass  # set aside by try_claim
            if claim := self.try_claim("claimed", name, lambda: math.inf):
                yield claim

    def try_claim(self, folder: str, name: str, clock: Callable[[], float]) -> Claim | None:
        path = self.directory / folder / name
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in _NO_JOB_FILE:
                self.quarantine(path, f"no valid job: it cannot be opened ({error.strerror})")
                return None
            raise self.files.failure(error) from error
        claim = None
        try:
            claim = self._lock(descriptor, path, clock)
        except BadRequest as error:
            self.quarantine(path, str(error))
        except OSError as error:
            raise self.files.failure(error) from error
        finally:
            if claim is None:
                os.close(descriptor)
        if claim is not None and folder != "claimed":
            claim.move("claimed")
        return claim

    def _lock(self, descriptor: int, path: Path, clock: Callable[[], float]) -> Claim | None:
        from filelock import lock_descriptor  # here, since the receiver claims nothing and should start fast

        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise BadRequest("no valid job: not a regular file")
        if _waits(state, clock()) or not lock_descriptor(descriptor, blocking=False):
            return None
        if not _is(path, state):  # its holder moved or rewrote it between our open and our lock
            return None
        if path.suffix != ".json" or not _ID.fullmatch(path.stem):
            raise BadRequest("no valid job: its name is not one of a job file")
        with open(descriptor, "rb", closefd=False) as file:
            return Claim(self.files, jobs.decode(path.stem, file.read()), descriptor, path.parent.name)

    def quarantine(self, path: Path, reason: str) -> None:
        """What is no job must stop nothing else: move it to failed/, with the reason beside it."""
        if path.parent.name == "failed":
            return  # it is there already
        target = self.directory / "failed" / os.fsdecode(os.fsencode(path.name)[:200])  # longer names leave no room
        if os.path.lexists(target):
            target = target.with_name(f"{os.urandom(4).hex()}-{target.name}")
        try:
            os.rename(path, target)
            target.with_name(f"{target.name}.reason").write_text(f"{reason}\n")
        except FileNotFoundError:
            pass  # another worker was faster
        except OSError as error:
            raise self.files.failure(error) from error


def _waits(state: os.stat_result, now: float) -> bool:
    """Whether a job's time has not come; one last touched in the future was so before the clock jumped back."""
    return now < state.st_mtime and state.st_ctime < now + MAX_CLOCK_SKEW


def _is(path: Path, state: os.stat_result) -> bool:
    try:
        now = os.lstat(path)
    except FileNotFoundError:
        return False
    return (now.st_dev, now.st_ino) == (state.st_dev, state.st_ino)
