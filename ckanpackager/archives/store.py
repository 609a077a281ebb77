"""The store: the directory of finished archives, which the web server serves.

    <key>-<random>.zip          an archive; it is there whole or not at all
    .<key>-<random>.zip.json    what is known about it; an archive without it is not handed out again
    .<key>-<random>.zip.part    being written
    .<key>.lock                 held while an archive of that key is built, so that two at once build it once

The key stands for a request's parameters, the random half makes the name one that cannot be guessed.
"""

import contextlib
import os
import re
import secrets
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec
from filelock import lock_descriptor

from ckanpackager import durable_files
from ckanpackager.jobs.job import Archive

_OWN = re.compile(r"\.[0-9a-f]{32}(-[0-9a-f]{32}\.zip\.(json|part)|\.lock)")
POLL = 0.1  # seconds between two looks whether the other worker has built it


class Store:
    """The archives in `directory`; the same request gets the same one for `cache_time` seconds."""

    def __init__(self, directory: Path, cache_time: float) -> None:
        self.directory = directory
        self.cache_time = cache_time

    def new_name(self, key: str) -> str:
        return f"{key}-{secrets.token_hex(16)}.zip"

    def prepare(self) -> None:
        with self._explained():
            self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)

    def find(self, key: str, now: float) -> Archive | None:
        """The newest archive of that key that is young enough to be handed out again.  Raises TemporaryFailure."""
        known = [archive for name in self._names() if name.startswith(f"{key}-") and (archive := self.get(name))]
        young = [archive for archive in known if archive.complete and abs(now - archive.published) < self.cache_time]
        return max(young, key=lambda archive: archive.published, default=None)

    def get(self, name: str) -> Archive | None:
        """The archive of that name, if it is there, whole.  Raises TemporaryFailure."""
        with self._explained():
            try:
                (self.directory / name).stat()
                return msgspec.json.decode(self._about(name).read_bytes(), type=Archive)
            except (FileNotFoundError, msgspec.DecodeError):
                return None

    @contextlib.contextmanager
    def building(self, key: str) -> Iterator[None]:
        """Hold the key's lock; wait while another worker holds it.  Raises TemporaryFailure."""
        path = self.directory / f".{key}.lock"
        with self._explained():
            descriptor = _lock(path)
        try:
            yield
        finally:
            try:
                with self._explained():
                    path.unlink(missing_ok=True)  # before the lock goes: see _try_lock
            finally:
                os.close(descriptor)

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[Path]:
        """A path to write the archive `name` to; what is not published from there is removed."""
        path = self.directory / f".{name}.part"
        try:
            yield path
        finally:
            with self._explained():
                path.unlink(missing_ok=True)

    def publish(
        self,
        part: Path,
        name: str,
        *,
        rows: int | None,
        now: float,
        notes: tuple[str, ...] = (),
        complete: bool = True,
    ) -> Archive:
        """Put a written archive, whole, under its name.  Raises TemporaryFailure."""
        with self._explained():
            archive = Archive(
                name=name, size=part.stat().st_size, rows=rows, notes=notes, complete=complete, published=now
            )
            durable_files.sync(part)
            about = self._about(name)
            about.write_bytes(msgspec.json.encode(archive))
            durable_files.sync(about)
            os.chmod(part, 0o644)  # the web server is another user
            durable_files.rename(part, self.directory / name)
        return archive

    def clear(self) -> int:
        """Remove all archives; how many."""
        return self._remove(self._names())

    def expire(self, before: float, in_use: Collection[str]) -> int:
        """Remove the archives published before a time, but for those in use; how many."""
        return self._remove([name for name in self._names() if name not in in_use and self._is_older(name, before)])

    def remove_orphans(self) -> int:
        """Remove what workers left behind that died while writing; how many files."""
        removed = 0
        with self._explained():
            for path in list(self.directory.iterdir()):
                if not _OWN.fullmatch(path.name):
                    continue
                if path.suffix == ".json":
                    removed += self._remove_if_alone(path)
                else:
                    removed += self._remove_if_unlocked(path)
        return removed

    def is_building(self, name: str) -> bool:
        """Whether a worker builds an archive of that name, or of its key."""
        lock = self.directory / f".{name[:32]}.lock"
        with self._explained():
            if (descriptor := _try_lock(lock)) is None:
                return True
            lock.unlink(missing_ok=True)
            os.close(descriptor)
        return False

    def _remove_if_unlocked(self, path: Path) -> int:
        lock = self.directory / f".{path.name[1:33]}.lock"
        descriptor = _try_lock(lock)
        if descriptor is None:
            return 0
        try:
            path.unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
        return path.suffix == ".part"

    def _remove_if_alone(self, about: Path) -> int:
        """What is known about an archive that is not there (any more)."""
        archive = self.directory / about.name[1 : -len(".json")]
        descriptor = _try_lock(self.directory / f".{about.name[1:33]}.lock")
        if descriptor is None:
            return 0  # about to be published
        try:
            if archive.exists():
                return 0
            about.unlink(missing_ok=True)
            return 1
        finally:
            (self.directory / f".{about.name[1:33]}.lock").unlink(missing_ok=True)
            os.close(descriptor)

    def _is_older(self, name: str, before: float) -> bool:
        with self._explained():
            try:
                return (self.directory / name).stat().st_mtime < before
            except FileNotFoundError:
                return False  # another process was faster

    def _names(self) -> list[str]:
        with self._explained():
            return [name for name in os.listdir(self.directory) if name.endswith(".zip") and not name.startswith(".")]

    def _about(self, name: str) -> Path:
        return self.directory / f".{name}.json"

    def _remove(self, names: Collection[str]) -> int:
        with self._explained():
            for name in names:
                (self.directory / name).unlink(missing_ok=True)
                self._about(name).unlink(missing_ok=True)
        return len(names)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise durable_files.failure("store", self.directory, error) from error


def _lock(path: Path) -> int:
    """Lock the file of that path, making it, and wait as long as another process holds it; its descriptor."""
    while (descriptor := _try_lock(path)) is None:
        time.sleep(POLL)
    return descriptor


def _try_lock(path: Path) -> int | None:
    """The holder removes the file before it lets go, so a lock counts only while the path still names its file."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if lock_descriptor(descriptor, blocking=False) and os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except FileNotFoundError:
        pass
    os.close(descriptor)
    return None
