"""The store: an archive is there whole or not at all, and built once."""

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from support.workspace import until

from ckanpackager.archives.store import Store
from ckanpackager.errors import TemporaryFailure
from ckanpackager.jobs.job import Archive

KEY = "a" * 32


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store", 60)
    store.prepare()
    return store


def publish(store: Store, now: float = 1000, **more: Any) -> Archive:
    name = store.new_name(KEY)
    with store.part(name) as part:
        part.write_bytes(b"zip")
        return store.publish(part, name, rows=3, now=now, **more)


def test_a_published_archive_is_found_until_it_is_too_old(store: Store) -> None:
    archive = publish(store)
    assert store.find(KEY, 1059) == store.get(archive.name) == archive
    assert store.find(KEY, 1060) is None
    assert store.find("b" * 32, 1001) is None


def test_the_newest_of_several_is_handed_out(store: Store) -> None:
    publish(store, 1000)
    newest = publish(store, 1010)
    assert store.find(KEY, 1020) == newest


def test_a_clock_that_went_back_a_little_does_not_hide_an_archive(store: Store) -> None:
    archive = publish(store, 1000)
    assert store.find(KEY, 941) == archive
    assert store.find(KEY, 900) is None


def test_an_incomplete_archive_is_not_handed_out_again(store: Store) -> None:
    archive = publish(store, complete=False)
    assert store.get(archive.name) == archive
    assert store.find(KEY, 1001) is None


def test_a_removed_archive_is_not_in_the_cache(store: Store) -> None:
    archive = publish(store)
    (store.directory / archive.name).unlink()
    assert store.find(KEY, 1001) is None
    assert store.get(archive.name) is None


def test_what_is_not_published_is_never_seen_and_goes(store: Store) -> None:
    name = store.new_name(KEY)
    with store.part(name) as part:
        part.write_bytes(b"half")
        assert store.find(KEY, 1) is None and store.get(name) is None
    assert os.listdir(store.directory) == []


def test_names_cannot_be_guessed(store: Store) -> None:
    names = {store.new_name(KEY) for _ in range(100)}
    assert len(names) == 100 and all(len(name) == 32 + 1 + 32 + 4 for name in names)


def test_expired_archives_go_but_none_in_use(store: Store) -> None:
    old, used, young = publish(store), publish(store), publish(store)
    for archive, age in ((old, 100), (used, 100), (young, 300)):
        os.utime(store.directory / archive.name, (age, age))
    assert store.expire(200, {used.name}) == 1
    assert {path.name for path in store.directory.glob("*.zip")} == {used.name, young.name}


def test_clearing_removes_every_archive_and_what_is_known_of_it(store: Store) -> None:
    publish(store)
    publish(store)
    assert store.clear() == 2
    assert os.listdir(store.directory) == []


def build(directory: str, log: str) -> None:
    store = Store(Path(directory), 60)
    with store.building(KEY):
        if store.find(KEY, 1000) is None:
            publish(store)
            with open(log, "a") as file:
                file.write("built\n")


def test_several_at_once_build_it_once(store: Store, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    builders = [context.Process(target=build, args=(str(store.directory), str(tmp_path / "log"))) for _ in range(6)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join(30)
        assert builder.exitcode == 0
    assert (tmp_path / "log").read_text() == "built\n"
    assert len(list(store.directory.glob("*.zip"))) == 1


def hold(directory: str, held: Any) -> None:
    store = Store(Path(directory), 60)
    with store.building(KEY), store.part(store.new_name(KEY)) as part:
        part.write_bytes(b"half")
        held.set()
        signal.pause()


def test_a_builder_that_is_killed_holds_nobody_up_and_its_part_is_removed(store: Store) -> None:
    context = multiprocessing.get_context("fork")
    held = context.Event()
    builder = context.Process(target=hold, args=(str(store.directory), held))
    builder.start()
    until(held.is_set)
    assert store.is_building(KEY)
    assert store.remove_orphans() == 0
    os.kill(builder.pid or 0, signal.SIGKILL)
    builder.join(10)
    with store.building(KEY):
        assert store.remove_orphans() == 0  # somebody builds again
    assert store.remove_orphans() == 1
    assert os.listdir(store.directory) == []


def test_a_store_that_cannot_be_used_says_where_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "file", tmp_path / "missing"):
        with pytest.raises(TemporaryFailure, match=f"store {directory}.*make sure that the disk has room"):
            Store(directory, 60).find(KEY, 1)
