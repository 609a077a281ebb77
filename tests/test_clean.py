"""Housekeeping: what has had its time goes, and nothing that anybody still needs."""

import os
import time
from pathlib import Path

from place import Place

from ckanpackager.clean import DAY, clean
from ckanpackager.demo.ckan_api import CkanApi

NOW = time.time()


def run(place: Place, now: float = NOW) -> dict[str, int]:
    """Clean, and give what there was to remove."""
    removed = clean(place.spool, place.store, place.settings, now)
    assert set(removed) == {"archives", "done jobs", "failed jobs", "temporary files"}
    return {kind: number for kind, number in removed.items() if number}


def archive(place: Place, name: str, age: float) -> None:
    with place.store.part(name) as part:
        part.write_bytes(b"PK")
        place.store.publish(part, name, rows=1, notes=(), now=NOW - age)
    os.utime(place.store.directory / name, (NOW - age, NOW - age))


def aged(path: Path, age: float) -> Path:
    os.utime(path, (NOW - age, NOW - age))
    return path


def test_there_may_be_nothing_to_remove(place: Place) -> None:
    assert run(place) == {}


def test_archives_go_after_keep_archives_days(place: Place) -> None:
    place.configure(keep_archives=2)
    archive(place, "a" * 32 + "-old.zip", 2 * DAY + 60)
    archive(place, "b" * 32 + "-young.zip", 2 * DAY - 60)
    assert run(place) == {"archives": 1}
    assert place.archives == ["b" * 32 + "-young.zip"]


def test_an_archive_that_an_open_job_is_going_to_mail_stays(place: Place, api: CkanApi) -> None:
    names = ["a" * 32 + "-x.zip", "b" * 32 + "-x.zip", "c" * 32 + "-x.zip"]
    for name in names:
        archive(place, name, 30 * DAY)
    ids = [place.queue(api) for _ in names]
    held = []
    for id, name in zip(ids, names, strict=True):
        claim = place.spool.claim(id, "fast")
        assert claim
        known = place.store.get(name)
        match name[0]:
            case "a":
                claim.postpone(NOW + 1000, archive=known)
            case "b":
                claim.save(archive=known)
                held.append(claim)
            case "c":
                claim.postpone(NOW + 1000, reserved=name)
    assert run(place) == {}
    assert place.archives == names
    for folder in ("fast", "claimed"):
        for name in place.spool.names(folder):
            (place.spool.directory / folder / name).unlink()
    assert run(place) == {"archives": 3}


def test_done_and_failed_jobs_are_kept_for_their_days(place: Place) -> None:
    place.configure(keep_done=1, keep_failed=2)
    for folder, age in (("done", 1.1), ("done", 0.9), ("failed", 2.1), ("failed", 1.9)):
        path = place.spool.directory / folder / f"{age}.json"
        path.write_text("{}")
        aged(path, age * DAY)
    assert run(place) == {"done jobs": 1, "failed jobs": 1}
    assert place.spool.names("done") == ["0.9.json"]
    assert place.spool.names("failed") == ["1.9.json"]


def test_waiting_and_claimed_jobs_stay_however_old(place: Place, api: CkanApi) -> None:
    ids = [place.queue(api), place.queue(api)]
    claim = place.spool.claim(ids[0], "fast")
    assert claim
    for folder, id in (("claimed", ids[0]), ("fast", ids[1])):
        aged(place.spool.files.path(folder, id), 1000 * DAY)
    assert run(place) == {}
    assert place.where() == {"claimed": 1, "fast": 1}


def test_what_dead_workers_left_in_tmp_goes_after_an_hour(place: Place) -> None:
    for name, age in (("old", 3700), ("young", 3500)):
        path = place.spool.directory / "tmp" / name
        path.write_text("{")
        aged(path, age)
    assert run(place) == {"temporary files": 1}
    assert place.spool.names("tmp") == ["young"]


def test_a_part_goes_unless_somebody_writes_it(place: Place) -> None:
    key = "a" * 32
    part = place.store.directory / f".{key}-{'b' * 32}.zip.part"
    part.write_bytes(b"")
    with place.store.building(key):
        assert run(place) == {}
    assert part.exists()
    assert run(place) == {"temporary files": 1}
    assert list(place.store.directory.iterdir()) == []


def scratch(folder: Path, age: float) -> Path:
    path = folder / f"ckanpackager-{'a' * 32}-{'b' * 32}.zip.part-x"
    path.mkdir(parents=True)
    (path / "resource.csv").write_text("x")
    aged(path / "resource.csv", age)
    return aged(path, age)


def test_the_files_of_a_dead_workers_zip_command_go(place: Place) -> None:
    place.configure(temp_directory="temp")
    path = scratch(place.directory / "temp", 2 * DAY)
    with place.store.building("a" * 32):
        assert run(place) == {}
    assert run(place) == {"temporary files": 1}
    assert not path.exists()


def test_in_a_temporary_directory_shared_with_others_what_may_be_theirs_stays(place: Place) -> None:
    place.configure(temp_directory="temp")
    young = scratch(place.directory / "temp", DAY / 2)  # of a worker with another store, perhaps
    assert run(place) == {}
    if os.geteuid() == 0:
        os.chown(aged(young, 2 * DAY), 65534, 65534)
        aged(young / "resource.csv", 2 * DAY)
        assert run(place) == {}
    other = place.directory / "temp" / "something-else"
    other.mkdir()
    aged(other, 99 * DAY)
    assert run(place) == {}
    assert other.exists()
