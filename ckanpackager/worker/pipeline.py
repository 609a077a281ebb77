"""The pipeline: a claimed job goes from request to mailed link, step by step.

Each completed step is recorded in the job before the next one starts, so that a worker that takes the job over repeats
nothing.
"""

import contextlib
import logging
import random
from typing import Any

from msgspec.structs import replace

from ckanpackager.errors import CkanpackagerError, TemporaryFailure, WorkerDied, one_line
from ckanpackager.jobs.job import Attempt, Job, Outcome
from ckanpackager.spool.claim import Claim
from ckanpackager.worker import retry
from ckanpackager.worker.signals import Stopped
from ckanpackager.worker.steps import DELIVERY_STEPS, FAILURE_STEPS, Step, WorkerContext, applies

log = logging.getLogger("ckanpackager")


def run_job(claim: Claim, context: WorkerContext) -> bool:
    """Run the steps of a claimed job; False if it failed for good.  It may now wait for another attempt.

    Raises TemporaryFailure only if the spool itself fails, Stopped if the worker was told to stop.
    """
    before = claim.job
    try:
        claim.save(**start_attempt(claim, context))
        if claim.job.failure is None:
            run_steps(claim, context, [step for step in DELIVERY_STEPS if applies(step, claim.job)])
        if claim.job.failure is not None:
            run_steps(claim, context, [step for step in FAILURE_STEPS if applies(step, claim.job)])
        return _end(claim, context)
    except Stopped:
        claim.release(context.clock(), attempts=before.attempts)
        log.info("job %s: returned to its queue, since this worker was told to stop", before.id)
        raise
    except _Released:
        return True
    except TemporaryFailure:  # of the spool; a rename needs no room on a full disk, and no worker has died
        with contextlib.suppress(TemporaryFailure):
            claim.move(before.queue)
        raise


def start_attempt(claim: Claim, context: WorkerContext) -> dict[str, Any]:
    """What changes in a job when an attempt starts; a job that keeps killing its workers fails here."""
    job, changes = claim.job, _archive_lost(claim.job, context)
    if job.attempts and job.attempts[-1].outcome is None:
        error = None if claim.taken_over else "the spool could not be written"
        last = replace(job.attempts[-1], outcome="died" if claim.taken_over else "spool", error=error)
        job = replace(job, attempts=(*job.attempts[:-1], last))
    if not job.archive_directory or "archive_directory" in changes:
        changes["archive_directory"] = context.store.new_directory(job.build_key)
    if job.failure is None and (deaths := retry.deaths(job)) >= context.settings.spool.max_attempts:
        changes["failure"] = f"its worker died {deaths} times while it was at it"
    changes["attempts"] = (*job.attempts, Attempt(started=context.clock(), worker=context.name))
    return changes


def _archive_lost(job: Job, context: WorkerContext) -> dict[str, Any]:
    """What changes in a job whose archive was removed before its link was mailed: it is built again."""
    if not job.archive or job.link_mailed_at or job.package:
        return {}
    try:
        known = context.store.get(job.archive.name.partition("/")[0])
        return {} if known else {"archive": None, "archive_directory": None}
    except TemporaryFailure:
        return {"archive": None}  # the packaging looks again, and waits for the store


def run_steps(claim: Claim, context: WorkerContext, steps: list[Step]) -> None:
    """Run the steps that are not done yet.  A failure ends the delivery, but not the steps after a failure."""
    for step in steps:
        if getattr(claim.job, step.done_field) is not None:
            continue
        failing = claim.job.failure is not None
        try:
            _run_step(claim, context, step)
        except Exception as error:
            handle_failure(claim, context, step, error)
            if not failing:
                return
        else:
            log.info("job %s: %s done", claim.job.id, step.name)


def _run_step(claim: Claim, context: WorkerContext, step: Step) -> None:
    if step.exactly_once:
        with claim.staged_save(**{step.done_field: context.clock()}) as record:
            step.run(claim.job, context, record)
    else:
        claim.save(**{step.done_field: step.run(claim.job, context, lambda: None)})


def handle_failure(claim: Claim, context: WorkerContext, step: Step, error: Exception) -> None:
    """Let the job wait for another attempt, or record that it failed for good.

    Raises _Released if it waits.
    """
    message, now = _message(error, claim.job, context), context.clock()
    if isinstance(error, TemporaryFailure):
        outcome: Outcome = "died" if isinstance(error, WorkerDied) else "retry"
        job = replace(claim.job, attempts=_with_failure(claim.job, context, step, outcome, message))
        failed = retry.failures(job, step.name)
        seconds = retry.delay(failed, context.settings.spool, error.retry_after, random.random())  # noqa: S311 - no secret
        if seconds is not None:
            log.info("job %s: %s failed, next attempt in %.0f s: %s", job.id, step.name, seconds, message)
            claim.release(now + seconds, attempts=job.attempts)
            raise _Released
    attempts = _with_failure(claim.job, context, step, "failed", message)
    log.error("job %s: given up: %s: %s", claim.job.id, step.name, message)
    claim.save(attempts=attempts, failure=claim.job.failure or message)


def _with_failure(
    job: Job, context: WorkerContext, step: Step, outcome: Outcome, error: str
) -> tuple[Attempt, ...]:
    """The attempts with this failure; one attempt may fail twice: at packaging, then at the failure mail."""
    last = job.attempts[-1]
    attempts, started = (job.attempts[:-1], last.started) if last.ended is None else (job.attempts, last.ended)
    failure = Attempt(
        started=started, worker=context.name, ended=context.clock(), step=step.name, outcome=outcome, error=error
    )
    return (*attempts, failure)


def _message(error: Exception, job: Job, context: WorkerContext) -> str:
    if isinstance(error, CkanpackagerError):
        return one_line(str(error))
    # A fault of ours, which must not end the worker.
    log.error("job %s: internal error", job.id, exc_info=context.settings.logging.debug)
    return one_line(f"internal error: {type(error).__name__}: {error}")


def _end(claim: Claim, context: WorkerContext) -> bool:
    job, now = claim.job, context.clock()
    last = job.attempts[-1] if job.attempts[-1].ended else replace(job.attempts[-1], ended=now, outcome="done")
    changes = {"finished_at": now, "attempts": (*job.attempts[:-1], last)}
    if job.failure is None or job.cancelled:
        claim.finish(**changes)
        return True
    claim.fail(**changes)
    return False


class _Released(Exception):
    """The job waits in its queue for its next attempt."""
