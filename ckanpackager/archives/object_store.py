"""The store in a bucket: S3, Google Cloud Storage or Azure, through obstore.

    <key>-<random>/<attempt>/<title>-2026-11-24.zip    an archive
    about/<key>/<random>.json                          what is known about it; written last, and only once
    named/<name>.zip, about/named/<name>.json          a named package, and what is known about it
    expired/<key>-<random>                             its archive was here once

An archive counts once its `about` object is there, which is created only if there is none (If-None-Match).  So of two
packers that build the same archive the second gets the first's, and a packer that dies leaves nothing that counts.
Credentials come from the environment, where the providers' own programs read them.
"""

import contextlib
import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from ckanpackager.archives import layout, scratch
from ckanpackager.errors import ConfigError, TemporaryFailure
from ckanpackager.jobs.job import Archive

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Bucket  # Any, unless it is installed

LONGEST_LINK = 7 * 86400  # seconds; S3 and Google Cloud Storage sign no link for longer (Signature Version 4)
_ABOUT, _EXPIRED = "about", "expired"
_CHUNK = 8 << 20  # bytes of a part of an upload
_MOST_PARTS = 9000  # S3 takes 10,000
_ORPHANED = 86400  # seconds; an archive without its `about` object for so long was left by a packer that died
_CLIENT: Any = {"connect_timeout": "10s", "timeout": "5min"}  # of one request: a part, at most
_PROVIDERS = ("AWS", "GOOGLE", "AZURE")  # their variables' names start so
_RETRIES: Any = {"max_retries": 4, "retry_timeout": timedelta(seconds=60)}


class ObjectStore:
    """The archives in a bucket; the same request gets the same one for `cache_time` seconds.

    Every method raises TemporaryFailure where the bucket does not answer, or refuses.
    """

    def __init__(
        self, url: str, cache_time: float, *, download_url: str | None = None, temp_directory: str | None = None
    ) -> None:
        self.url = url
        self.cache_time = cache_time
        self._download_url = download_url
        self._temp_directory = temp_directory

    def new_directory(self, key: str) -> str:
        """The name of a directory for an archive of that key."""
        return f"{key}-{secrets.token_hex(16)}"

    def prepare(self) -> None:
        """Raises ConfigError if the URL is none, or the library is missing."""
        _ = self._bucket

    def find(self, key: str, now: float) -> Archive | None:
        """The newest archive of that key, if it is young enough to be handed out again."""
        known = [archive for entry in self._list(f"{_ABOUT}/{key}") if (archive := self._known(entry["path"]))]
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
        import obstore

        with self._explained():
            try:
                obstore.head(self._bucket, f"{_EXPIRED}/{directory}")
            except FileNotFoundError:
                return False
        return True

    @contextlib.contextmanager
    def part(self, directory: str) -> Iterator[Path]:
        """A path to write the archive for a directory to; what is not published from there is removed."""
        with tempfile.TemporaryDirectory(
            prefix=f"{scratch.PREFIX}{directory}.part-", dir=self._temp_directory
        ) as folder:
            yield Path(folder) / "archive.zip"

    def publish(
        self,
        part: Path,
        directory: str,
        file: str,
        *,
        rows: int | None,
        now: float,
        notes: tuple[str, ...] = (),
        complete: bool = True,
    ) -> Archive:
        """Upload a written archive; it is there whole or not at all.

        Of two packers at one directory the second keeps the first's archive.
        """
        if known := self.get(directory):
            return known
        name, size = f"{directory}/{secrets.token_hex(4)}/{file}", part.stat().st_size
        archive = Archive(name=name, size=size, rows=rows, notes=notes, complete=complete, published=now)
        self._upload(part, name, size)
        if not self._create(_about(directory), msgspec.json.encode(archive)):  # another packer was faster
            if known := self.get(directory):
                self._delete([name])
                return known
            self._put(_about(directory), msgspec.json.encode(archive))  # its archive was removed meanwhile
        return archive

    def publish_named(
        self,
        part: Path,
        name: str,
        *,
        rows: int | None,
        now: float,
        notes: tuple[str, ...] = (),
        fingerprint: str | None = None,
    ) -> Archive:
        """Upload a written archive in the place of the named package's last one.

        What is known follows: if that fails, the package is built anew.
        """
        file, size = f"{layout.NAMED}/{name}.zip", part.stat().st_size
        archive = Archive(name=file, size=size, rows=rows, notes=notes, published=now, fingerprint=fingerprint)
        self._upload(part, file, size)
        self._put(_about_named(name), msgspec.json.encode(archive))
        return archive

    def link(self, archive: Archive, until: float, now: float) -> str:
        """The URL to download an archive from: where the bucket is served, or signed until a time.

        Raises TemporaryFailure.
        """
        if self._download_url:
            return f"{self._download_url}/{quote(archive.name)}"
        import obstore

        seconds = min(max(until - now, 1), LONGEST_LINK)
        with self._explained():
            return str(obstore.sign(self._bucket, "GET", archive.name, timedelta(seconds=seconds)))

    def clear(self) -> int:
        """Remove all archives but those of named packages; how many."""
        return self._remove([directory for directory, _ in self._directories()])

    def expire(self, before: float, in_use: Collection[str]) -> int:
        """The same for archives published before a time, but for the directories in use; how many."""
        old = [directory for directory, published in self._directories() if published < before]
        return self._remove([directory for directory in old if directory not in in_use])

    def forget_expired(self, before: float) -> int:
        """Remove the records of archives that were removed before a time; how many."""
        old = [entry["path"] for entry in self._list(_EXPIRED) if entry["last_modified"].timestamp() < before]
        self._delete(old)
        return len(old)

    def remove_orphans(self, before: float, is_building: Callable[[str], bool]) -> int:
        """Remove what packers left behind that died while they published; how many archives.

        Args:
            before: what has changed since then stays, and what is younger than a day: a packer may be uploading.
            is_building: whether an archive of a key is being built.
        """
        import obstore

        known = {directory for directory, _ in self._directories()}
        with self._explained():
            there = set(obstore.list_with_delimiter(self._bucket)["common_prefixes"])
        removed, before = 0, min(before, time.time() - _ORPHANED)
        for directory in filter(layout.DIRECTORY.fullmatch, there - known):
            objects = list(self._list(directory))
            if all(entry["last_modified"].timestamp() < before for entry in objects) and not is_building(
                directory[:32]
            ):
                self._delete([entry["path"] for entry in objects])
                removed += 1
        return removed

    @cached_property
    def _bucket(self) -> "Bucket":
        try:
            from obstore.exceptions import BaseError
            from obstore.store import from_url
        except ImportError:
            raise ConfigError("store_url: needs the extra: pip install 'ckanpackager[object-store]'") from None
        plain = any(os.environ.get(f"{provider}_ALLOW_HTTP", "").lower() == "true" for provider in _PROVIDERS)
        try:
            return from_url(self.url, client_options={**_CLIENT, "allow_http": plain}, retry_config=_RETRIES)
        except (BaseError, ValueError) as error:
            raise ConfigError(f"store_url: {_one_line(error)}") from None

    def _upload(self, part: Path, path: str, size: int) -> None:
        """In parts, read one after the other: a signal is heeded between two of them, and the upload aborted."""
        import obstore

        chunk = max(_CHUNK, size // _MOST_PARTS)
        attributes: Any = {
            "Content-Type": "application/zip",
            "Content-Disposition": f'attachment; filename="{path.rpartition("/")[2]}"',
        }
        with part.open("rb") as file:
            chunks = iter(lambda: file.read(chunk), b"")
            options: Any = {"attributes": attributes, "chunk_size": chunk, "max_concurrency": 4}
            with self._explained():
                obstore.put(self._bucket, path, (piece for piece in chunks), **options)

    def _put(self, path: str, content: bytes, **options: Any) -> None:
        import obstore

        with self._explained():
            obstore.put(self._bucket, path, content, attributes={"Content-Type": "application/json"}, **options)

    def _create(self, path: str, content: bytes) -> bool:
        """Put an object only if there is none of its name; whether there was none."""
        from obstore.exceptions import AlreadyExistsError

        try:
            self._put(path, content, mode="create")
        except AlreadyExistsError:
            return False
        return True

    def _known(self, about: str) -> Archive | None:
        import obstore

        with self._explained():
            try:
                archive = msgspec.json.decode(bytes(obstore.get(self._bucket, about).bytes()), type=Archive)
                obstore.head(self._bucket, archive.name)
            except FileNotFoundError as error:
                if _is_there(error):
                    return None
                raise
            except msgspec.DecodeError:
                return None
        return archive

    def _list(self, prefix: str) -> Iterator[Any]:
        import obstore

        with self._explained():
            for page in obstore.list(self._bucket, prefix):
                yield from page

    def _directories(self) -> Iterator[tuple[str, float]]:
        """The directories of all archives, and when each was published, by the bucket's clock."""
        for entry in self._list(_ABOUT):
            _, key, file = entry["path"].rsplit("/", 2)
            if layout.DIRECTORY.fullmatch(directory := f"{key}-{file.removesuffix('.json')}"):
                yield directory, entry["last_modified"].timestamp()

    def _remove(self, directories: Collection[str]) -> int:
        """What is known goes first: an archive is not handed out while it is removed."""
        for directory in directories:
            self._put(f"{_EXPIRED}/{directory}", b"")
            self._delete([_about(directory)])
            self._delete([entry["path"] for entry in self._list(directory)])
        return len(directories)

    def _delete(self, paths: list[str]) -> None:
        import obstore

        if paths:
            with self._explained(), contextlib.suppress(FileNotFoundError):  # another process was faster
                obstore.delete(self._bucket, paths)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        from obstore.exceptions import AlreadyExistsError, BaseError

        try:
            yield
        except AlreadyExistsError:
            raise
        except (BaseError, OSError) as error:
            raise TemporaryFailure(
                f"store {self.url}: {_one_line(error)}; make sure that it answers and that its credentials may list, "
                "read, write and delete there"
            ) from error


def _about(directory: str) -> str:
    key, _, random = directory.partition("-")
    return f"{_ABOUT}/{key}/{random}.json"


def _about_named(name: str) -> str:
    return f"{_ABOUT}/{layout.NAMED}/{name}.json"


def _is_there(error: FileNotFoundError) -> bool:
    """Whether only an object is missing, and not the whole bucket."""
    return not re.search("NoSuchBucket|bucket does not exist|ContainerNotFound", str(error))


def _one_line(error: Exception) -> str:
    """The first line: what follows is for those who debug obstore, and may quote credentials."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
