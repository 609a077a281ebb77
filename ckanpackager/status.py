"""How the house stands: what waits and since when, who works on what, what has failed."""

from msgspec import Struct

from ckanpackager.jobs.request import QUEUES
from ckanpackager.spool import worker_slots
from ckanpackager.spool.queue import Spool

DAY = 86400


class Overview(Struct, frozen=True):
    """Numbers of jobs by folder; the oldest waiting one's age in seconds; jobs given up in the last 24 hours."""

    jobs: dict[str, int]
    oldest: float | None
    failed_lately: int
    workers: list[worker_slots.Worker]


def overview(spool: Spool, now: float) -> Overview:
    """Look at the spool.  Raises TemporaryFailure."""
    arrivals = [arrival for queue in QUEUES if (arrival := spool.oldest(queue)) is not None]
    return Overview(
        jobs={folder: spool.length(folder) for folder in (*QUEUES, "claimed", "failed", "done")},
        oldest=max(0.0, now - min(arrivals)) if arrivals else None,
        failed_lately=spool.changed_since("failed", now - DAY),
        workers=spool.active_workers(),
    )


def duration(seconds: float) -> str:
    """A time in words, to its largest unit."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number} {unit}{'s' if number > 1 else ''}"
    return f"{int(seconds)} s"
