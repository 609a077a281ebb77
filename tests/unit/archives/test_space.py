"""How much the store holds: what `check`, the dashboard and the bounds go by."""

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from ckanpackager.archives.directory_store import DirectoryStore
from ckanpackager.archives.space import free_space, measure_store
from ckanpackager.config.settings import Settings
from ckanpackager.errors import TemporaryFailure

DAY = 86400


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    store = DirectoryStore(tmp_path / "store", 60)
    store.prepare()
    return store


def settings_of(store: DirectoryStore) -> Settings:
    settings = Settings()
    archives = replace(settings.archives, store_directory=str(store.directory), keep_archives=7)
    return replace(settings, archives=archives)


def publish(store: DirectoryStore, size: int, written: float, *, name: str | None = None) -> None:
    directory = store.new_directory("a" * 32)
    with store.part(directory) as part:
        part.write_bytes(bytes(size))
        os.utime(part, (written, written))
        if name:
            store.publish_named(part, name, rows=1, now=written)
        else:
            store.publish(part, directory, "t-1970-01-01.zip", rows=1, now=written)


def test_an_empty_store_holds_nothing_and_has_no_expiry(store: DirectoryStore) -> None:
    space = measure_store(settings_of(store))
    assert (space.used, space.archives, space.next_expiry) == (0, 0, None)
    assert space.free is not None and abs(space.free - free_space(store.directory)) < 10**9


def test_the_first_archive_to_expire_is_the_oldest_that_is_no_named_package(store: DirectoryStore) -> None:
    publish(store, 1000, 200.0)
    publish(store, 2000, 100.0)
    publish(store, 4000, 50.0, name="gbif")
    space = measure_store(settings_of(store))
    assert space.archives == 3
    assert space.next_expiry == 100 + 7 * DAY
    assert 7000 <= space.used < 9000  # and what is known of them


def test_an_archive_that_is_being_written_takes_room_but_is_none_yet(store: DirectoryStore) -> None:
    with store.part(store.new_directory("a" * 32)) as part:
        part.write_bytes(bytes(5000))
        space = measure_store(settings_of(store))
    assert (space.used, space.archives, space.next_expiry) == (5000, 0, None)


def test_links_out_of_the_store_and_records_of_expired_archives_take_no_room(
    store: DirectoryStore, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "big.zip").write_bytes(bytes(10_000))
    (store.directory / "linked").symlink_to(tmp_path / "elsewhere")
    (store.directory / "big.zip").symlink_to(tmp_path / "elsewhere" / "big.zip")
    publish(store, 10, 100.0)
    store.clear()
    space = measure_store(settings_of(store))
    assert (space.used, space.archives) == (0, 0)


def test_a_store_that_the_first_job_will_make_holds_nothing(tmp_path: Path) -> None:
    space = measure_store(settings_of(DirectoryStore(tmp_path / "new", 60)))
    assert (space.used, space.archives, space.next_expiry) == (0, 0, None)
    assert space.free is not None


def test_a_store_whose_directory_is_not_there_either_is_said_in_words(tmp_path: Path) -> None:
    missing = DirectoryStore(tmp_path / "missing" / "store", 60)
    with pytest.raises(TemporaryFailure, match=f"store {tmp_path}/missing: No such file"):
        measure_store(settings_of(missing))
