"""Mails that say that a request was accepted: each once, before anything is packaged."""

import contextlib
import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path

from ckanpackager.config.settings import Settings
from ckanpackager.errors import BadRequest, CkanpackagerError, SpoolFailure, Unanswered
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.request import QUEUES, Queue
from ckanpackager.spool.claim import Claim
from ckanpackager.spool.queue import Spool
from ckanpackager.worker.signals import Stop, Stopped

_PAUSE = 60.0  # seconds without a further attempt after one that failed
log = logging.getLogger("ckanpackager")


class AcceptedMails:
    """The mails for jobs that wait; a job's own failures never depend on them.

    A file in the spool holds the id up to which jobs were looked at, so that a long queue is not read again by each
    process.
    """

    def __init__(self, spool: Spool, settings: Settings, stop: Stop) -> None:
        self._spool, self._settings, self._stop = spool, settings, stop
        self._done: set[str] = set()
        self._not_before = 0.0

    def send(self) -> None:
        """Send those that are due.  After a failure there is a pause, and the jobs go on without."""
        if not self._settings.mail.email_accepted or time.monotonic() < self._not_before:
            return
        since = self._looked_at()
        newest = since
        for queue in QUEUES:
            for id in self._spool.ids(queue):
                if self._stop.told:
                    return
                if id in self._done or id[:15] < since:
                    continue
                if not self._send_for(id, queue):
                    self._not_before = time.monotonic() + _PAUSE
                    return
                self._done.add(id)
                newest = max(newest, _minutes_before(id))
        self._look_no_more_before(newest)

    def _send_for(self, id: str, queue: Queue) -> bool:
        """Whether the mail was sent, or none is due."""
        try:
            found = self._spool.find(id)
        except BadRequest:
            return True  # no valid job: the worker that claims it says so
        if found is None or found[0] != queue or not is_due(found[1]):
            return True
        due = self._spool.not_before(found[1])
        if (claim := self._spool.claim(id, queue)) is None:
            return True  # another process has it
        with contextlib.closing(claim):
            try:
                return not is_due(claim.job) or send_accepted(claim, self._settings, self._stop)
            finally:
                claim.release(due)

    def _file(self) -> Path:
        return self._spool.directory / "alerts" / "accepted"

    def _looked_at(self) -> str:
        try:
            return self._file().read_text()[:15]
        except (OSError, UnicodeDecodeError):
            return ""

    def _look_no_more_before(self, moment: str) -> None:
        with contextlib.suppress(OSError):  # then the next process looks at more jobs than it has to
            descriptor = os.open(self._file(), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with open(descriptor, "w") as file:
                self._spool.files.give_modes(descriptor)
                file.truncate()
                file.write(moment)


def send_accepted(claim: Claim, settings: Settings, stop: Stop) -> bool:
    """Mail the requester of a claimed job that it was accepted, and record that; whether it was sent.

    A mail server that does not answer may have accepted the mail, so the mail counts as sent then.
    """
    from ckanpackager.mail import send
    from ckanpackager.mail.compose import compose
    from ckanpackager.mail.placeholders import mail_placeholders

    now, job = time.time(), claim.job
    try:
        values = mail_placeholders(job, settings, now)
        at = datetime.fromtimestamp(now, UTC)
        message = compose(settings.mail, job.request.email, values, kind="accepted", job=job.id, now=at)
        with claim.staged_save(accepted_mailed_at=now) as record:
            send.send(message, settings.mail, record, stop)
    except Unanswered as error:
        claim.save(accepted_mailed_at=now)
        log.warning("job %s: the mail that it was accepted was not answered: %s", job.id, error)
    except (SpoolFailure, Stopped):
        raise
    except CkanpackagerError as error:
        log.warning("job %s: the mail that it was accepted failed: %s", job.id, error)
        return False
    else:
        log.info("job %s: requester told that it was accepted", job.id)
    return True


def is_due(job: Job) -> bool:
    """Whether the requester has not been told yet, and nothing was attempted."""
    return job.accepted_mailed_at is None and not job.attempts and job.package is None


def _minutes_before(id: str) -> str:
    """The beginning of an id ten minutes older: no two hosts that write jobs have clocks so far apart."""
    try:
        moment = datetime.strptime(id[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC).timestamp() - 600
    except ValueError:
        return ""
    return f"{datetime.fromtimestamp(moment, UTC):%Y%m%dT%H%M%S}"
