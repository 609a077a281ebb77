"""The store in a directory, which the web server serves; see `layout` for what is in it."""

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from ckanpackager import durable_files
from ckanpackager.archives import layout
from ckanpackager.archives.store import written
from ckanpackager.jobs.job import Archive

_SHARED = stat.S_ISGID | stat.S_IWGRP
_LEFT_BEHIND = re.compile(r"\.([0-9a-f]{32})(-[0-9a-f]{32}\.(part[0-9a-f]{0,8}|removed)|\.lock|\.newest(\.part)?)")


class DirectoryStore:
    """The archives in `directory`; the same request gets the same one for `cache_time` seconds.

    Every method raises TemporaryFailure where the directory cannot be read or written.
    """

    def __init__(self, directory: Path, cache_time: float, *, download_url: str | None = None) -> None:
        self.directory = directory
        self.cache_time = cache_time
        self._download_url = download_url

    def new_directory(self, key: str) -> str:
        """The name of a directory for an archive of that key."""
        return f"{key}-{secrets.token_hex(16)}"

    def prepare(self) -> None:
        with self._explained():
            if not self.directory.is_dir():
                self.directory.mkdir(parents=True, exist_ok=True)
            state = self.directory.stat()
            if state.st_uid == os.geteuid() and state.st_mode & stat.S_IROTH:  # a web server need not list it
                try:
                    os.chmod(self.directory, 0o2771 if state.st_mode & stat.S_ISGID else 0o711)
                except OSError as error:
                    if error.errno != errno.EROFS:  # else the first archive that is written says so
                        raise

    def find(self, key: str, now: float) -> Archive | None:
        """The newest archive of that key, if it is young enough to be handed out again."""
        with self._explained():
            return layout.newest(self.directory, key, self.cache_time, now)

    def get(self, directory: str) -> Archive | None:
        """The archive in that directory, if it is there."""
        with self._explained():
            return layout.archive_in(self.directory, directory)

    def named(self, name: str) -> Archive | None:
        """The archive of a named package, if there is one."""
        with self._explained():
            return layout.named_archive(self.directory, name)

    @contextlib.contextmanager
    def part(self, directory: str) -> Iterator[Path]:
        """A path to write the archive for a directory to; what is not published from there is removed."""
        folder = self.directory / f".{directory}.part{secrets.token_hex(4)}"
        with self._explained():
            folder.mkdir(mode=0o700)
        try:
            yield folder / "archive.zip"
        finally:
            with self._explained():
                if folder.exists():
                    shutil.rmtree(folder)

    def publish(self, part: Path, directory: str, file: str, *, rows: int | None, now: float, **known: Any) -> Archive:
        """Put a written archive, whole, into its directory.  Of two workers there the second keeps the first's."""
        if earlier := self.get(directory):
            return earlier
        with self._explained():
            archive = written(part, f"{directory}/{file}", rows=rows, now=now, **known)
            folder = part.parent
            self._write(folder / layout.ABOUT, msgspec.json.encode(archive))
            self._seal(part)
            os.rename(part, folder / file)
            os.chmod(folder, self._folder_mode())
            durable_files.sync(folder)
            try:
                durable_files.rename(folder, self.directory / directory)
            except OSError:  # another worker was faster
                if earlier := layout.archive_in(self.directory, directory):
                    return earlier
                raise
            if archive.complete:
                self._replace(self.directory / f".{directory[:32]}.newest", directory.encode())
        return archive

    def has_expired(self, directory: str) -> bool:
        """Whether an archive was there that `clean` or `clear-cache` has removed."""
        with self._explained():
            return layout.has_expired(self.directory, directory)

    def publish_named(self, part: Path, name: str, *, rows: int | None, now: float, **known: Any) -> Archive:
        """Put a written archive in the place of the named package's last one.

        Downloads of that one go on to their end.  What is known follows: if that fails, the package is built anew.
        """
        with self._explained():
            self._make_folder(layout.NAMED)
            file = f"{layout.NAMED}/{name}.zip"
            archive = written(part, file, rows=rows, now=now, **known)
            self._seal(part)
            durable_files.rename(part, self.directory / file)
            self._replace(self.directory / layout.NAMED / f".{name}.json", msgspec.json.encode(archive))
        return archive

    def link(self, archive: Archive, until: float, now: float) -> str:
        """The URL of an archive; an empty text where `download_url` is unset."""
        return f"{self._download_url}/{quote(archive.name)}" if self._download_url else ""

    def remove(self, directory: str) -> None:
        """Remove an archive whose link was given to no requester, and every trace of it."""
        with self._explained(), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.directory / directory)

    def clear(self, in_use: Collection[str] = (), *, named: bool = False) -> int:
        """Remove all archives but those in use, links and what these lead to; how many.

        Those of named packages stay without `named`.
        """
        removed = self._remove([entry for entry in self._entries() if entry not in in_use])
        return removed + (self._remove_named() if named else 0)

    def expired(self, before: float, in_use: Collection[str]) -> list[str]:
        """The directories, but for those in use, of archives that were published before a time."""
        return [entry for entry in self._entries() if entry not in in_use and self._is_older(entry, before)]

    def expire(self, before: float, in_use: Collection[str]) -> int:
        """Remove these; how many."""
        return self._remove(self.expired(before, in_use))

    def forget_expired(self, before: float) -> int:
        """Remove the records of archives that were removed before a time; how many."""
        with self._explained():
            folder = self.directory / layout.EXPIRED
            old = [path for path in folder.glob("*") if path.lstat().st_mtime < before]
            for path in old:
                path.unlink(missing_ok=True)
        return len(old)

    def remove_orphans(self, before: float, is_building: Callable[[str], bool], *, dry_run: bool = False) -> int:
        """Remove what workers left behind that died while writing; how many archives, or how many there are.

        Args:
            before: what has changed since then stays: a packer on another machine may be at work.
            is_building: whether an archive of a key is being built.
        """
        removed = 0
        with self._explained():
            for path in list(self.directory.iterdir()):
                found = _LEFT_BEHIND.fullmatch(path.name)
                if found and _changed(path) < before and not is_building(found[1]):
                    removed += _is_directory(path) if dry_run else self._remove_left_behind(path)
        return removed

    def _remove_left_behind(self, path: Path) -> bool:
        """Whether it was an archive."""
        if path.suffix == ".newest":
            if layout.archive_in(self.directory, path.read_text("ascii", "replace")) is None:
                path.unlink(missing_ok=True)
            return False
        if not _is_directory(path):
            path.unlink(missing_ok=True)  # a link; a lock of version 1, too: locks are in the spool now
            return False
        shutil.rmtree(path)
        return True

    def _entries(self) -> list[str]:
        """The archives' directories, and what other ZIP files lie beside them, but for links and what they lead to."""
        with self._explained():
            kept = self._linked()
            entries = []
            for entry in _scan(self.directory):
                own = entry.is_dir(follow_symlinks=False) and layout.DIRECTORY.fullmatch(entry.name)
                other = entry.is_file(follow_symlinks=False) and re.fullmatch(r"[^.].*\.zip", entry.name)
                if (own or other) and not any(path.is_relative_to(os.path.realpath(entry.path)) for path in kept):
                    entries.append(entry.name)
        return entries

    def _linked(self) -> list[Path]:
        """What symbolic links in the store lead to, in the store and one level below."""
        inner = [Path(entry.path) for entry in _scan(self.directory) if entry.is_dir(follow_symlinks=False)]
        entries = [entry for folder in (self.directory, *inner) for entry in _scan(folder)]
        return [Path(os.path.realpath(entry.path)) for entry in entries if entry.is_symlink()]

    def _is_older(self, entry: str, before: float) -> bool:
        archive = self.get(entry)
        if archive is not None:
            return archive.published < before
        with self._explained():
            try:
                return (self.directory / entry).stat().st_mtime < before
            except FileNotFoundError:
                return False  # another process was faster

    def _remove(self, entries: Collection[str]) -> int:
        with self._explained():
            for entry in entries:
                if layout.DIRECTORY.fullmatch(entry):
                    self._forget_newest(entry)
                    self._make_folder(layout.EXPIRED)
                    (self.directory / layout.EXPIRED / entry).touch()
                    aside = self.directory / f".{entry}.removed"
                    with contextlib.suppress(FileNotFoundError):  # another process was faster
                        os.rename(self.directory / entry, aside)
                        shutil.rmtree(aside)
                else:
                    (self.directory / entry).unlink(missing_ok=True)
        return len(entries)

    def _remove_named(self) -> int:
        removed = 0
        with self._explained():
            for path in list((self.directory / layout.NAMED).glob("*.zip")):
                if not path.is_symlink():
                    path.unlink(missing_ok=True)
                    path.with_name(f".{path.stem}.json").unlink(missing_ok=True)
                    removed += 1
        return removed

    def _forget_newest(self, directory: str) -> None:
        note = self.directory / f".{directory[:32]}.newest"
        with contextlib.suppress(FileNotFoundError):
            if note.read_text("ascii", "replace") == directory:
                note.unlink()

    def _make_folder(self, name: str) -> None:
        folder = self.directory / name
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)
            os.chmod(folder, self._folder_mode())

    def _folder_mode(self) -> int:
        """The web server, another user, opens what it knows; receiver and worker both remove, if they share it."""
        shared = self.directory.stat().st_mode & _SHARED == _SHARED
        return 0o2771 if shared else 0o711

    def _seal(self, part: Path) -> None:
        """An archive that was written is on disk, and the web server may read it."""
        durable_files.sync(part)
        os.chmod(part, 0o644)

    def _write(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        os.chmod(path, 0o644)  # the receiver, which may be another user, looks into the cache
        durable_files.sync(path)

    def _replace(self, path: Path, content: bytes) -> None:
        """Write a small file whole."""
        written = path.with_name(f"{path.name}.part")
        self._write(written, content)
        durable_files.rename(written, path)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise durable_files.failure("store", self.directory, error) from error


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _changed(path: Path) -> float:
    """When a file, or a directory or what is in it, was last changed; 0 if it is gone."""
    try:
        inner = list(path.glob("*")) if path.is_dir() else []
        return max(entry.lstat().st_mtime for entry in (path, *inner))
    except FileNotFoundError:
        return 0.0


def _scan(folder: Path) -> list["os.DirEntry[str]"]:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:  # another process may remove it
        return list(entries)
    return []
