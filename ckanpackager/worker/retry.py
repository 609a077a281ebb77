"""When a failed job is tried again, and when it is not.  Pure: no files, no clock, no network."""

from ckanpackager.config.settings import Spool
from ckanpackager.jobs.job import Job

LONGEST_ASKED = 86400  # seconds: a site that asks for a longer pause is asked again after these


def deaths(job: Job) -> int:
    """How many workers have died while they worked on the job."""
    return sum(attempt.outcome == "died" for attempt in job.recent_attempts)


def failures(job: Job, step: str) -> int:
    """How often a step of the job has failed for now."""
    return sum((attempt.step, attempt.outcome) == (step, "retry") for attempt in job.recent_attempts)


def delay(failed: int, settings: Spool, asked: float | None, chance: float) -> float | None:
    """Seconds until the next attempt at a step that has `failed` so often; None if there is none.

    The delay doubles with each attempt.  Up to a tenth is added by `chance` (0 to 1), so that jobs that failed together
    do not all come back at once.  `asked` is what the other side asked for (Retry-After).
    """
    if failed >= settings.max_attempts:
        return None
    seconds = min(settings.retry_delay * 2.0 ** min(failed - 1, 60), settings.retry_delay_max)
    return max(seconds * (1 + chance / 10), min(asked or 0, LONGEST_ASKED))
