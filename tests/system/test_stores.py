"""What every store promises, tried on a directory and on a bucket behind a real HTTP S3 API."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support.programs import is_there
from support.servers import need_s3
from support.stores import FILE, KEY, LATER, content_of, directory_of, publish, publish_named

from ckanpackager.archives import layout
from ckanpackager.archives.directory_store import DirectoryStore
from ckanpackager.archives.object_store import ObjectStore
from ckanpackager.archives.space import StoreSpace, measure_store
from ckanpackager.config.settings import Archives, Settings


@pytest.fixture(params=["directory", "bucket"] if is_there(need_s3) else ["directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    store = request.getfixturevalue("bucket") if request.param == "bucket" else DirectoryStore(tmp_path / "store", 60)
    store.prepare()
    return store


def test_a_published_archive_is_found_until_it_is_too_old(store: Any) -> None:
    archive = publish(store)
    assert store.find(KEY, 1059) == store.get(directory_of(archive)) == archive
    assert store.find(KEY, 1060) is None
    assert store.find("b" * 32, 1001) is None
    assert content_of(store, archive) == b"zip"


def test_what_is_known_of_an_archive_is_kept(store: Any) -> None:
    archive = publish(store, rows=None, notes=("one file is missing: é",) * 500, complete=False)
    assert store.get(directory_of(archive)) == archive
    assert (archive.rows, archive.size, len(archive.notes), archive.complete) == (None, 3, 500, False)


def test_the_newest_of_several_is_handed_out(store: Any) -> None:
    publish(store, 1000)
    newest = publish(store, 1010)
    assert store.find(KEY, 1020) == newest


def test_an_incomplete_archive_is_not_handed_out_again(store: Any) -> None:
    publish(store, complete=False)
    assert store.find(KEY, 1001) is None


def test_what_is_not_published_is_never_seen_and_goes(store: Any, tmp_path: Path) -> None:
    directory = store.new_directory(KEY)
    with store.part(directory) as part:
        part.write_bytes(b"half")
        assert store.find(KEY, 1) is None and store.get(directory) is None
    assert not part.exists() and list(tmp_path.rglob("*.zip")) == []


def test_of_two_packers_at_one_archive_the_second_keeps_the_firsts(store: Any) -> None:
    first = publish(store)
    with store.part(directory_of(first)) as part:
        part.write_bytes(b"other")
        assert store.publish(part, directory_of(first), "other.zip", rows=4, now=2000) == first
    assert content_of(store, first) == b"zip"


def test_of_many_packers_that_publish_at_once_all_get_the_same_archive(store: Any) -> None:
    directory, together, got = store.new_directory(KEY), threading.Barrier(4), []

    def pack(number: int) -> None:
        with store.part(directory) as part:
            part.write_bytes(b"%d" % number)
            together.wait(10)
            got.append(store.publish(part, directory, FILE, rows=number, now=1000))

    packers = [threading.Thread(target=pack, args=(number,)) for number in range(4)]
    for packer in packers:
        packer.start()
    for packer in packers:
        packer.join(20)
    assert len(got) == 4 and len(set(got)) == 1
    assert store.get(directory) == got[0]
    assert content_of(store, got[0]) == b"%d" % (got[0].rows or 0)


def test_names_cannot_be_guessed(store: Any) -> None:
    names = {store.new_directory(KEY) for _ in range(100)}
    assert len(names) == 100 and all(layout.DIRECTORY.fullmatch(name) for name in names)


@pytest.mark.parametrize("directory", ["", "../named", "named", "a" * 32, f"{'a' * 32}-{'b' * 32}/c"])
def test_what_is_no_directory_of_ours_is_no_archive(store: Any, directory: str) -> None:
    publish(store)
    assert store.get(directory) is None


def test_expired_archives_go_and_none_in_use(store: Any) -> None:
    old, used = publish(store, time.time()), publish(store, time.time())
    assert store.expire(time.time() - LATER, {directory_of(used)}) == 0
    assert store.expire(time.time() + LATER, {directory_of(used)}) == 1
    assert [store.get(directory_of(archive)) for archive in (old, used)] == [None, used]
    assert [store.has_expired(directory_of(archive)) for archive in (old, used)] == [True, False]


def test_that_an_archive_was_there_is_known_for_a_while(store: Any) -> None:
    directory = directory_of(publish(store))
    store.clear()
    assert store.forget_expired(time.time() - LATER) == 0
    assert store.has_expired(directory)
    assert store.forget_expired(time.time() + LATER) == 1
    assert not store.has_expired(directory)


def test_clearing_removes_every_archive_and_what_is_known_of_it(store: Any) -> None:
    archives = [publish(store), publish(store, key="b" * 32)]
    assert store.clear() == 2
    assert [store.get(directory_of(archive)) for archive in archives] == [None, None]
    assert store.find(KEY, 1001) is None
    assert store.clear() == 0


def test_a_named_package_takes_the_place_of_the_one_before(store: Any) -> None:
    assert store.named("gbif") is None
    first = publish_named(store, "gbif", b"first", "f1")
    second = publish_named(store, "gbif", b"second", "f2")
    assert (first.name, first.fingerprint) == ("named/gbif.zip", "f1")
    assert store.named("gbif") == second
    assert content_of(store, second) == b"second"


def test_a_named_package_stays_when_archives_are_removed(store: Any) -> None:
    archive = publish_named(store, "gbif", b"x")
    assert (store.clear(), store.expire(1e12, ())) == (0, 0)
    assert store.named("gbif") == archive
    assert store.find(KEY, 1001) is None


# How much there is, and what would go


def measured(store: Any) -> StoreSpace:
    is_bucket = isinstance(store, ObjectStore)
    where = {"store_url": store.bucket.url} if is_bucket else {"store_directory": str(store.directory)}
    return measure_store(Settings(archives=Archives(**where, keep_archives=7)))  # type: ignore[arg-type]


def test_what_a_store_holds_is_measured(store: Any) -> None:
    assert measured(store)[2:] == (0, None)
    publish(store, content=bytes(1000))
    publish_named(store, "gbif", bytes(5000))
    space = measured(store)
    assert space.archives == 2 and 6000 <= space.used < 9000
    assert (space.free is None) == isinstance(store, ObjectStore)
    assert space.next_expiry is not None and abs(space.next_expiry - time.time() - 7 * 86400) < LATER


def test_what_has_expired_is_listed_and_stays(store: Any) -> None:
    archive, used = publish(store), publish(store)
    assert store.expired(time.time() + LATER, {directory_of(used)}) == [directory_of(archive)]
    assert store.get(directory_of(archive)) == archive


def test_archives_of_named_packages_are_removed_only_if_they_are_meant(store: Any) -> None:
    publish(store)
    kept = publish_named(store, "gbif", b"x")
    assert store.clear() == 1 and store.named("gbif") == kept
    assert store.clear(named=True) == 1 and store.named("gbif") is None
    assert measured(store).archives == 0
