"""What several modules of tests share: a bucket behind a real HTTP S3 API, and a real PostgreSQL."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from support.servers import postgresql, s3_server

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


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql() as url:
        yield url


@pytest.fixture
def new_database(server: str) -> str:
    engine = create_engine(f"{server}postgres", isolation_level="AUTOCOMMIT")
    name = f"test_{random.randrange(10**12)}"
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"{server}{name}"
