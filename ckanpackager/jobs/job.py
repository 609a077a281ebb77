"""A job: a request, and what has become of it so far.  Pure: no files, no clock, no network."""

import msgspec
from msgspec import Struct

from ckanpackager.errors import BadRequest
from ckanpackager.jobs.request import Queue, Request, check, plain


class Archive(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An archive in the store."""

    name: str
    size: int
    rows: int | None = None
    published: float
    notes: tuple[str, ...] = ()
    complete: bool = True  # whether it may be handed out again
    fingerprint: str | None = None  # of a named package's source, when its archive was asked for


class Attempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One worker's go at a job; without an end, the worker died or is still at it."""

    started: float
    worker: str
    ended: float | None = None
    step: str | None = None
    error: str | None = None
    temporary: bool = False


class Job(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request and its story.  The times are seconds since 1970, the steps behind it have one."""

    id: str = ""  # the file's name says it; never trusted from the content
    request: Request
    created: float
    queue: Queue
    attempts: tuple[Attempt, ...] = ()
    attempts_before_retry: int = 0  # attempts made before an administrator's `retry`
    archive_name: str | None = None  # the name that this job's archive will have
    archive: Archive | None = None
    failure: str | None = None
    cancelled: bool = False
    link_mailed_at: float | None = None
    failure_mailed_at: float | None = None
    request_counted_at: float | None = None
    error_counted_at: float | None = None
    finished_at: float | None = None

    def failed_attempts(self, step: str | None) -> int:
        """How often `step` was tried in vain since the job was queued or retried; None: how often a worker died."""
        return sum(attempt.step == step for attempt in self.attempts[self.attempts_before_retry :])


def encode(job: Job) -> bytes:
    """The job as the content of its file: JSON, indented for the administrator who looks into it."""
    return msgspec.json.format(_ENCODER.encode(job), indent=1) + b"\n"


def decode(id: str, content: bytes) -> Job:
    """The job that a file's name and content describe.  Raises BadRequest."""
    try:
        job = _DECODER.decode(content)
        check(job.request)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BadRequest(f"no valid job: {plain(error)}") from None
    return msgspec.structs.replace(job, id=id)


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Job)
