"""The pipeline: a claimed job goes from request to mailed link, step by step.

Each completed step is recorded in the job before the next one starts, so that a worker that takes the job over repeats
nothing.
"""

import contextlib
import logging
import random
from typing import Any

from msgspec.structs import replace

from ckanpackager.errors import (
    OUR_FAULT,
    CkanpackagerError,
    ConfigError,
    SpoolFailure,
    TemporaryFailure,
    Unanswered,
    WorkerDied,
    one_line,
)
from ckanpackager.http_client import Refused
from ckanpackager.jobs.job import Attempt, Job, Outcome
from ckanpackager.spool.claim import Claim
from ckanpackager.worker import retry
from ckanpackager.worker.accepted_mails import is_due, send_accepted
from ckanpackager.worker.signals import Stopped
from ckanpackager.worker.steps import DELIVERY_STEPS, FAILURE_STEPS, Record, Step, WorkerContext, applies, expired

_OUTCOMES: dict[type[TemporaryFailure], Outcome] = {Unanswered: "unanswered", WorkerDied: "died"}
_MISTAKES = (403, 404, 409)  # not allowed, not there, not valid: so CKAN answers
log = logging.getLogger("ckanpackager")
_UNDELIVERED = "The e-mail with the link could not be delivered to the address of the request."
_SPOOL_RETRY, _SPOOL_RETRY_MAX = 0.1, 10.0  # seconds between attempts to record what has happened


def run_job(claim: Claim, context: WorkerContext) -> bool:
    """Run the steps of a claimed job; False if it failed for good.  It may now wait for another attempt.

    Raises SpoolFailure if the spool itself fails, Stopped if the worker was told to stop.
    """
    before = claim.job
    try:
        if context.settings.mail.email_accepted and is_due(claim.job):
            send_accepted(claim, context.settings, context.stop)
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
    except SpoolFailure:  # a rename needs no room on a full disk, and no worker has died
        with contextlib.suppress(SpoolFailure):
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
        changes |= {"failure": f"its worker died {deaths} times while it worked on it", "public_failure": OUR_FAULT}
        changes["failure_kind"] = "worker"
        log.error("job %s: failed: %s", job.id, changes["failure"])
    changes["attempts"] = (*job.attempts, Attempt(started=context.clock(), worker=context.name))
    return changes


def _archive_lost(job: Job, context: WorkerContext) -> dict[str, Any]:
    """What changes in a job whose archive was removed or has expired before its link was mailed: it is built again."""
    if not job.archive or job.link_mailed_at or job.package:
        return {}
    try:
        lost = expired(job.archive, context) or not context.store.get(job.archive.name)
        return {"archive": None, "archive_directory": None} if lost else {}
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
        except SpoolFailure:
            raise
        except Exception as error:
            handle_failure(claim, context, step, error)
            if not failing:
                return
        else:
            log.info("job %s: %s done", claim.job.id, step.name)
            if step.kind != "packaging":  # which depends on the site and the resource that it is about
                context.alerts.over(step.kind)


def _run_step(claim: Claim, context: WorkerContext, step: Step) -> None:
    if not step.exactly_once:
        claim.save(**{step.done_field: step.run(claim.job, context, lambda: None)})
        return
    with claim.staged_save(**{step.done_field: context.clock()}) as record:
        step.run(claim.job, context, lambda: _record(claim, context, step, record))


def _record(claim: Claim, context: WorkerContext, step: Step, record: Record) -> None:
    """Record that a step has happened; where that fails, the record is retried, not the step."""
    pause = _SPOOL_RETRY
    while True:
        try:
            record()
            return
        except SpoolFailure as error:
            if getattr(claim.job, step.done_field) is not None:
                log.error("job %s: %s done, but its record is perhaps not on disk: %s", claim.job.id, step.name, error)
                return
            if pause == _SPOOL_RETRY:
                log.error("job %s: %s done, but it cannot be recorded yet: %s", claim.job.id, step.name, error)
            if context.stop.told:
                raise
        context.stop.wait(pause)
        pause = min(2 * pause, _SPOOL_RETRY_MAX)


def handle_failure(claim: Claim, context: WorkerContext, step: Step, error: Exception) -> None:
    """Let the job wait for another attempt, or record that it failed for good.

    Raises _Released if it waits.
    """
    message, now, settings = _message(error, claim.job, context), context.clock(), context.settings.spool
    if isinstance(error, TemporaryFailure):
        outcome: Outcome = next((outcome for kind, outcome in _OUTCOMES.items() if isinstance(error, kind)), "retry")
        job = _with_failure(claim.job, context, step, outcome, message)
        chance = random.random()  # noqa: S311 - no secret
        seconds = retry.delay(job, step.kind, error, settings, now=now, chance=chance)
        if seconds is not None:
            log.info("job %s: %s failed, next attempt in %.0f s: %s", job.id, step.name, seconds, message)
            alerted = job.alerted or _tell_administrators(job, context, step, message)
            claim.release(now + seconds, attempts=job.attempts, alerted=alerted)
            raise _Released
    job, mistaken = _with_failure(claim.job, context, step, "failed", message), _is_mistake(claim.job, error)
    log.log(logging.INFO if mistaken else logging.ERROR, "job %s: failed: %s: %s", job.id, step.name, message)
    claim.save(
        attempts=job.attempts,
        failure=job.failure or message,
        public_failure=job.public_failure or _public(step, error, message),
        failure_kind=job.failure_kind if job.failure else _kind(step, error),
        mistaken=job.mistaken or mistaken,
    )


def _kind(step: Step, error: Exception) -> str:
    """Which of errors.FAILURE_KINDS it is."""
    if step.kind != "packaging":
        return step.kind
    if not isinstance(error, CkanpackagerError):
        return "internal"
    return error.kind or ("site" if isinstance(error, TemporaryFailure) else "data")


def _is_mistake(job: Job, error: Exception) -> bool:
    """Whether the request is at fault: CKAN refuses it, as a wrong filter. Its requester is told; it is no alarm."""
    return isinstance(error, Refused) and error.status in _MISTAKES and not job.package


def _tell_administrators(job: Job, context: WorkerContext, step: Step, message: str) -> bool:
    """Log it once where a step has failed for long; whether it has."""
    since = retry.failing_since(job, step.kind)
    if since is None or context.clock() - since < retry.LONG:
        return False
    if context.alerts.is_new(step.kind):
        days = getattr(context.settings.spool.retry_for, step.kind)
        log.error("job %s: %s has failed for an hour, and is retried for %g days: %s", job.id, step.name, days, message)
    return True


def _with_failure(job: Job, context: WorkerContext, step: Step, outcome: Outcome, error: str) -> Job:
    """The job with this failure; one attempt may fail twice: at packaging, then at the failure mail."""
    last = job.attempts[-1]
    failure = Attempt(
        started=last.started if last.ended is None else last.ended,
        worker=context.name,
        ended=context.clock(),
        step=step.name,
        kind=step.kind,
        outcome=outcome,
        error=error,
    )
    return retry.with_failure(job if last.ended else replace(job, attempts=job.attempts[:-1]), failure)


def _message(error: Exception, job: Job, context: WorkerContext) -> str:
    if isinstance(error, CkanpackagerError):
        return one_line(str(error))
    # A fault of ours, which must not end the worker.
    log.error("job %s: internal error", job.id, exc_info=context.settings.logging.debug)
    return one_line(f"internal error: {type(error).__name__}: {error}")


def _public(step: Step, error: Exception, message: str) -> str:
    """What requesters read: the words of CKAN or plain ones, but nothing that is meant for administrators."""
    if step.kind == "packaging" and isinstance(error, CkanpackagerError) and not isinstance(error, ConfigError):
        return error.public or message
    return _UNDELIVERED if step.kind == "mail" else OUR_FAULT


def _end(claim: Claim, context: WorkerContext) -> bool:
    job, now = claim.job, context.clock()
    last = job.attempts[-1] if job.attempts[-1].ended else replace(job.attempts[-1], ended=now, outcome="done")
    changes = {**job.without_key, "finished_at": now, "attempts": (*job.attempts[:-1], last)}
    if job.failure is None or job.cancelled:
        claim.finish(**changes)
        return True
    claim.fail(**changes)
    return False


class _Released(Exception):
    """The job waits in its queue for its next attempt."""
