"""How many requests one e-mail address may have: open ones, and ones within a day."""

import contextlib
import math
import time

from ckanpackager.config.settings import Receiver
from ckanpackager.errors import TemporaryFailure, TooMany
from ckanpackager.jobs.job import Job
from ckanpackager.spool import accepted
from ckanpackager.spool.queue import Spool

RETRY_AFTER = 60  # seconds, for a requester with too many open requests


def enqueue(job: Job, limits: Receiver, spool: Spool) -> str:
    """Enqueue a job; its id.  Raises TooMany if its requester has reached a limit, TemporaryFailure."""
    open_jobs, daily, email = limits.max_jobs_per_email, limits.max_jobs_per_email_per_day, job.request.email
    if open_jobs is None and daily is None:
        return spool.enqueue(job)
    with spool.accepting(email):
        if open_jobs is not None and spool.open_jobs_of(email) >= open_jobs:
            words = f"{email} has {open_jobs} open requests already; please wait for one of them to be done"
            raise TooMany(words, "too many open requests of one address", RETRY_AFTER)
        if daily is None:
            return spool.enqueue(job)
        now = time.time()  # not job.created: a request that came later may have been faster
        known = accepted.times(spool.files, email, now)
        if len(known) >= daily:
            seconds = max(1, math.ceil(known[-daily] + accepted.DAY - now))
            words = f"{email} has made {len(known)} requests within 24 hours, and {daily} are allowed; please try again"
            raise TooMany(f"{words} in {_hours(seconds)}", "too many requests of one address within a day", seconds)
        accepted.write(spool.files, email, [*known, now])
        try:
            return spool.enqueue(job)
        except BaseException:
            with contextlib.suppress(TemporaryFailure):  # of the same disk; then it counts for a day
                accepted.write(spool.files, email, known)
            raise


def _hours(seconds: int) -> str:
    hours = math.ceil(seconds / 3600)
    return f"{hours} hour{'' if hours == 1 else 's'}"
