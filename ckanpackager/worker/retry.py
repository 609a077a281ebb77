"""When a failed job is tried again, and when it is not.  Pure: no files, no clock, no network."""

from msgspec.structs import replace

from ckanpackager.config.settings import Spool
from ckanpackager.errors import NoRoom, TemporaryFailure, Unanswered
from ckanpackager.jobs.job import Attempt, Job, Kind

DAY = 86400  # seconds
LONGEST_ASKED = DAY  # a site that asks for a longer pause is asked again after a day
UNANSWERED = 3600  # seconds until a mail is sent again that may have been accepted; doubled up to a day
LONG = 3600  # seconds of failures after which administrators are told
LISTED = 20  # failures of one step in a row that a job lists one by one


def deaths(job: Job) -> int:
    """How many workers have died while they worked on the job."""
    return sum(attempt.outcome == "died" for attempt in job.recent_attempts)


def failures(job: Job, kind: Kind) -> list[Attempt]:
    """The attempts that failed for now at a step of that kind, since it last waited for room."""
    of_kind = [attempt for attempt in job.recent_attempts if attempt.kind == kind]
    last_full = max((at for at, attempt in enumerate(of_kind) if attempt.outcome == "full"), default=-1)
    return [attempt for attempt in of_kind[last_full + 1 :] if attempt.outcome in ("retry", "unanswered")]


def failing_since(job: Job, kind: Kind) -> float | None:
    """When a step of that kind first failed for now."""
    return next((attempt.ended for attempt in failures(job, kind)), None)


def delay(job: Job, kind: Kind, error: TemporaryFailure, settings: Spool, *, now: float, chance: float) -> float | None:
    """Seconds until the next attempt after a failure that the job lists; None if it was retried for long enough.

    The delay doubles with each attempt.  Up to a tenth is added by `chance` (0 to 1), so that jobs that failed together
    do not all come back at once.
    """
    if isinstance(error, NoRoom):  # however long that takes
        waited = sum(attempt.times for attempt in job.recent_attempts if attempt.outcome == "full")
        return _doubled(settings.retry_delay, waited, settings.retry_delay_max) * (1 + chance / 10)
    failed, since = failures(job, kind), failing_since(job, kind)
    if since is not None and now - since >= getattr(settings.retry_for, kind) * DAY:
        return None
    seconds = _doubled(settings.retry_delay, sum(a.times for a in failed), settings.retry_delay_max)
    if isinstance(error, Unanswered):
        unanswered = sum(a.times for a in failed if a.outcome == "unanswered")
        seconds = max(seconds, _doubled(UNANSWERED, unanswered, DAY))
    return max(seconds * (1 + chance / 10), min(error.retry_after or 0, LONGEST_ASKED))


def with_failure(job: Job, failure: Attempt) -> Job:
    """The job with one more attempt, which replaces the last one if the same step has failed very often in a row.

    A job that is retried for days must not grow without bound.
    """
    last = job.recent_attempts[-LISTED:]
    if len(last) == LISTED and all((a.step, a.outcome) == (failure.step, failure.outcome) for a in last):
        failure = replace(failure, started=last[-1].started, times=last[-1].times + 1)
        return replace(job, attempts=(*job.attempts[:-1], failure))
    return replace(job, attempts=(*job.attempts, failure))


def _doubled(first: float, failed: int, most: float) -> float:
    return min(first * 2.0 ** min(failed - 1, 60), most)
