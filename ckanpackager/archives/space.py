"""How much the store holds, and how much room its file system has."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ckanpackager import durable_files
from ckanpackager.archives import layout
from ckanpackager.config.settings import Settings

DAY = 86400  # seconds


class StoreSpace(NamedTuple):
    """What the store holds.

    Attributes:
        used: Bytes of everything in it: archives, named packages, and what is being written.
        free: Bytes that its file system has left for this user; None for a bucket.
        archives: How many finished archives there are, named packages included.
        next_expiry: When the first archive expires, in seconds since 1970; None if there is none that expires.
    """

    used: int
    free: int | None
    archives: int
    next_expiry: float | None


class _File(NamedTuple):
    """A file of the store: its path there, its bytes, and when it was written."""

    path: str
    size: int
    written: float


def measure_store(settings: Settings) -> StoreSpace:
    """Look at every archive of the store that the configuration names.  Raises TemporaryFailure."""
    archives = settings.archives
    if archives.store_url:
        from ckanpackager.archives.bucket import Bucket

        files = (_File(*entry) for entry in Bucket(archives.store_url).entries())
        return _summed(files, None, archives.keep_archives)
    directory = Path(archives.store_directory)
    try:
        if not os.path.exists(directory):  # the first job makes it
            return StoreSpace(0, free_space(directory.parent), 0, None)
        return _summed(_files(directory, ""), free_space(directory), archives.keep_archives)
    except OSError as error:
        raise durable_files.failure("store", directory, error) from error


def free_space(directory: Path) -> int:
    """The bytes that the file system of a directory has left for this user.  Raises OSError."""
    state = os.statvfs(directory)
    return state.f_bavail * state.f_frsize


def human_size(size: float) -> str:
    """A number of bytes in decimal units, as download pages write it."""
    if size < 1000:
        return f"{size:.0f} byte{'' if size == 1 else 's'}"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if round(size, 1) < 1000:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:,.1f} TB"


def _summed(files: Iterator[_File], free: int | None, keep_archives: float) -> StoreSpace:
    used, archives, oldest = 0, 0, None
    for file in files:
        used += file.size
        if not file.path.endswith(".zip") or file.path.startswith("."):
            continue
        archives += 1
        if not file.path.startswith(f"{layout.NAMED}/"):
            oldest = file.written if oldest is None else min(oldest, file.written)
    return StoreSpace(used, free, archives, None if oldest is None else oldest + keep_archives * DAY)


def _files(directory: Path, below: str) -> Iterator[_File]:
    """The files in a directory and below, but for links; those that are removed meanwhile are left out."""
    try:
        entries = list(os.scandir(directory / below))
    except FileNotFoundError:
        if not below:
            raise
        return
    for entry in entries:
        path = f"{below}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            if path != layout.EXPIRED:  # empty files, and many of them
                yield from _files(directory, f"{path}/")
        elif entry.is_file(follow_symlinks=False):
            try:
                state = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield _File(path, state.st_size, state.st_mtime)
