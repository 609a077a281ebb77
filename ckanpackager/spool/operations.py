"""What administrators do to single jobs: retry one that has failed, cancel one that waits.

Raises TemporaryFailure with the reason where that cannot be, BadRequest for what is no valid job.
"""

import time

import msgspec

from ckanpackager.errors import TemporaryFailure
from ckanpackager.jobs.request import QUEUES, Queue
from ckanpackager.spool.queue import Spool

CANCELLED = "the request was cancelled by the administrators"


def retry(spool: Spool, id: str, key: str | None = None) -> Queue:
    """Return a failed job to its queue as if it had just come; if it fails again, its requester is told again.

    Args:
        key: an API key for the job; its own was removed when it ended.  Only what is not packaged yet needs one.
    """
    found = spool.find(id)
    if found and found[0] == "failed" and found[1].needs_key and key is None:
        raise TemporaryFailure(f"{id}: its API key was removed when it ended; retry it with --key KEY")
    if (claim := spool.claim(id, "failed")) is None:
        raise TemporaryFailure(f"{id}: {_why_not(spool, id, 'failed')}")
    request = claim.job.request
    claim.release(
        time.time(),
        request=request if key is None else msgspec.structs.replace(request, key=key),
        key_removed=claim.job.key_removed and key is None,
        mistaken=False,
        attempts_before_retry=len(claim.job.attempts),
        failure=None,
        public_failure=None,
        failure_kind=None,
        failure_mailed_at=None,
        error_counted_at=None,
        finished_at=None,
        alerted=False,
    )
    return claim.job.queue


def cancel(spool: Spool, id: str) -> None:
    """Cancel a waiting job; the next worker tells its requester."""
    for folder in QUEUES:
        if claim := spool.claim(id, folder):
            if claim.job.link_may_be_mailed:
                claim.move(folder)
                claim.close()
                mailed = claim.job.link_mailed_at is not None
                why = "is mailed, and only statistics are missing" if mailed else "may be mailed already"
                raise TemporaryFailure(f"{id}: it is too late: its link {why}")
            failure = claim.job.failure or CANCELLED
            public = claim.job.public_failure or CANCELLED
            claim.release(time.time(), cancelled=True, failure=failure, public_failure=public)
            return
    raise TemporaryFailure(f"{id}: {_why_not(spool, id, 'waiting')}")


def _why_not(spool: Spool, id: str, wanted: str) -> str:
    found = spool.find(id)
    if found is None:
        return "there is no such job; `ckanpackager status` shows what there is"
    states = {"claimed": "a worker is at it", "done": "it is done", "failed": "it has failed"}
    return f"it is not {wanted}: {states.get(found[0], 'it is waiting')}"
