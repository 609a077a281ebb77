"""What several modules of tests share: a bucket behind a real HTTP S3 API."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.servers import s3_server

from ckanpackager.archives.object_store import ObjectStore


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with s3_server(tmp_path_factory.mktemp("s3")) as environ:
        yield environ


@pytest.fixture
def bucket(tmp_path: Path, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    return ObjectStore(f"s3://archives/{tmp_path.name}", 60, temp_directory=str(tmp_path))
