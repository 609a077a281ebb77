"""Jobs: a job file holds all of a job, and what is no valid job is refused."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ckanpackager.errors import BadRequest
from ckanpackager.jobs import job as jobs
from ckanpackager.jobs.job import Archive, Attempt, Job, Outcome
from ckanpackager.jobs.request import QUEUES, PackageDatastore

DATASTORE = PackageDatastore(
    api_url="https://c.example.org/api/3/action/datastore_search", resource_id="r", email="a@b.org"
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
lines = texts.filter(str.isprintable)
values = st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | texts, st.lists, max_leaves=5)
requests = st.builds(
    PackageDatastore,
    resource_id=lines,
    email=st.just("ann@example.org"),
    api_url=st.just("https://c.example.org/x"),
    filters=st.none() | st.dictionaries(texts, values, max_size=3),
    q=st.none() | texts,
    fields=st.none() | st.lists(texts, max_size=3),
    sort=st.none() | texts | st.lists(texts, max_size=3),
    offset=st.integers(0, 2**63 - 1),
    limit=st.integers(0, 2**63 - 1),
    format=st.sampled_from(["csv", "tsv"]),
    doi=st.none() | lines,
)
moments = st.floats(0, 4e9)
attempts = st.builds(
    Attempt,
    started=moments,
    worker=texts,
    ended=st.none() | moments,
    step=st.none() | texts,
    outcome=st.sampled_from([None, *get_args(Outcome)]),
    error=st.none() | texts,
)
archives = st.builds(Archive, name=texts, size=st.integers(0, 2**62), published=moments)


@given(
    st.builds(
        Job,
        id=st.just("20261124T025758123456-5d41"),
        request=requests,
        created=moments,
        queue=st.sampled_from(QUEUES),
        attempts=st.lists(attempts, max_size=3).map(tuple),
        archive=st.none() | archives,
        failure=st.none() | texts,
    )
)
def test_a_job_comes_back_from_its_file_as_it_was(job: Job) -> None:
    assert jobs.decode(job.id, jobs.encode(job)) == job


def test_the_file_is_json_for_human_eyes() -> None:
    content = jobs.encode(Job(request=replace(DATASTORE, filters={"a": "é"}), created=1.0, queue="slow")).decode()
    assert json.loads(content)["request"]["filters"] == {"a": "é"}
    assert '\n  "filters": {\n' in content
    assert content.endswith("}\n")


GOOD = json.loads(jobs.encode(Job(request=DATASTORE, created=1.0, queue="slow")))


def changed(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        changed().replace(b'"email"', b'"filters": {"a": %b}, "email"' % (b"[" * 200_000 + b"]" * 200_000)),
        changed()[:-1],
        changed(request=None),
        changed(request={**GOOD["request"], "task": "rm"}),
        changed(request={**GOOD["request"], "email": None}),
        changed(request={**GOOD["request"], "email": "a@b.org\nBcc: x@y.org"}),
        changed(request={**GOOD["request"], "api_url": "http://["}),
        changed(request={**GOOD["request"], "api_url": "file:///etc/passwd"}),
        changed(queue="urgent"),
        changed(created="yesterday"),
        changed(attempts=[{}]),
        changed(created=1e300),
        changed(created=-1),
        changed(finished_at=1e18),
        changed(attempts=[{"started": 1e300, "worker": "w"}]),
    ],
    ids=lambda content: repr(content[:30]),
)
def test_what_is_no_job_is_refused(content: bytes) -> None:
    with pytest.raises(BadRequest, match=r"^no valid job: "):
        jobs.decode("x", content)


def test_the_id_is_the_name_of_the_file_whatever_the_content_says() -> None:
    assert jobs.decode("name", changed(id="../../etc/passwd")).id == "name"


def test_what_a_later_version_adds_is_passed_over() -> None:
    assert jobs.decode("x", changed(novelty=1)).queue == "slow"
