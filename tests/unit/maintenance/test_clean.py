"""Housekeeping: what has had its time goes, and nothing that anybody still needs."""

import os
import time
from pathlib import Path

from support.workspace import Workspace

from ckanpackager.maintenance.clean import DAY, clean

NOW = time.time()
URL = "https://data.example.org/api/3/action/datastore_search"


def run(workspace: Workspace, now: float = NOW) -> dict[str, int]:
    """Clean, and give what there was to remove."""
    removed = clean(workspace.spool, workspace.store, workspace.settings, now)
    assert set(removed) == {"archives", "done jobs", "failed jobs", "temporary files"}
    return {kind: number for kind, number in removed.items() if number}


def archive(workspace: Workspace, name: str, age: float) -> None:
    directory, file = name.split("/")
    with workspace.store.part(directory) as part:
        part.write_bytes(b"PK")
        workspace.store.publish(part, directory, file, rows=1, now=NOW - age)


def named(letter: str) -> str:
    return f"{letter * 32}-{letter * 32}/title-2026-11-24.zip"


def aged(path: Path, age: float) -> Path:
    os.utime(path, (NOW - age, NOW - age))
    return path


def test_there_may_be_nothing_to_remove(workspace: Workspace) -> None:
    assert run(workspace) == {}


def test_archives_go_after_keep_archives_days(workspace: Workspace) -> None:
    workspace.configure(keep_archives=2)
    archive(workspace, named("a"), 2 * DAY + 60)
    archive(workspace, named("b"), 2 * DAY - 60)
    assert run(workspace) == {"archives": 1}
    assert workspace.archives == [named("b")]


def test_an_archive_that_an_open_job_is_going_to_mail_stays(workspace: Workspace) -> None:
    names = [named("a"), named("b"), named("c")]
    for name in names:
        archive(workspace, name, 30 * DAY)
    ids = [workspace.queue(URL) for _ in names]
    held = []
    for id, name in zip(ids, names, strict=True):
        claim = workspace.spool.claim(id, "fast")
        assert claim
        known = workspace.store.get(name.partition("/")[0])
        match name[0]:
            case "a":
                claim.release(NOW + 1000, archive=known)
            case "b":
                claim.save(archive=known)
                held.append(claim)
            case "c":
                claim.release(NOW + 1000, archive_directory=name.partition("/")[0])
    assert run(workspace) == {}
    assert workspace.archives == names
    for folder in ("fast", "claimed"):
        for name in workspace.spool.names(folder):
            (workspace.spool.directory / folder / name).unlink()
    assert run(workspace) == {"archives": 3}


def test_that_an_archive_has_expired_is_known_for_keep_done_days(workspace: Workspace) -> None:
    workspace.configure(keep_archives=1, keep_done=3)
    archive(workspace, named("a"), 2 * DAY)
    assert run(workspace) == {"archives": 1}
    (record,) = (workspace.store.directory / ".expired").iterdir()
    aged(record, 2.9 * DAY)
    assert run(workspace) == {} and record.exists()
    aged(record, 3.1 * DAY)
    assert run(workspace) == {} and not record.exists()


def test_named_packages_and_links_stay_however_old(workspace: Workspace) -> None:
    archive(workspace, named("a"), 99 * DAY)
    (workspace.store.directory / "gbif.zip").symlink_to(named("a"))
    with workspace.store.part(f"{'b' * 32}-{'b' * 32}") as part:
        part.write_bytes(b"PK")
        workspace.store.publish_named(part, "gbif", rows=1, now=NOW - 99 * DAY)
    assert run(workspace) == {}
    assert workspace.archives == [named("a")] and workspace.store.named("gbif")


def test_done_and_failed_jobs_are_kept_for_their_days(workspace: Workspace) -> None:
    workspace.configure(keep_done=1, keep_failed=2)
    for folder, age in (("done", 1.1), ("done", 0.9), ("failed", 2.1), ("failed", 1.9)):
        path = workspace.spool.directory / folder / f"{age}.json"
        path.write_text("{}")
        aged(path, age * DAY)
    assert run(workspace) == {"done jobs": 1, "failed jobs": 1}
    assert workspace.spool.names("done") == ["0.9.json"]
    assert workspace.spool.names("failed") == ["1.9.json"]


def test_waiting_and_claimed_jobs_stay_however_old(workspace: Workspace) -> None:
    ids = [workspace.queue(URL), workspace.queue(URL)]
    claim = workspace.spool.claim(ids[0], "fast")
    assert claim
    for folder, id in (("claimed", ids[0]), ("fast", ids[1])):
        aged(workspace.spool.files.path(folder, id), 1000 * DAY)
    assert run(workspace) == {}
    assert workspace.where() == {"claimed": 1, "fast": 1}


def test_what_dead_workers_left_in_tmp_goes_after_an_hour(workspace: Workspace) -> None:
    for name, age in (("old", 3700), ("young", 3500)):
        path = workspace.spool.directory / "tmp" / name
        path.write_text("{")
        aged(path, age)
    assert run(workspace) == {"temporary files": 1}
    assert workspace.spool.names("tmp") == ["young"]


def test_a_part_goes_unless_a_worker_writes_it(workspace: Workspace) -> None:
    key = "a" * 32
    part = workspace.store.directory / f".{key}-{'b' * 32}.part"
    part.mkdir()
    (part / "archive.zip").write_bytes(b"")
    with workspace.spool.building(key):
        assert run(workspace) == {}
    assert part.exists()
    assert run(workspace) == {"temporary files": 1}
    assert list(workspace.store.directory.iterdir()) == []


def scratch(folder: Path, age: float) -> Path:
    path = folder / f"ckanpackager-{'a' * 32}-{'b' * 32}.part-x"
    path.mkdir(parents=True)
    (path / "resource.csv").write_text("x")
    aged(path / "resource.csv", age)
    return aged(path, age)


def test_the_files_of_a_dead_workers_zip_command_go(workspace: Workspace) -> None:
    workspace.configure(temp_directory="temp")
    path = scratch(workspace.directory / "temp", 2 * DAY)
    with workspace.spool.building("a" * 32):
        assert run(workspace) == {}
    assert run(workspace) == {"temporary files": 1}
    assert not path.exists()


def test_in_a_temporary_directory_shared_with_others_what_may_be_theirs_stays(workspace: Workspace) -> None:
    workspace.configure(temp_directory="temp")
    young = scratch(workspace.directory / "temp", DAY / 2)  # of a worker with another store, perhaps
    assert run(workspace) == {}
    if os.geteuid() == 0:
        os.chown(aged(young, 2 * DAY), 65534, 65534)
        aged(young / "resource.csv", 2 * DAY)
        assert run(workspace) == {}
    other = workspace.directory / "temp" / "something-else"
    other.mkdir()
    aged(other, 99 * DAY)
    assert run(workspace) == {}
    assert other.exists()
