"""The failures of late, for administrators: the last ones first, with what went wrong."""

import heapq
from typing import NamedTuple

from ckanpackager.errors import BadRequest
from ckanpackager.jobs import job as jobs
from ckanpackager.jobs.job import Job
from ckanpackager.spool.job_files import content
from ckanpackager.spool.listing import Listing

_LONGEST_REASON = 500  # bytes


class Failure(NamedTuple):
    """A file in failed/, and when it came there, in seconds since 1970; without a job it is no valid one."""

    name: str
    at: float
    reason: str
    job: Job | None = None


def recent_failures(spool: Listing, since: float, most: int) -> list[Failure]:
    """The last failures since then, the last one first; only so many files are read.  Raises TemporaryFailure."""
    found = ((at, name) for at, name in spool.changes("failed") if at >= since and not name.endswith(".reason"))
    last = heapq.nlargest(most, found)
    return [_failure(spool, name, at) for at, name in last]


def _failure(spool: Listing, name: str, at: float) -> Failure:
    path = spool.directory / "failed" / name
    try:
        job = jobs.decode(name.removesuffix(".json"), content(path))
    except (OSError, BadRequest) as error:
        try:
            reason = content(path.with_name(f"{name}.reason"))[:_LONGEST_REASON].decode(errors="replace").strip()
        except OSError:
            reason = str(error)
        return Failure(name, at, reason)
    return Failure(name, at, job.failure or "no reason is recorded", job)
