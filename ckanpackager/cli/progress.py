"""A line on the terminal with the progress of a job; nothing where there is no terminal."""

import sys
import time

import click

from ckanpackager.jobs.job import Job
from ckanpackager.spool.queue import Spool

_WIDTH = 24
WORKER_PATIENCE = 10.0  # seconds
CRON = 90.0  # seconds; cron starts `process` every minute


class Progress:
    """Rows, rate and remaining time of the current job."""

    def __init__(self, *, quiet: bool) -> None:
        self._shown = not quiet and sys.stderr.isatty()
        self._job = ""
        self._began = 0.0

    def show(self, job: Job, rows: int, expected: int | None) -> None:
        """What a worker in this process reports."""
        if job.id != self._job:
            self._job, self._began = job.id, time.monotonic()
        self._print(f"{job.request.resource_id}  {line(rows, expected, time.monotonic() - self._began)}")

    def waiting(self, spool: Spool, folder: str, job: Job) -> None:
        """What another process's worker says of the job, or how many are ahead of it."""
        if folder != "claimed":
            ahead = spool.jobs_ahead(job.id, job.queue)
            self._print(f"waiting in {job.queue}, {ahead} ahead")
        for worker in spool.active_workers():
            if worker.job == job.id:
                self._print(line(worker.rows, worker.expected, time.time() - worker.since))

    def close(self) -> None:
        if self._shown:
            click.echo("\r\x1b[K", nl=False, err=True)

    def _print(self, text: str) -> None:
        if self._shown:
            click.echo(f"\r\x1b[K{text}", nl=False, err=True)


class WorkerHint:
    """Says once that nothing works on a job that is followed, after it has been so for some seconds."""

    def __init__(self, patience: float, *, quiet: bool) -> None:
        self._patience, self._said = patience, quiet
        self._since: float | None = None

    def look(self, *, idle: bool) -> None:
        """Hear whether the job waits, is due, and no worker runs."""
        now = time.monotonic()
        self._since = (self._since or now) if idle else None
        if not self._said and self._since is not None and now - self._since >= self._patience:
            self._said = True
            words = "no worker is running; start `ckanpackager process`, from cron or with --loop"
            click.echo(f"ckanpackager: {words}", err=True)


def line(rows: int, expected: int | None, seconds: float) -> str:
    """Progress in words: a bar where the end is known."""
    rate = rows / seconds if seconds > 0 else 0.0
    said = f"{rows:,} rows, {rate:,.0f} rows/s"
    if not expected:
        return said
    filled = min(_WIDTH, _WIDTH * rows // expected)
    left = f", {_duration((expected - rows) / rate)} left" if rate and rows < expected else ""
    return f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {100 * rows // expected}% of {expected:,}: {said}{left}"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
