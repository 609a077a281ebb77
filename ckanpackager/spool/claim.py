"""A job that one worker holds, by the lock of its file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from ckanpackager.jobs import job as jobs
from ckanpackager.jobs.job import Job
from ckanpackager.spool.job_files import JobFiles


class Claim:
    """A job that this process alone may work on, until it lets go by `finish`, `fail`, `release` or `close`."""

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
        """Write a change to disk, but let it count only when the function that the block gets is called.

        For a deed that must not be done twice: between it and its note there is then but a rename.
        """
        return self._written(msgspec.structs.replace(self.job, **changes), None)

    def release(self, until: float, **changes: Any) -> None:
        """Change the job and let it wait in its queue until a time."""
        self._rewrite(msgspec.structs.replace(self.job, **changes), until)
        self.move(self.job.queue)
        self.close()

    def finish(self, **changes: Any) -> None:
        self._end("done", changes)

    def fail(self, **changes: Any) -> None:
        self._end("failed", changes)

    def close(self) -> None:
        """Let go of the lock, whatever folder the file is in."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def move(self, folder: str) -> None:
        try:
            self._files.rename(self._path, self._files.path(folder, self.job.id))
        except OSError as error:
            raise self._files.failure(error) from error
        self._folder = folder

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
        """Write a new file and lock it; the function renames it over the old one: no moment is without a lock."""
        from filelock import lock_descriptor

        try:
            descriptor, written = self._files.write(job.id, jobs.encode(job), modified)
        except OSError as error:
            raise self._files.failure(error) from error
        lock_descriptor(descriptor, blocking=False)

        def publish() -> None:
            nonlocal descriptor
            try:
                self._files.publish(written, self._path)
            except OSError as error:
                raise self._files.failure(error) from error
            self._descriptor, descriptor, self.job = descriptor, self._descriptor, job

        try:
            yield publish
        finally:
            os.close(descriptor)  # the old one, or that of a file which did not come to count
            if self.job is not job:
                written.unlink(missing_ok=True)
