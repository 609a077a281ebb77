"""The spool: no job is lost, none is run twice, and what is no job stops nothing."""

import errno
import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.workspace import PATIENCE, Workspace, as_user

from ckanpackager.errors import SpoolFailure, TemporaryFailure
from ckanpackager.jobs import job as jobs
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.request import PackageUrl
from ckanpackager.spool import worker_slots
from ckanpackager.spool.claim import Claim
from ckanpackager.spool.queue import FOLDERS, Spool

REQUEST = PackageUrl(resource_id="r", email="ann@example.org", resource_url="https://c.example.org/f.csv")
START = """
import sys, time
from pathlib import Path
from ckanpackager.spool.queue import Spool
spool = Spool(Path(sys.argv[1]))
"""


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    return spool


def job(**values: Any) -> Job:
    return Job(**{"request": REQUEST, "created": time.time(), "queue": "fast", **values})


def first(spool: Spool, now: float | None = None) -> Claim:
    return next(spool.claim_due("fast", lambda: now or time.time() + 1))


def drain(spool: Spool, now: float | None = None) -> list[str]:
    """Claim and finish all that is due; the ids in their order."""
    ids = []
    for claim in spool.claim_due("fast", lambda: now or time.time() + 1):
        ids.append(claim.job.id)
        claim.finish()
    return ids


def child(code: str, spool: Spool, *words: str, **options: Any) -> subprocess.Popen[str]:
    """Another process, in which `spool` is the spool."""
    command = [sys.executable, "-c", START + code, str(spool.directory), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def said(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    return out


def files(spool: Spool) -> list[str]:
    return sorted(str(path.relative_to(spool.directory)) for path in spool.directory.rglob("*") if not path.is_dir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Enqueueing


def test_a_job_is_on_disk_in_full_before_it_is_in_the_queue(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    rename, fsync = os.rename, os.fsync

    def renamed(source: Path, target: Path) -> None:
        assert jobs.decode("x", Path(source).read_bytes()).request == REQUEST
        steps.append(f"{Path(source).parent.name} to {Path(target).parent.name}")
        rename(source, target)

    def synced(descriptor: int) -> None:
        steps.append(f"sync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).relative_to(spool.directory).parts[0]}")
        fsync(descriptor)

    monkeypatch.setattr(os, "rename", renamed)
    monkeypatch.setattr(os, "fsync", synced)
    id = spool.enqueue(job())
    assert steps == ["sync tmp", "tmp to fast", "sync fast"]
    assert files(spool) == [f"fast/{id}.json"]


def test_a_job_waits_in_the_queue_that_it_names(spool: Spool) -> None:
    slow = spool.enqueue(job(queue="slow"))
    assert spool.names("slow") == [f"{slow}.json"]
    assert drain(spool) == []


def test_names_cannot_be_guessed_and_sort_by_arrival(spool: Spool) -> None:
    ids = [spool.enqueue(job(created=created)) for created in (1e9, 1e9 + 1e-6, 1e9 + 0.5, 1e9 + 1, 1.7e9)]
    assert all(re.fullmatch(r"\d{8}T\d{12}-[0-9a-f]{32}", id) for id in ids)
    assert ids == sorted(ids)
    assert len({id.partition("-")[2] for id in ids}) == len(ids)
    assert drain(spool) == ids


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize(("spool_mode", "folder", "file"), [(0o700, 0o700, 0o600), (0o2770, 0o2770, 0o660)])
def test_modes_depend_on_the_spool_directory_alone(
    tmp_path: Path, umask: int, spool_mode: int, folder: int, file: int
) -> None:
    directory = tmp_path / "spool"
    directory.mkdir()
    directory.chmod(spool_mode)
    spool = Spool(directory)
    before = os.umask(umask)
    try:
        spool.prepare()
        spool.enqueue(job())
        first(spool).save(failure="x")
    finally:
        os.umask(before)
    assert {mode(directory / name) for name in FOLDERS} == {folder}
    assert [mode(path) for path in (directory / "claimed").iterdir()] == [file]


def test_the_spool_that_is_made_is_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Spool(tmp_path / "a" / "spool").prepare()
    finally:
        os.umask(before)
    assert mode(tmp_path / "a" / "spool") == 0o700


def test_what_a_spool_cannot_hold_is_a_failure_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TemporaryFailure, match=r"^spool .*file.*: Not a directory; make sure that the disk has room"):
        Spool(tmp_path / "file" / "spool").prepare()
    with pytest.raises(TemporaryFailure, match="No such file or directory"):
        Spool(tmp_path / "nowhere").enqueue(job())


FULL = """
import resource
from ckanpackager.errors import SpoolFailure, TemporaryFailure
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.request import PackageUrl
request = PackageUrl(resource_id="r", email="a@b.org", resource_url="https://c.example.org/")
job = Job(request=request, created=time.time(), queue="fast")
claim = next(spool.claim_due("fast", time.time))
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))  # a disk with room for 100 bytes more
for attempt in (lambda: spool.enqueue(job), lambda: claim.save(failure="x"), lambda: claim.release(0, failure="x")):
    try:
        attempt()
        print("done")
    except TemporaryFailure as error:
        print(error)
assert claim.job.failure is None
print(spool.claim(claim.job.id, "claimed"))
claim.close()
"""


def test_a_full_disk_is_an_error_to_the_caller_and_never_half_a_job(spool: Spool) -> None:
    id = spool.enqueue(job())
    os.utime(spool.files.path("fast", id), (1, 1))
    *errors, other = said(child(FULL, spool)).splitlines()
    assert len(errors) == 3
    assert all("File too large; make sure that the disk has room" in error for error in errors)
    assert other == "None"  # still locked
    assert files(spool) == [f"claimed/{id}.json"]
    assert spool.find(id) is not None


def test_a_queue_that_takes_no_file_leaves_no_temporary_file(spool: Spool) -> None:
    (spool.directory / "fast").rmdir()
    with pytest.raises(TemporaryFailure):
        spool.enqueue(job())
    assert files(spool) == []


# Claiming


def test_a_claimed_job_is_in_claimed_and_claimed_once(spool: Spool) -> None:
    id = spool.enqueue(job())
    claim = first(spool)
    assert files(spool) == [f"claimed/{id}.json"]
    assert claim.job.id == id
    assert drain(spool) == []
    assert spool.claim(id, "claimed") is None
    assert spool.claim(id, "fast") is None
    assert said(child("print(len(list(spool.claim_due('fast', time.time))))", spool)) == "0\n"


def test_an_open_job_is_taken_over_once_its_worker_lets_go(spool: Spool) -> None:
    id = spool.enqueue(job())
    claim = first(spool)
    claim.save(archive_directory="a.zip")
    claim.close()
    again = first(spool)
    assert (again.job.id, again.job.archive_directory) == (id, "a.zip")


def test_a_dead_workers_job_is_taken_over_before_all_others(spool: Spool) -> None:
    id = spool.enqueue(job())
    code = "claim = next(spool.claim_due('fast', lambda: time.time() + 1))\nclaim.save(archive_directory='a.zip')\n"
    process = child(code + "print(claim.job.id, flush=True)\ntime.sleep(60)", spool)
    assert process.stdout
    assert process.stdout.readline().strip() == id
    later, last = spool.enqueue(job()), spool.enqueue(job())
    waiting = spool.claim_due("fast", lambda: time.time() + 1)
    held = next(waiting)
    assert held.job.id == later
    process.send_signal(signal.SIGKILL)
    process.communicate()
    taken = next(waiting)
    assert (taken.job.id, taken.job.archive_directory) == (id, "a.zip")
    taken.finish()
    assert next(waiting).job.id == last


def test_the_other_queues_workers_leave_a_dead_workers_job_alone(spool: Spool) -> None:
    spool.enqueue(job(queue="slow"))
    next(spool.claim_due("slow", lambda: time.time() + 1)).close()
    assert drain(spool) == []
    assert len(list(spool.claim_due("slow", time.time))) == 1


def test_a_job_is_not_claimed_before_its_time(spool: Spool) -> None:
    id = spool.enqueue(job())
    first(spool).release(2e9)
    assert files(spool) == [f"fast/{id}.json"]
    assert spool.files.path("fast", id).stat().st_mtime == 2e9
    assert spool.not_before(job(id=id)) == 2e9
    assert drain(spool, now=2e9 - 1) == []
    assert drain(spool, now=2e9) == [id]


def test_an_administrator_may_claim_a_job_before_its_time(spool: Spool) -> None:
    id = spool.enqueue(job())
    first(spool).release(2e9)
    assert spool.claim(id, "fast")


@pytest.mark.parametrize("id", ["../fast/x", "/etc/passwd", "", ".", "..", "x" * 101, "a\0b", "a b", "*"])
def test_no_id_leads_out_of_the_spool(spool: Spool, id: str) -> None:
    assert spool.find(id) is None
    assert spool.claim(id, "fast") is None


@pytest.mark.parametrize(("end", "folder"), [("finish", "done"), ("fail", "failed")])
def test_the_end_of_a_job_is_kept_with_what_became_of_it(spool: Spool, end: str, folder: str) -> None:
    id = spool.enqueue(job())
    getattr(first(spool), end)(finished_at=5.0)
    assert files(spool) == [f"{folder}/{id}.json"]
    found = spool.find(id)
    assert found
    assert (found[0], found[1].finished_at, found[1].id) == (folder, 5.0, id)
    assert drain(spool) == []


INTRUDER = """
print("trying", flush=True)
while True:
    for queue in ("fast", "slow"):
        for claim in spool.claim_due(queue, time.time):
            print("claimed", claim.job.id, flush=True)
"""


@pytest.mark.parametrize("end", ["finish", "fail", "postpone"])
def test_no_moment_of_a_claimed_jobs_life_is_without_its_lock(spool: Spool, end: str) -> None:
    spool.enqueue(job())
    claim = first(spool)
    process = child(INTRUDER, spool)
    try:
        assert process.stdout
        process.stdout.readline()
        for number in range(100):
            claim.save(archive_directory=f"{number}.zip")
        if end == "postpone":
            claim.release(2e9)
        else:
            getattr(claim, end)()
        time.sleep(0.05)  # some rounds more for the intruder
    finally:
        process.kill()
        out, errors = process.communicate()
    assert out == ""
    assert errors == ""


def test_the_lock_holds_within_one_process_through_every_rewriting(spool: Spool) -> None:
    id = spool.enqueue(job())
    claim = first(spool)
    for _ in range(3):
        claim.save()
        assert spool.claim(id, "claimed") is None
    claim.close()
    claim.close()  # twice does no harm
    assert spool.claim(id, "claimed")


def test_what_was_listed_and_has_moved_on_is_passed_over(spool: Spool) -> None:
    ids = [spool.enqueue(job()) for _ in range(3)]
    claims = spool.claim_due("fast", lambda: time.time() + 1)
    next(claims).finish()
    other = spool.claim(ids[1], "fast")
    assert other
    other.finish()
    assert next(claims).job.id == ids[2]


def test_what_arrives_meanwhile_is_claimed_too(spool: Spool) -> None:
    spool.enqueue(job())
    claims = spool.claim_due("fast", lambda: time.time() + 1)
    next(claims).finish()
    later = spool.enqueue(job())
    assert next(claims).job.id == later


RACE = """
print("ready", flush=True)
sys.stdin.readline()
for claim in spool.claim_due("fast", time.time):
    print(claim.job.id)
    claim.save(archive_directory="x")
    claim.finish()
"""


def test_eight_workers_race_and_every_job_is_claimed_exactly_once(spool: Spool) -> None:
    ids = [spool.enqueue(job()) for _ in range(200)]
    workers = [child(RACE, spool, stdin=subprocess.PIPE) for _ in range(8)]
    for worker in workers:
        assert worker.stdout
        worker.stdout.readline()
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("go\n")
        worker.stdin.flush()
    claimed = Counter(id for worker in workers for id in said(worker).split())
    assert claimed == Counter(ids)
    assert files(spool) == [f"done/{id}.json" for id in sorted(ids)]


LISTINGS = """
lists = []
sys.addaudithook(lambda event, args: lists.append(str(args[0])) if event in ("os.listdir", "os.scandir") else None)
claims = spool.claim_due("fast", time.time)
for _ in range(50):
    next(claims).finish()
print(sum(path.endswith("/fast") for path in lists))
"""


def test_a_hundred_thousand_waiting_jobs_are_listed_once_for_many_claims() -> None:
    with tempfile.TemporaryDirectory() as directory:
        spool = Spool(Path(directory))
        spool.prepare()
        content = jobs.encode(job(created=1.0))
        for number in range(100_000):
            descriptor = os.open(f"{directory}/fast/{number:06}-x.json", os.O_WRONLY | os.O_CREAT, 0o600)
            if number < 60:
                os.write(descriptor, content)
            os.close(descriptor)
        assert said(child(LISTINGS, spool)) == "1\n"
        assert spool.length("done") == 50


# What is no job

NAME = "20261124T025758123456-" + "a" * 32 + ".json"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (NAME, b"", "no valid job: no valid JSON: it ends too early"),
        (NAME, b'{"request": ', "no valid job: no valid JSON: it ends too early"),
        (NAME, b"\xff", "no valid job: no valid JSON: invalid character"),
        (NAME, b"[" * 100_000, "no valid job: "),
        (
            NAME,
            jobs.encode(job()).replace(b"package_url", b"package_moon"),
            "no valid job: request.task: 'package_moon'",
        ),
        (NAME, jobs.encode(job()).replace(b"ann@example.org", b"nobody"), "no valid job: expected one e-mail address"),
        (".x.json.swp", jobs.encode(job()), "no valid job: its name is not one of a job file"),
        ("x.json~", jobs.encode(job()), "no valid job: its name is not one of a job file"),
        ("x y.json", jobs.encode(job()), "no valid job: its name is not one of a job file"),
        ("x" * 250 + ".json", jobs.encode(job()), "no valid job: its name is not one of a job file"),
        ("\udcff.json", jobs.encode(job()), "no valid job: its name is not one of a job file"),
    ],
    ids=lambda value: ascii(value)[:30],
)
@pytest.mark.parametrize("folder", ["fast", "claimed"])
def test_a_file_that_is_no_job_is_quarantined_with_the_reason(
    spool: Spool, folder: str, name: str, content: bytes, reason: str
) -> None:
    (spool.directory / folder / name).write_bytes(content)
    id = spool.enqueue(job())
    assert drain(spool) == [id]
    assert spool.names(folder) == []
    (about,) = (spool.directory / "failed").glob("*.reason")
    assert about.read_text().startswith(reason)
    assert about.read_text().count("\n") == 1
    assert about.with_name(about.name.removesuffix(".reason")).read_bytes() == content
    assert spool.length("failed") == 1


@pytest.mark.parametrize("kind", ["directory", "symlink", "dangling symlink", "fifo", "socket"])
def test_what_is_no_file_is_quarantined_with_the_reason(spool: Spool, tmp_path: Path, kind: str) -> None:
    path, elsewhere = spool.directory / "fast" / NAME, tmp_path / "elsewhere"
    elsewhere.write_bytes(jobs.encode(job()))
    match kind:
        case "directory":
            path.mkdir()
        case "symlink":
            path.symlink_to(elsewhere)
        case "dangling symlink":
            path.symlink_to("nowhere")
        case "fifo":
            os.mkfifo(path)
        case "socket":
            os.mknod(path, stat.S_IFSOCK | 0o600)
    assert list(spool.jobs("fast")) == []
    id = spool.enqueue(job())
    assert drain(spool) == [id]
    assert (spool.directory / "failed" / f"{NAME}.reason").read_text().startswith("no valid job: ")
    assert os.path.lexists(spool.directory / "failed" / NAME)
    assert elsewhere.read_bytes() == jobs.encode(job(created=jobs.decode("x", elsewhere.read_bytes()).created))


def test_a_fifo_blocks_no_reader(spool: Spool) -> None:
    for folder in ("fast", "claimed", "done"):
        os.mkfifo(spool.directory / folder / NAME)
    with pytest.raises(TemporaryFailure, match="not a regular file"):
        spool.find(NAME.removesuffix(".json"))
    assert list(spool.jobs("done")) == []
    assert drain(spool) == []


needs_users = pytest.mark.skipif(os.geteuid() != 0, reason="needs other users")


def as_owner(directory: Path, work: Callable[[], object]) -> str:
    """Do it as a user to whom the spool belongs."""
    for path in (directory, *directory.iterdir()):
        os.chown(path, 65534, 65534)
    return as_user(65534, work)


@needs_users
def test_a_job_file_of_another_user_stays_where_it_is_and_stops_no_other(open_directory: Path) -> None:
    spool = Spool(open_directory)
    spool.prepare()
    (spool.directory / "fast" / NAME).write_bytes(jobs.encode(job()))
    (spool.directory / "fast" / NAME).chmod(0o600)
    (spool.directory / "claimed" / "x.json").write_bytes(jobs.encode(job()))
    (spool.directory / "claimed" / "x.json").chmod(0o600)
    id = as_owner(open_directory, lambda: spool.enqueue(job()))
    assert as_user(65534, lambda: (drain(spool), sorted(spool.unreadable))) == f"(['{id}'], ['{NAME}', 'x.json'])"
    assert spool.names("fast") == [NAME]
    assert spool.names("failed") == []
    said = as_user(65534, lambda: spool.claim(NAME.removesuffix(".json"), "fast"))
    assert re.search(r"UnreadableJob.*fast/20261124T\S+: this user may not read it; .*into one group", said)


@needs_users
def test_a_worker_that_may_not_read_a_job_file_says_so_and_fails(open_directory: Path) -> None:
    workspace = Workspace(open_directory)
    (workspace.spool.directory / "fast" / NAME).write_bytes(jobs.encode(job()))
    (workspace.spool.directory / "fast" / NAME).chmod(0o600)
    assert workspace.settings  # what other users could not import is loaded
    as_owner(workspace.spool.directory, lambda: None)
    os.chown(open_directory, 65534, 65534)
    said = as_user(65534, workspace.work)
    assert "SpoolFailure('spool" in said
    assert "this user may not read 1 job files there" in said


@needs_users
def test_what_root_writes_belongs_to_the_spools_owner(open_directory: Path) -> None:
    os.chown(open_directory, 65534, 65533)
    spool = Spool(open_directory)
    spool.prepare()
    slot = spool.acquire_slot("fast", 1)
    assert slot
    slot.close()
    spool.enqueue(job())
    claim = first(spool)
    claim.release(0, failure="x")
    (spool.directory / "fast" / "no job").write_text("")
    drain(spool)
    written = [path for path in open_directory.rglob("*") if path.name != "no job"]
    assert len(written) > 8
    assert {(path.stat().st_uid, path.stat().st_gid) for path in written} == {(65534, 65533)}


@needs_users
def test_a_receiver_refuses_what_the_worker_could_not_read(open_directory: Path) -> None:
    spool = Spool(open_directory)
    spool.prepare()
    for path in (open_directory, *open_directory.iterdir()):
        os.chown(path, 65533, 65534)
        path.chmod(0o770)  # for the group, but not setgid
    said = as_user(65532, lambda: spool.enqueue(job()))
    assert "its owner could not read what this user writes: give it and its folders the mode 2770" in said
    assert files(spool) == []
    for path in (open_directory, *open_directory.iterdir()):
        path.chmod(0o2770)
    id = as_user(65532, lambda: spool.enqueue(job()))
    assert as_user(65533, lambda: drain(spool)) == f"['{id}']"


def test_what_is_quarantined_is_logged_and_its_reason_is_as_private_as_a_job(
    spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    (spool.directory / "fast" / NAME).write_bytes(b"{")
    before = os.umask(0)
    try:
        drain(spool)
    finally:
        os.umask(before)
    (record,) = caplog.records
    assert record.getMessage() == f"spool: {NAME} was moved to failed/: no valid job: no valid JSON: it ends too early"
    assert mode(spool.directory / "failed" / f"{NAME}.reason") == 0o600


def test_a_sync_that_fails_after_a_renaming_loses_neither_lock_nor_record(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = spool.enqueue(job())
    claim = first(spool)
    synced: list[int] = []

    def failing(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 2:  # the file is on disk, its folder is not
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(SpoolFailure, match="Input/output error"):
        claim.save(archive_directory="a")
    assert claim.job.archive_directory == "a"
    assert spool.claim(id, "claimed") is None
    claim.close()
    again = spool.claim(id, "claimed")
    assert again and again.job.archive_directory == "a"


def test_clean_leaves_a_staged_record_that_is_locked(spool: Spool) -> None:
    spool.enqueue(job())
    claim = first(spool)
    with claim.staged_save(link_mailed_at=5.0) as record:
        (name,) = spool.names("tmp")
        os.utime(spool.directory / "tmp" / name, (1, 1))
        assert spool.remove_older("tmp", time.time()) == 0
        record()
    assert claim.job.link_mailed_at == 5.0
    (spool.directory / "tmp" / "of a dead worker").write_text("")
    os.utime(spool.directory / "tmp" / "of a dead worker", (1, 1))
    assert spool.remove_older("tmp", time.time()) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_two_users_of_one_group_can_share_a_spool(open_directory: Path) -> None:
    os.chown(open_directory, 65534, 65534)
    open_directory.chmod(0o2770)
    spool = Spool(open_directory)
    import filelock  # noqa: F401 - what the other users may not be able to read

    def put() -> str:
        spool.prepare()
        slot = worker_slots.acquire(open_directory / "workers", "fast", 1)
        assert slot
        slot.close()
        return spool.enqueue(job())

    id = as_user(65533, put)
    assert as_user(65532, lambda: worker_slots.active_workers(open_directory / "workers")) == "[]"
    assert as_user(65532, lambda: drain(spool)) == f"['{id}']"
    assert as_user(65533, lambda: spool.find(id)[0]) == "done"  # type: ignore[index]


def test_what_was_quarantined_is_quarantined_once(spool: Spool) -> None:
    (spool.directory / "fast" / NAME).write_bytes(b"{")
    assert drain(spool) == []
    before = files(spool)
    assert spool.claim(NAME.removesuffix(".json"), "failed") is None
    assert files(spool) == before


def test_two_files_of_one_name_are_both_kept(spool: Spool) -> None:
    for content in (b"{", b"["):
        (spool.directory / "fast" / NAME).write_bytes(content)
        assert drain(spool) == []
    kept = [path.read_bytes() for path in (spool.directory / "failed").iterdir() if path.suffix != ".reason"]
    assert sorted(kept) == [b"[", b"{"]
    assert len(files(spool)) == 4


# Looking


def test_a_job_is_found_wherever_it_is(spool: Spool) -> None:
    id = spool.enqueue(job())
    assert (spool.find(id) or ("",))[0] == "fast"
    claim = first(spool)
    assert (spool.find(id) or ("",))[0] == "claimed"
    claim.finish()
    assert (spool.find(id) or ("",))[0] == "done"
    assert spool.find("unknown") is None


def test_a_position_is_the_number_of_jobs_that_came_before(spool: Spool) -> None:
    ids = [spool.enqueue(job()) for _ in range(3)]
    assert [spool.jobs_ahead(id, "fast") for id in ids] == [0, 1, 2]


def test_removing_what_is_old_leaves_the_rest(spool: Spool) -> None:
    for name, age in (("old.json", 100), ("young.json", 10)):
        path = spool.directory / "done" / name
        path.write_text("{}")
        os.utime(path, (1e9 - age, 1e9 - age))
    assert spool.remove_older("done", 1e9 - 50) == 1
    assert spool.names("done") == ["young.json"]


def test_a_job_file_says_in_json_what_it_is(spool: Spool) -> None:
    id = spool.enqueue(job())
    content = json.loads(spool.files.path("fast", id).read_text())
    assert content["request"]["task"] == "package_url"
    assert content["request"]["resource_url"] == REQUEST.resource_url
