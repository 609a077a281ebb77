"""Archives published into any store, for the tests of stores."""

import time
import urllib.request
from typing import Any

from ckanpackager.archives.object_store import ObjectStore
from ckanpackager.jobs.job import Archive

KEY = "a" * 32
FILE = "title-1970-01-01.zip"
LATER = 3600.0  # seconds from now: all that a test published is older than that


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
