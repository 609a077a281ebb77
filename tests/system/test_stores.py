"""What every store promises, tried on a directory and on a bucket behind a real HTTP S3 API."""

import os
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.programs import is_there
from support.servers import need_s3, s3_server

from ckanpackager.archives import layout, object_store
from ckanpackager.archives.directory_store import DirectoryStore
from ckanpackager.archives.object_store import ObjectStore
from ckanpackager.errors import ConfigError, TemporaryFailure
from ckanpackager.jobs.job import Archive

KEY = "a" * 32
FILE = "title-1970-01-01.zip"
LATER = 3600.0  # seconds from now: all that a test published is older than that


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with s3_server(tmp_path_factory.mktemp("s3")) as environ:
        yield environ


@pytest.fixture
def bucket(tmp_path: Path, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    return ObjectStore(f"s3://archives/{tmp_path.name}", 60, temp_directory=str(tmp_path))


def test_a_bucket_is_tried_here() -> None:
    assert need_s3()


@pytest.fixture(params=["directory", "bucket"] if is_there(need_s3) else ["directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    store = request.getfixturevalue("bucket") if request.param == "bucket" else DirectoryStore(tmp_path / "store", 60)
    store.prepare()
    return store


def publish(store: Any, now: float = 1000, content: bytes = b"zip", key: str = KEY, **more: Any) -> Archive:
    directory = store.new_directory(key)
    with store.part(directory) as part:
        part.write_bytes(content)
        return store.publish(part, directory, FILE, **{"rows": 3, "now": now} | more)


def publish_named(store: Any, name: str, content: bytes, fingerprint: str | None = None) -> Archive:
    with store.part(store.new_directory(KEY)) as part:
        part.write_bytes(content)
        return store.publish_named(part, name, rows=3, now=1000, fingerprint=fingerprint)


def directory_of(archive: Archive) -> str:
    return archive.name.partition("/")[0]


def content_of(store: Any, archive: Archive) -> bytes:
    if isinstance(store, ObjectStore):
        return urllib.request.urlopen(store.link(archive, time.time() + 60, time.time()), timeout=10).read()
    return (store.directory / archive.name).read_bytes()


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


# A bucket's own


def test_a_signed_link_is_good_without_credentials_and_names_the_file(bucket: ObjectStore) -> None:
    archive = publish(bucket)
    with urllib.request.urlopen(bucket.link(archive, time.time() + 60, time.time()), timeout=10) as answer:
        assert answer.read() == b"zip"
        assert answer.headers["Content-Type"] == "application/zip"
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{FILE}"'


def test_a_link_is_signed_for_seven_days_at_most(bucket: ObjectStore) -> None:
    link = bucket.link(publish(bucket), time.time() + 30 * 86400, time.time())
    assert "X-Amz-Expires=604800" in link


def test_a_bucket_that_is_served_has_plain_links(bucket: ObjectStore) -> None:
    served = ObjectStore(bucket.bucket.url, 60, download_url="https://data.example.org/dl")
    archive = publish(bucket)
    assert served.link(archive, 0, 0) == f"https://data.example.org/dl/{archive.name}"


def test_a_large_archive_is_uploaded_in_parts_and_whole(bucket: ObjectStore) -> None:
    content = os.urandom(1 << 20) * 20
    archive = publish(bucket, content=content)
    assert archive.size == len(content)
    assert content_of(bucket, archive) == content


def test_an_upload_that_is_interrupted_leaves_nothing(bucket: ObjectStore, tmp_path: Path) -> None:
    class Interrupted(BaseException):
        """As the stop of a worker is, from a signal handler."""

    opened = iter([False])  # first it is read for its checksum

    class Interrupting(type(tmp_path)):  # type: ignore[misc]
        def open(self, *words: Any, **options: Any) -> Any:
            file, reads = super().open(*words, **options), iter(range(2))
            if next(opened, True):
                read = file.read
                file = SimpleNamespace(read=lambda size: read(size) if next(reads, None) is not None else stop())
                return nullcontext(file)
            return file

    def stop() -> bytes:
        raise Interrupted

    directory = bucket.new_directory(KEY)
    with bucket.part(directory) as part:
        part.write_bytes(bytes(40 << 20))
        with pytest.raises(Interrupted):
            bucket.publish(Interrupting(part), directory, FILE, rows=1, now=1000)
    assert bucket.get(directory) is None
    assert list(bucket.bucket.entries(directory)) == []


def test_what_packers_left_that_died_is_removed_after_a_day(
    bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = bucket.new_directory(KEY)
    with bucket.part(directory) as part:
        part.write_bytes(b"zip")
        bucket.bucket.upload(part, f"{directory}/0/{FILE}")
    archive = publish(bucket)
    young, built = bucket.remove_orphans(time.time(), lambda key: False), None
    monkeypatch.setattr(object_store, "_ORPHANED", -LATER)
    built = bucket.remove_orphans(time.time() + LATER, lambda key: key == KEY)
    assert (young, built) == (0, 0)
    assert bucket.remove_orphans(time.time() + LATER, lambda key: False) == 1
    assert list(bucket.bucket.entries(directory)) == []
    assert bucket.get(directory_of(archive)) == archive


def test_a_bucket_that_does_not_answer_is_a_temporary_failure(
    bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("ckanpackager.archives.bucket._RETRIES", {"max_retries": 0})
    with pytest.raises(TemporaryFailure, match=r"^store s3://archives/\S+: .*; make sure that it answers"):
        bucket.find(KEY, 1)


def test_a_bucket_that_is_not_there_is_a_temporary_failure(bucket: ObjectStore) -> None:
    nowhere = ObjectStore("s3://nowhere", 60)
    for use in (lambda: publish(nowhere), lambda: nowhere.named("gbif"), nowhere.clear):
        with pytest.raises(TemporaryFailure, match=r"^store s3://nowhere: "):
            use()


def test_a_url_of_no_bucket_is_a_fault_of_the_configuration() -> None:
    pytest.importorskip("obstore")
    with pytest.raises(ConfigError, match=r"^store_url: "):
        ObjectStore("s4://archives", 60).prepare()
