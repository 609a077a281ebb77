"""The store of finished archives: a directory, or a bucket.  Both keep the same promises."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from ckanpackager import durable_files
from ckanpackager.config.settings import Settings
from ckanpackager.jobs.job import Archive


class Store(Protocol):
    """Every method raises TemporaryFailure where the store cannot be used now."""

    def prepare(self) -> None: ...

    def new_directory(self, key: str) -> str:
        """The name of a directory for an archive of that key."""

    def find(self, key: str, now: float) -> Archive | None:
        """The newest archive of that key, if it is young enough to be handed out again."""

    def get(self, directory: str) -> Archive | None:
        """The archive in that directory, if it is there."""

    def named(self, name: str) -> Archive | None:
        """The archive of a named package, if there is one."""

    def has_expired(self, directory: str) -> bool:
        """Whether an archive was there that was removed."""

    def link(self, archive: Archive, until: float, now: float) -> str:
        """The URL to download an archive from, until a time at least; empty where there is none."""

    def part(self, directory: str) -> AbstractContextManager[Path]:
        """A path to write the archive for a directory to; what is not published from there is removed."""

    def publish(self, part: Path, directory: str, file: str, *, rows: int | None, now: float, **known: Any) -> Archive:
        """Put a written archive, whole, into its directory; the first one of a directory stays.

        `known` are other fields of Archive: `notes`, `description`, `complete`.
        """

    def publish_named(self, part: Path, name: str, *, rows: int | None, now: float, **known: Any) -> Archive:
        """Put a written archive in the place of the named package's last one."""

    def remove(self, directory: str) -> None:
        """Remove an archive whose link was given to no requester, and every trace of it."""

    def clear(self, in_use: Collection[str] = (), *, named: bool = False) -> int:
        """Remove all archives but those in use and, without `named`, those of named packages; how many."""

    def expired(self, before: float, in_use: Collection[str]) -> list[str]:
        """The directories, but for those in use, of archives that were published before a time."""

    def expire(self, before: float, in_use: Collection[str]) -> int:
        """Remove these; how many."""

    def forget_expired(self, before: float) -> int:
        """Remove the records of archives that were removed before a time; how many."""

    def remove_orphans(self, before: float, is_building: Callable[[str], bool], *, dry_run: bool = False) -> int:
        """Remove what died half written before a time; how many archives, or how many there are."""


def written(part: Path, name: str, *, rows: int | None, now: float, **known: Any) -> Archive:
    """What is known of an archive that was written; `known` are other fields of Archive.  Raises OSError."""
    size, sha256 = part.stat().st_size, durable_files.sha256(part)
    return Archive(name=name, size=size, sha256=sha256, rows=rows, published=now, **known)


def open_store(settings: Settings) -> Store:
    """The store that the configuration names.  Raises ConfigError if its library is missing, TemporaryFailure."""
    archives = settings.archives
    store: Store
    if archives.store_url:
        from ckanpackager.archives.object_store import ObjectStore

        store = ObjectStore(
            archives.store_url,
            archives.cache_time,
            download_url=settings.mail.download_url,
            temp_directory=archives.temp_directory,
        )
    else:
        from ckanpackager.archives.directory_store import DirectoryStore

        store = DirectoryStore(
            Path(archives.store_directory), archives.cache_time, download_url=settings.mail.download_url
        )
    store.prepare()
    return store
