"""The store: an archive is there whole or not at all, and built once."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckanpackager.archives import layout
from ckanpackager.archives.directory_store import DirectoryStore as Store
from ckanpackager.errors import TemporaryFailure
from ckanpackager.jobs.job import Archive

KEY = "a" * 32


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store", 60)
    store.prepare()
    return store


def publish(store: Store, now: float = 1000, file: str = "title-1970-01-01.zip", **more: Any) -> Archive:
    directory = store.new_directory(KEY)
    with store.part(directory) as part:
        part.write_bytes(b"zip")
        return store.publish(part, directory, file, rows=3, now=now, **more)


def publish_named(store: Store, name: str, content: bytes, fingerprint: str | None = None) -> Archive:
    with store.part(store.new_directory(KEY)) as part:
        part.write_bytes(content)
        return store.publish_named(part, name, rows=3, now=1000, fingerprint=fingerprint)


def directory_of(archive: Archive) -> str:
    return archive.name.partition("/")[0]


def archives(store: Store) -> set[str]:
    return {str(path.relative_to(store.directory)) for path in store.directory.glob("[!.]*/*.zip")}


def test_a_published_archive_is_found_until_it_is_too_old(store: Store) -> None:
    archive = publish(store)
    assert store.find(KEY, 1059) == store.get(directory_of(archive)) == archive
    assert store.find(KEY, 1060) is None
    assert store.find("b" * 32, 1001) is None


def test_an_archive_lies_in_a_directory_of_its_own_under_its_title(store: Store) -> None:
    archive = publish(store, file="beetles-2026-11-24.zip")
    directory, file = archive.name.split("/")
    assert file == "beetles-2026-11-24.zip" and directory.startswith(KEY)
    assert (store.directory / archive.name).read_bytes() == b"zip"


def test_the_newest_of_several_is_handed_out(store: Store) -> None:
    publish(store, 1000)
    newest = publish(store, 1010)
    assert store.find(KEY, 1020) == newest


def test_a_clock_that_went_back_a_little_hides_no_archive_and_one_that_went_far_does(store: Store) -> None:
    archive = publish(store, 1000)
    assert store.find(KEY, 941) == archive
    assert store.find(KEY, 900) is None


def test_an_incomplete_archive_is_not_handed_out_again(store: Store) -> None:
    archive = publish(store, complete=False)
    assert store.get(directory_of(archive)) == archive
    assert store.find(KEY, 1001) is None


@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_removed_archive_is_not_in_the_cache(store: Store, what: str) -> None:
    archive = publish(store)
    path = store.directory / archive.name
    path.unlink() if what == "file" else shutil.rmtree(path.parent)
    assert store.find(KEY, 1001) is None
    assert store.get(directory_of(archive)) is None


@pytest.mark.parametrize("content", ["", "../named", "a" * 32, "é" * 65])
def test_a_broken_note_of_the_newest_archive_is_no_archive(store: Store, content: str) -> None:
    (store.directory / f".{KEY}.newest").write_text(content)
    assert store.find(KEY, 1001) is None


def test_what_is_not_published_is_never_seen_and_goes(store: Store) -> None:
    directory = store.new_directory(KEY)
    with store.part(directory) as part:
        part.write_bytes(b"half")
        assert store.find(KEY, 1) is None and store.get(directory) is None
    assert os.listdir(store.directory) == []


def test_of_two_workers_at_one_directory_the_second_keeps_the_firsts_archive(store: Store) -> None:
    first = publish(store)
    with store.part(directory_of(first)) as part:
        part.write_bytes(b"other")
        assert store.publish(part, directory_of(first), "other.zip", rows=4, now=2000) == first
    assert archives(store) == {first.name}


def test_names_cannot_be_guessed(store: Store) -> None:
    names = {store.new_directory(KEY) for _ in range(100)}
    assert len(names) == 100 and all(layout.DIRECTORY.fullmatch(name) for name in names)


def test_the_web_server_may_read_an_archive_whatever_the_umask(store: Store) -> None:
    before = os.umask(0o077)
    try:
        archive = publish(store)
    finally:
        os.umask(before)
    path = store.directory / archive.name
    assert path.stat().st_mode & 0o777 == 0o644 and path.parent.stat().st_mode & 0o777 == 0o711


def test_in_a_store_that_two_users_share_both_may_remove_an_archive(store: Store) -> None:
    store.directory.chmod(0o2770)
    assert (store.directory / publish(store).name).parent.stat().st_mode & 0o7777 == 0o2771


# What goes, and what stays


def test_expired_archives_go_and_none_in_use(store: Store) -> None:
    old, used, young = publish(store, 100), publish(store, 100), publish(store, 300)
    assert store.expire(200, {directory_of(used)}) == 1
    assert archives(store) == {used.name, young.name}
    assert [layout.has_expired(store.directory, directory_of(one)) for one in (old, used)] == [True, False]


def test_that_an_archive_was_there_is_known_for_a_while(store: Store) -> None:
    directory = directory_of(publish(store))
    store.clear()
    now = time.time()
    assert store.forget_expired(now - 60) == 0
    assert layout.has_expired(store.directory, directory)
    assert store.forget_expired(now + 60) == 1
    assert not layout.has_expired(store.directory, directory)


def test_clearing_removes_every_archive_and_what_is_known_of_it(store: Store) -> None:
    publish(store)
    publish(store)
    assert store.clear() == 2
    assert archives(store) == set()
    assert store.find(KEY, 1001) is None
    assert os.listdir(store.directory) == [layout.EXPIRED]


def test_links_stay_and_what_they_lead_to(store: Store) -> None:
    linked, other, inner, gone = (publish(store, 100) for _ in range(4))
    (store.directory / "gbif.zip").symlink_to(linked.name)
    (store.directory / "gbif").mkdir()
    (store.directory / "gbif" / "latest.zip").symlink_to(store.directory / inner.name)
    (store.directory / "flat.zip").write_bytes(b"of the original")
    (store.directory / "old.zip").write_bytes(b"of the original")
    os.utime(store.directory / "flat.zip", (100, 100))
    os.utime(store.directory / "old.zip", (100, 100))
    (store.directory / "stable.zip").symlink_to("flat.zip")
    assert store.expire(200, {directory_of(other)}) == 2
    assert archives(store) >= {linked.name, other.name, inner.name, "gbif/latest.zip"}
    assert gone.name not in archives(store) and not (store.directory / "old.zip").exists()
    assert (store.directory / "stable.zip").read_bytes() == b"of the original"
    assert store.clear() == 1
    assert (store.directory / "gbif.zip").read_bytes() == b"zip"


# Named packages


def test_a_named_package_takes_the_place_of_the_one_before(store: Store) -> None:
    assert store.named("gbif") is None
    first = publish_named(store, "gbif", b"first", "f1")
    with (store.directory / "named" / "gbif.zip").open("rb") as downloading:
        second = publish_named(store, "gbif", b"second", "f2")
        assert downloading.read() == b"first"
    assert (first.name, first.fingerprint) == ("named/gbif.zip", "f1")
    assert store.named("gbif") == second
    assert (store.directory / second.name).read_bytes() == b"second"


def test_a_named_package_stays_when_archives_are_removed(store: Store) -> None:
    archive = publish_named(store, "gbif", b"x")
    assert (store.clear(), store.expire(1e12, ()), store.remove_orphans(1e12, lambda key: False)) == (0, 0, 0)
    assert store.named("gbif") == archive


def test_a_named_package_is_in_nobodys_cache(store: Store) -> None:
    publish_named(store, "gbif", b"private rows")
    assert store.find(KEY, 1001) is None


# Names


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Specimens of Ångström & Øst", "specimens-of-angstrom-st"),
        ("  Beetles (2020) ", "beetles-2020"),
        ("../../etc/passwd\n", "etc-passwd"),
        ("甲虫", "r-1"),
        ("", "r-1"),
        ("x" * 59 + " yz", "x" * 59),
    ],
)
def test_a_file_is_named_by_its_title_else_its_id_and_the_day(title: str, name: str) -> None:
    assert layout.file_name(title, "R/1", 86400 * 365 + 5) == f"{name}-1971-01-01.zip"


def test_a_file_has_a_name_even_without_title_and_id() -> None:
    assert layout.file_name("", "é"[:0], 0) == "archive-1970-01-01.zip"


@given(st.text(), st.text(), st.integers(0, 4 * 10**9))
def test_every_archive_has_a_name_that_the_web_server_serves(title: str, id: str, when: float) -> None:
    assert layout.LINK.fullmatch(f"{KEY}-{KEY}/{layout.file_name(title, id, when)}")


# What dead workers left


def test_a_part_is_removed_unless_its_archive_is_being_built_or_it_is_young(store: Store) -> None:
    part = store.directory / f".{store.new_directory(KEY)}.part{'0' * 8}"
    part.mkdir()
    (part / "archive.zip").write_bytes(b"half")
    now = time.time()
    assert store.remove_orphans(now + 60, lambda key: key == KEY) == 0
    assert store.remove_orphans(now - 60, lambda key: False) == 0
    assert store.remove_orphans(now + 60, lambda key: False) == 1
    assert os.listdir(store.directory) == []


def test_a_link_in_the_place_of_a_part_is_removed_and_not_what_it_leads_to(store: Store, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.zip").touch()
    (store.directory / f".{store.new_directory(KEY)}.part{'0' * 8}").symlink_to(tmp_path / "elsewhere")
    later = time.time() + 60
    assert store.remove_orphans(later, lambda key: False, dry_run=True) == 0
    assert store.remove_orphans(later, lambda key: False) == 0
    assert os.listdir(store.directory) == [] and os.listdir(tmp_path / "elsewhere") == ["a.zip"]


def test_a_store_that_cannot_be_used_says_where_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "file", tmp_path / "missing"):
        with pytest.raises(TemporaryFailure, match=f"store {directory}.*make sure that the disk has room"):
            Store(directory, 60).find(KEY, 1)
