"""Job files of version 1.0.0 are read with all that they say."""

import json
from typing import Any

import pytest

from ckanpackager.errors import BadRequest
from ckanpackager.jobs.job import decode, encode
from ckanpackager.worker import retry

REQUEST = {
    "task": "package_datastore",
    "email": "cay@example.org",
    "resource_id": "specimens",
    "api_url": "https://data.example.org/api/3/action/datastore_search",
}
ARCHIVE = {"name": "9821a66a0b1bfea328cc5754ae3914c1-f6c6.zip", "size": 2419, "rows": 11, "published": 1795575045.3}
FAILED = {"started": 1.0, "worker": "vm:1", "ended": 2.0, "step": "statistics", "error": "no connection"}


def job(**fields: Any) -> Any:
    content = {"request": REQUEST, "created": 1795575045.1, "queue": "fast", "reserved": "x.zip", **fields}
    return decode("20261125T025045119168-d154", json.dumps(content).encode())


def test_a_mail_that_version_1_sent_is_known_as_sent() -> None:
    waiting = job(archive=ARCHIVE, link_mailed=1795575045.3, attempts=[{**FAILED, "temporary": True}])
    assert waiting.link_mailed_at == 1795575045.3
    assert waiting.archive.name == ARCHIVE["name"]
    assert [(a.kind, a.outcome) for a in waiting.attempts] == [("statistics", "retry")]
    assert retry.failing_since(waiting, "statistics") == 2.0


def test_what_version_1_counted_and_ended_is_known() -> None:
    ended = {"started": 1.0, "worker": "vm:1", "ended": 2.0, "step": "end"}
    done = job(request_counted=3.0, error_counted=4.0, failure_mailed=5.0, finished=6.0, forgiven=1, attempts=[ended])
    assert (done.request_counted_at, done.error_counted_at) == (3.0, 4.0)
    assert (done.failure_mailed_at, done.finished_at) == (5.0, 6.0)
    assert done.attempts_before_retry == 1
    assert (done.attempts[0].outcome, done.attempts[0].step) == ("done", None)


def test_workers_that_died_under_version_1_count() -> None:
    died = {"started": 1.0, "worker": "vm:1"}
    attempts = job(attempts=[died, {**FAILED, "step": "packaging"}, died]).attempts
    assert [attempt.outcome for attempt in attempts] == ["died", "failed", None]


def test_a_job_of_version_1_is_written_with_todays_fields() -> None:
    written = json.loads(encode(job(link_mailed=2.0)))
    assert written["link_mailed_at"] == 2.0 and "link_mailed" not in written


def test_names_of_version_1_in_filters_stay() -> None:
    request = {**REQUEST, "filters": {"finished": ["yes"], "reserved": [1]}}
    assert job(request=request).request.filters == {"finished": ["yes"], "reserved": [1]}


@pytest.mark.parametrize("content", [b'["finished":', b'["finished", {"finished":1}]', b'{"finished":1,"attempts":1}'])
def test_what_is_no_job_stays_none(content: bytes) -> None:
    with pytest.raises(BadRequest, match="no valid job"):
        decode("20261125T025045119168-d154", content)
