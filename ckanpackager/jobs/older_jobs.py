"""Job files of version 1.0.0, whose fields had other names.  Pure: no files, no clock, no network."""

import re
from typing import Any

import msgspec

_RENAMED = {
    "forgiven": "attempts_before_retry",
    "link_mailed": "link_mailed_at",
    "failure_mailed": "failure_mailed_at",
    "request_counted": "request_counted_at",
    "error_counted": "error_counted_at",
    "finished": "finished_at",
}
_KINDS = {"packaging": "packaging", "mail": "mail", "failure mail": "mail"}
_KINDS |= {"statistics": "statistics", "error statistics": "statistics"}
_ONLY_THERE = re.compile(rf'"({"|".join([*_RENAMED, "reserved", "archive_name"])})":'.encode())


def renewed(content: bytes) -> bytes:
    """The content of a job file with today's fields, so that no step that is done is repeated.

    Raises msgspec.DecodeError if it is no JSON, RecursionError if it is nested too deeply.
    """
    if not _ONLY_THERE.search(content):
        return content
    job = msgspec.json.decode(content)
    if not isinstance(job, dict):
        return content
    job = {_RENAMED.get(name, name): value for name, value in job.items()}
    if isinstance(attempts := job.get("attempts"), list):
        last = len(attempts) - 1
        job["attempts"] = [_attempt(each, is_last=at == last) for at, each in enumerate(attempts)]
    return msgspec.json.encode(job)


def _attempt(attempt: Any, *, is_last: bool) -> Any:
    """An attempt with its outcome, which `step` and `temporary` told; the last one may still be open."""
    if not isinstance(attempt, dict) or "outcome" in attempt:
        return attempt
    step = attempt.get("step")
    if step in ("end", "spool"):
        return {**attempt, "step": None, "outcome": "done" if step == "end" else "spool"}
    if isinstance(step, str):
        outcome = "retry" if attempt.get("temporary") else "failed"
        return {**attempt, "kind": _KINDS.get(step), "outcome": outcome}
    return attempt if is_last else {**attempt, "outcome": "died"}
