"""A job: a request, and what has become of it so far.  Pure: no files, no clock, no network."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from ckanpackager.errors import BadRequest
from ckanpackager.jobs.faults import in_words
from ckanpackager.jobs.older_jobs import renewed
from ckanpackager.jobs.parameters import check
from ckanpackager.jobs.request import Queue, Request, cache_key, named_key

Moment = Annotated[float, Meta(ge=0, le=253_402_300_799)]  # seconds since 1970, to the end of the year 9999
Kind = Literal["packaging", "mail", "statistics"]
"""What a step is about: those of one kind fail together, and are retried for the same time."""
Outcome = Literal["done", "retry", "failed", "unanswered", "died", "spool", "full"]
"""How an attempt ended.

`done`: all steps are done; `retry`, `failed`: `step` failed for now, or for good; `unanswered`: the mail server may
have accepted the mail; `died`: the worker did; `spool`: it could not be written; `full`: there was no room for the
archive.
"""


class Description(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What mails and pages say of the data in an archive; what is not known is an empty text."""

    title: str = ""  # of the resource, or of the dataset if all of it was requested
    dataset_title: str = ""
    publisher: str = ""
    licence: str = ""
    citation: str = ""


class Archive(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An archive in the store."""

    name: str  # its path in the store: `<directory>/<file>`
    size: int
    rows: int | None = None
    published: Moment
    notes: tuple[str, ...] = ()
    sha256: str = ""  # of the file, as hex digits
    description: Description = Description()
    complete: bool = True  # whether equal requests may get it, too
    fingerprint: str | None = None  # of a named package's source, when its archive was asked for


class Attempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One worker's attempt at a job; without an outcome the worker is at work, or has died unnoticed so far."""

    started: Moment
    worker: str
    ended: Moment | None = None
    times: int = 1  # more: the last of so many failures of the same step
    step: str | None = None  # that failed
    kind: Kind | None = None  # of that step
    outcome: Outcome | None = None
    error: str | None = None


class Job(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request and its history.  Times are seconds since 1970; a step that is done has one, or its result."""

    id: str = ""  # the file's name says it; never trusted from the content
    request: Request
    created: Moment
    queue: Queue
    attempts: tuple[Attempt, ...] = ()
    attempts_before_retry: int = 0  # attempts made before an administrator's `retry`, which no longer count
    package: str | None = None  # the named package to refresh; there is no requester then
    fingerprint: str | None = None  # of its source
    archive_directory: str | None = None  # where this job's archive will be, in the store
    archive: Archive | None = None
    failure: str | None = None
    public_failure: str | None = None  # what requesters read of it
    failure_kind: str | None = None  # one of errors.FAILURE_KINDS
    mistaken: bool = False  # whether the request itself was at fault
    alerted: bool = False  # whether administrators were told that it has failed for long
    cancelled: bool = False
    key_removed: bool = False  # the request had an API key, which is kept no longer than the job is open
    accepted_mailed_at: Moment | None = None
    link_mailed_at: Moment | None = None
    failure_mailed_at: Moment | None = None
    request_counted_at: Moment | None = None
    error_counted_at: Moment | None = None
    finished_at: Moment | None = None

    @property
    def link_may_be_mailed(self) -> bool:
        """Whether the requester has the link, or may have it."""
        return self.link_mailed_at is not None or any(attempt.outcome == "unanswered" for attempt in self.attempts)

    @property
    def without_key(self) -> dict[str, Any]:
        """What changes in the job so that its file no longer holds the API key."""
        if self.request.key is None:
            return {}
        return {"request": msgspec.structs.replace(self.request, key=None), "key_removed": True}

    @property
    def needs_key(self) -> bool:
        """Whether it can be retried with an API key only: its own was removed, and there is no archive yet."""
        return self.key_removed and self.archive is None

    @property
    def build_key(self) -> str:
        """The key of the archive: one at a time is built of each, and equal requests get the same."""
        return named_key(self.package) if self.package else cache_key(self.request)

    @property
    def recent_attempts(self) -> tuple[Attempt, ...]:
        """The attempts since the job was queued or retried."""
        return self.attempts[self.attempts_before_retry :]


def encode(job: Job) -> bytes:
    """The job as the content of its file: JSON, indented for people."""
    return msgspec.json.format(_ENCODER.encode(job), indent=1) + b"\n"


def decode(id: str, content: bytes) -> Job:
    """The job that a file's name and content describe.  Raises BadRequest."""
    try:
        job = _DECODER.decode(renewed(content))
        check(job.request, with_requester=not job.package)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BadRequest(f"no valid job: {in_words(error)}") from None
    return msgspec.structs.replace(job, id=id)


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Job)
