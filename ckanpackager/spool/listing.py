"""Looking at the spool: which jobs are where, how many, and who works on what.  Raises TemporaryFailure."""

import contextlib
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from ckanpackager.errors import BadRequest
from ckanpackager.jobs import job as jobs
from ckanpackager.jobs.email_address import comparable
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.request import Queue
from ckanpackager.spool import alerts, refreshes, runs, worker_slots
from ckanpackager.spool.job_files import JobFiles, content, is_id

OPEN = ("fast", "slow", "claimed")
STATES = (*OPEN, "done", "failed")
_FIRST = 10_000  # jobs of a queue that are looked at; those that workers claim first


class Waiting(NamedTuple):
    """How many jobs wait, when the first of them arrived, and since when one has been due; times since 1970."""

    length: int
    oldest: float | None
    overdue_since: float | None


class Listing:
    """What the spool in `directory` holds."""

    def __init__(self, directory: Path) -> None:
        self.files = JobFiles(directory)
        self.unreadable: set[str] = set()  # names of job files that this user may not read

    @property
    def directory(self) -> Path:
        return self.files.directory

    def find(self, id: str) -> tuple[str, Job] | None:
        """The folder that a job is in, and the job; None if there is none of that id.

        Raises BadRequest if there is a file of that name that is no valid job.
        """
        if not is_id(id):
            return None
        for folder in STATES * 2:  # twice: it may move on while we look
            try:
                return folder, jobs.decode(id, content(self.files.path(folder, id)))
            except FileNotFoundError:
                continue
            except BadRequest as error:
                raise BadRequest(f"{id}: its file in {folder}/ is {error}") from None
            except OSError as error:
                raise self.files.failure(error) from error
        return None

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder, by time of arrival."""
        try:
            return sorted(os.listdir(self.directory / folder))
        except OSError as error:
            raise self.files.failure(error) from error

    def ids(self, folder: str) -> list[str]:
        """The ids of the jobs in a folder, by time of arrival, and the names of files that are no valid jobs."""
        return [name.removesuffix(".json") for name in self.names(folder) if not name.endswith(".reason")]

    def jobs(self, folder: str) -> Iterator[Job]:
        """The jobs in a folder, by time of arrival; those that move on or are broken meanwhile are left out."""
        return self._jobs(folder, self.names(folder))

    def _jobs(self, folder: str, names: list[str]) -> Iterator[Job]:
        for name in names:
            try:
                yield jobs.decode(name.removesuffix(".json"), content(self.directory / folder / name))
            except (OSError, BadRequest):
                continue

    def archives_in_use(self) -> set[str]:
        """The directories of the archives that open jobs have, or are going to have."""
        folders = ("claimed", "fast", "slow", "claimed")  # a job that moves on meanwhile is met in one of them
        open_jobs = [job for folder in folders for job in self.jobs(folder)]
        directories = {job.archive.name.partition("/")[0] for job in open_jobs if job.archive}
        return directories | {job.archive_directory for job in open_jobs if job.archive_directory}

    def length(self, folder: str) -> int:
        """How many jobs are in a folder, files that are no valid jobs included."""
        return len(self.ids(folder))

    def jobs_ahead(self, id: str, queue: Queue, most: int | None = None) -> int:
        """How many jobs of its queue came before that one; counting stops at `most`, since a queue may be long."""
        try:
            with os.scandir(self.directory / queue) as entries:
                return sum(1 for _ in islice((entry for entry in entries if entry.name < f"{id}.json"), most))
        except OSError as error:
            raise self.files.failure(error) from error

    def oldest(self, queue: Queue) -> float | None:
        """When the first job of a queue arrived, in seconds since 1970; None if none waits."""
        return next((job.created for job in self.jobs(queue)), None)

    def overdue_since(self, queue: Queue, now: float) -> float | None:
        """Since when a job has been due, in seconds since 1970: the longest of the queue's first; None if none is due.

        A job that waits for its next attempt is not due.
        """
        return self._overdue_since(queue, self.names(queue), now)

    def waiting(self, queue: Queue, now: float) -> Waiting:
        """How a queue stands, by one look at its directory."""
        names = [name for name in self.names(queue) if not name.endswith(".reason")]
        oldest = next((job.created for job in self._jobs(queue, names)), None)
        return Waiting(len(names), oldest, self._overdue_since(queue, names, now))

    def _overdue_since(self, queue: Queue, names: list[str], now: float) -> float | None:
        due = []
        for name in names[:_FIRST]:
            try:
                due.append((self.directory / queue / name).lstat().st_mtime)
            except FileNotFoundError:
                continue  # it has moved on
            except OSError as error:
                raise self.files.failure(error) from error
        return min((moment for moment in due if moment <= now), default=None)

    def open_jobs_of(self, email: str) -> int:
        """How many jobs wait or are worked on for an e-mail address, compared without case."""
        return len({job.id for job in self.open_jobs(email)})

    def open_jobs(self, email: str) -> Iterator[Job]:
        """The jobs that wait or are worked on for an e-mail address, compared without case."""
        address = comparable(email)
        return (job for folder in OPEN for job in self.jobs(folder) if comparable(job.request.email) == address)

    def changed_since(self, folder: str, moment: float) -> int:
        """How many jobs have come into a folder since then."""
        return sum(changed >= moment for changed, name in self.changes(folder) if name.endswith(".json"))

    def changes(self, folder: str) -> Iterator[tuple[float, str]]:
        """When each file came into a folder, and its name; those that move on meanwhile are left out."""
        try:
            with os.scandir(self.directory / folder) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        yield entry.stat(follow_symlinks=False).st_mtime, entry.name
        except OSError as error:
            raise self.files.failure(error) from error

    def alarms_since(self, moment: float, most: int | None = None) -> int:
        """How many jobs have failed since then, but for those whose request was at fault.

        Args:
            most: how many files are read, those of the newest jobs first; what the others hold is taken for a failure.
        """
        alarms = read = 0
        for name in reversed(self.names("failed")):
            path = self.directory / "failed" / name
            try:
                if name.endswith(".json") and path.lstat().st_mtime >= moment:
                    unread = most is not None and read >= most
                    read += 1
                    alarms += unread or not jobs.decode(name.removesuffix(".json"), content(path)).mistaken
            except FileNotFoundError:
                continue
            except (OSError, BadRequest):
                alarms += 1
        return alarms

    def not_before(self, job: Job) -> float:
        """The time before which a waiting job is not claimed; 0 if it has moved on."""
        try:
            return self.files.path(job.queue, job.id).stat().st_mtime
        except OSError:
            return 0.0

    def last_refresh(self, package: str) -> refreshes.RefreshRecord | None:
        """When the source of a named package was last looked at."""
        return refreshes.read(self.files, package)

    def last_runs(self) -> dict[str, float]:
        """When `process`, `refresh` and `clean` last did their work, as far as it is known."""
        return runs.last(self.files)

    def current_alerts(self, now: float) -> list[str]:
        """What administrators were told of, and has not worked since, as far as is known."""
        return alerts.current(self.files, now)

    def clock_differences(self) -> dict[str, float]:
        """By worker at work, how many seconds the clock of its host is ahead of the file system's."""
        return worker_slots.clock_differences(self.directory / "workers")

    def active_workers(self) -> list[worker_slots.Worker]:
        """The workers that are working on a job."""
        return worker_slots.active_workers(self.directory / "workers")
