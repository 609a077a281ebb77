"""What only a bucket does, tried on a real HTTP S3 API; `test_stores` has what it shares with directories."""

import os
import time
import urllib.request
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.servers import need_s3
from support.stores import FILE, KEY, LATER, content_of, directory_of, publish

from ckanpackager.archives import object_store
from ckanpackager.archives.object_store import ObjectStore
from ckanpackager.errors import ConfigError, TemporaryFailure

need_s3()


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
    with pytest.raises(ConfigError, match=r"^store_url: "):
        ObjectStore("s4://archives", 60).prepare()
