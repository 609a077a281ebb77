"""Jobs listed for administrators: the newest first, read only as far as they are wanted."""

from pathlib import Path

import pytest

from ckanpackager.jobs.job import Job
from ckanpackager.jobs.parameters import request_from
from ckanpackager.spool import job_list
from ckanpackager.spool.job_list import list_jobs
from ckanpackager.spool.queue import Spool

API = "https://data.example.org/api/3/action/datastore_search"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    return spool


def queue(spool: Spool, created: float, resource: str = "r", email: str = "a@example.org", queue: str = "fast") -> str:
    request = request_from("package_datastore", {"resource_id": resource, "email": email, "api_url": API})
    return spool.enqueue(Job(request=request, created=created, queue=queue))  # type: ignore[arg-type]


def ids(found: object) -> list[str]:
    return [job.id for _, job in found]  # type: ignore[attr-defined]


def test_jobs_of_all_folders_come_newest_first_with_their_folder(spool: Spool) -> None:
    done, failed, claimed = (queue(spool, 100 + number) for number in range(3))
    for id, end in ((done, "finish"), (failed, "fail")):
        getattr(spool.claim(id, "fast"), end)()
    held = spool.claim(claimed, "fast")
    slow, fast = queue(spool, 103, queue="slow"), queue(spool, 104)
    assert [(folder, job.id) for folder, job in list_jobs(spool)] == [
        ("fast", fast),
        ("slow", slow),
        ("claimed", claimed),
        ("failed", failed),
        ("done", done),
    ]
    assert ids(list_jobs(spool, "waiting")) == [fast, slow]
    assert [ids(list_jobs(spool, state)) for state in ("claimed", "done", "failed")] == [[claimed], [done], [failed]]
    assert held is not None
    held.close()


def test_jobs_are_chosen_by_time_requester_and_resource(spool: Spool) -> None:
    first, second = queue(spool, 100, resource="r1"), queue(spool, 200.5, email="B@example.org")
    assert ids(list_jobs(spool, since=200.5)) == [second]
    assert ids(list_jobs(spool, since=200.6)) == []
    assert ids(list_jobs(spool, email="b@EXAMPLE.org")) == [second]
    assert ids(list_jobs(spool, resource_id="r1")) == [first]


def test_a_file_that_is_no_job_is_left_out(spool: Spool) -> None:
    id = queue(spool, 100)
    (spool.directory / "failed" / "9.json").write_text("{")
    (spool.directory / "failed" / "9.json.reason").write_text("no valid job")
    assert ids(list_jobs(spool)) == [id]


def test_the_first_of_many_jobs_cost_no_reading_of_the_others(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    job = (spool.directory / "fast" / f"{queue(spool, 100)}.json").read_bytes()
    for number in range(500):
        (spool.directory / "done" / f"20260101T{number:012d}-{'0' * 32}.json").write_bytes(job)
    read: list[Path] = []

    def content(path: Path) -> bytes:
        read.append(path)
        return path.read_bytes()

    monkeypatch.setattr(job_list, "content", content)
    found = list_jobs(spool)
    assert len([next(found) for _ in range(100)]) == len(read) == 100
    assert sum(1 for _ in found) == 401


def test_a_file_whose_name_is_no_id_is_left_out(spool: Spool) -> None:
    """Shells offer these names, and a user may press Enter."""
    id = queue(spool, 100)
    content = spool.files.path("fast", id).read_bytes()
    for name in ("$(touch pwned)", "`id`", "a b", "-rf", "a\nb", "\x1b[31m", "."):
        spool.files.path("failed", name).write_bytes(content)
    assert ids(list_jobs(spool)) == [id]
