"""The store in a bucket: S3, Google Cloud Storage or Azure.

    <key>-<random>/<attempt>/<title>-2026-11-24.zip    an archive
    about/<key>/<random>.json                          what is known about it; written last, and only once
    named/<name>.zip, about/named/<name>.json          a named package, and what is known about it
    expired/<key>-<random>                             its archive was here once

An archive counts once its `about` object is there, which is created only if there is none.  So of two packers that
build the same archive the second gets the first's, and a packer that dies leaves nothing that counts.
"""

import secrets
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from ckanpackager.archives import layout, scratch
from ckanpackager.archives.bucket import Bucket
from ckanpackager.archives.store import written
from ckanpackager.jobs.job import Archive

_ABOUT, _EXPIRED = "about", "expired"
_ORPHANED = 86400  # seconds; an archive without its `about` object for so long was left by a packer that died


class ObjectStore:
    """The archives in a bucket; the same request gets the same one for `cache_time` seconds.

    Every method raises TemporaryFailure where the bucket does not answer, or refuses.
    """

    def __init__(
        self, url: str, cache_time: float, *, download_url: str | None = None, temp_directory: str | None = None
    ) -> None:
        self.bucket = Bucket(url)
        self.cache_time = cache_time
        self._download_url = download_url
        self._temp_directory = temp_directory

    def new_directory(self, key: str) -> str:
        """The name of a directory for an archive of that key."""
        return f"{key}-{secrets.token_hex(16)}"

    def prepare(self) -> None:
        """Raises ConfigError if the URL is none, or the library is missing."""
        self.bucket.open()

    def find(self, key: str, now: float) -> Archive | None:
        """The newest archive of that key, if it is young enough to be handed out again."""
        known = [archive for entry in self.bucket.entries(f"{_ABOUT}/{key}") if (archive := self._known(entry.path))]
        young = [archive for archive in known if archive.complete and abs(now - archive.published) < self.cache_time]
        return max(young, key=lambda archive: archive.published, default=None)

    def get(self, directory: str) -> Archive | None:
        """The archive in that directory, if it is there."""
        return self._known(_about(directory)) if layout.DIRECTORY.fullmatch(directory) else None

    def named(self, name: str) -> Archive | None:
        """The archive of a named package, if there is one."""
        return self._known(_about_named(name))

    def has_expired(self, directory: str) -> bool:
        """Whether an archive was there that `clean` or `clear-cache` has removed."""
        return self.bucket.has(f"{_EXPIRED}/{directory}")

    @contextmanager
    def part(self, directory: str) -> Iterator[Path]:
        """A path to write the archive for a directory to; what is not published from there is removed."""
        with tempfile.TemporaryDirectory(
            prefix=f"{scratch.PREFIX}{directory}.part-", dir=self._temp_directory
        ) as folder:
            yield Path(folder) / "archive.zip"

    def publish(self, part: Path, directory: str, file: str, *, rows: int | None, now: float, **known: Any) -> Archive:
        """Upload a written archive; it is there whole or not at all.

        Of two packers at one directory the second keeps the first's archive.
        """
        if earlier := self.get(directory):
            return earlier
        name = f"{directory}/{secrets.token_hex(4)}/{file}"
        archive = written(part, name, rows=rows, now=now, **known)
        self.bucket.upload(part, name)
        if not self.bucket.create(_about(directory), msgspec.json.encode(archive)):  # another packer was faster
            if earlier := self.get(directory):
                self.bucket.delete(name)
                return earlier
            self.bucket.put(_about(directory), msgspec.json.encode(archive))  # its archive was removed meanwhile
        return archive

    def publish_named(self, part: Path, name: str, *, rows: int | None, now: float, **known: Any) -> Archive:
        """Upload a written archive in the place of the named package's last one.

        What is known follows: if that fails, the package is built anew.
        """
        file = f"{layout.NAMED}/{name}.zip"
        archive = written(part, file, rows=rows, now=now, **known)
        self.bucket.upload(part, file)
        self.bucket.put(_about_named(name), msgspec.json.encode(archive))
        return archive

    def link(self, archive: Archive, until: float, now: float) -> str:
        """The URL to download an archive from: where the bucket is served, else signed until a time."""
        if self._download_url:
            return f"{self._download_url}/{quote(archive.name)}"
        return self.bucket.sign(archive.name, until - now)

    def remove(self, directory: str) -> None:
        """Remove an archive whose link was given to no requester, and every trace of it."""
        self.bucket.delete(_about(directory))
        self.bucket.delete(*[entry.path for entry in self.bucket.entries(directory)])

    def clear(self, in_use: Collection[str] = (), *, named: bool = False) -> int:
        """Remove all archives but those in use and, without `named`, those of named packages; how many."""
        removed = self._remove([directory for directory, _ in self._directories() if directory not in in_use])
        return removed + (self._remove_named() if named else 0)

    def expired(self, before: float, in_use: Collection[str]) -> list[str]:
        """The directories, but for those in use, of archives that were published before a time."""
        old = [directory for directory, published in self._directories() if published < before]
        return [directory for directory in old if directory not in in_use]

    def expire(self, before: float, in_use: Collection[str]) -> int:
        """Remove these; how many."""
        return self._remove(self.expired(before, in_use))

    def forget_expired(self, before: float) -> int:
        """Remove the records of archives that were removed before a time; how many."""
        old = [entry.path for entry in self.bucket.entries(_EXPIRED) if entry.written < before]
        self.bucket.delete(*old)
        return len(old)

    def remove_orphans(self, before: float, is_building: Callable[[str], bool], *, dry_run: bool = False) -> int:
        """Remove what packers left behind that died while they published; how many archives, or how many there are.

        Args:
            before: what has changed since then stays, and what is younger than a day: a packer may be uploading.
            is_building: whether an archive of a key is being built.
        """
        known = {directory for directory, _ in self._directories()}
        unknown = set(filter(layout.DIRECTORY.fullmatch, self.bucket.folders())) - known
        removed, before = 0, min(before, time.time() - _ORPHANED)
        for directory in unknown:
            objects = list(self.bucket.entries(directory))
            if all(entry.written < before for entry in objects) and not is_building(directory[:32]):
                if not dry_run:
                    self.bucket.delete(*[entry.path for entry in objects])
                removed += 1
        return removed

    def _known(self, about: str) -> Archive | None:
        try:
            archive = msgspec.json.decode(self.bucket.get(about) or b"", type=Archive)
        except msgspec.DecodeError:
            return None
        return archive if self.bucket.has(archive.name) else None

    def _directories(self) -> Iterator[tuple[str, float]]:
        """The directories of all archives, and when each was published, by the bucket's clock."""
        for entry in self.bucket.entries(_ABOUT):
            _, key, file = entry.path.rsplit("/", 2)
            if layout.DIRECTORY.fullmatch(directory := f"{key}-{file.removesuffix('.json')}"):
                yield directory, entry.written

    def _remove_named(self) -> int:
        """What is known goes first here, too."""
        files = [entry.path for entry in self.bucket.entries(layout.NAMED)]
        self.bucket.delete(*[entry.path for entry in self.bucket.entries(f"{_ABOUT}/{layout.NAMED}")])
        self.bucket.delete(*files)
        return len(files)

    def _remove(self, directories: Collection[str]) -> int:
        """What is known goes first: an archive is not handed out while it is removed."""
        for directory in directories:
            self.bucket.put(f"{_EXPIRED}/{directory}", b"")
            self.bucket.delete(_about(directory))
            self.bucket.delete(*[entry.path for entry in self.bucket.entries(directory)])
        return len(directories)


def _about(directory: str) -> str:
    key, _, random = directory.partition("-")
    return f"{_ABOUT}/{key}/{random}.json"


def _about_named(name: str) -> str:
    return f"{_ABOUT}/{layout.NAMED}/{name}.json"
