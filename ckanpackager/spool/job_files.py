"""Job files on disk: written whole in tmp/, moved by renaming, on disk when a call returns.  Raises OSError."""

import errno
import os
import re
import stat
from pathlib import Path

from ckanpackager import durable_files
from ckanpackager.errors import TemporaryFailure

_SHARED = stat.S_ISGID | stat.S_IWGRP
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}")


class JobFiles:
    """The files below a spool's directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, folder: str, id: str) -> Path:
        return self.directory / folder / f"{id}.json"

    @property
    def shared(self) -> bool:
        """Whether receiver and worker are different users of one group: the directory is setgid and group-writable."""
        return self.directory.stat().st_mode & _SHARED == _SHARED

    def write(self, id: str, content: bytes, modified: float | None = None) -> tuple[int, Path]:
        """Write a file in tmp/ to disk; its open descriptor and its path."""
        path = self.directory / "tmp" / f"{id}.{os.urandom(4).hex()}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(descriptor, 0o660 if self.shared else 0o600)
            with open(descriptor, "wb", closefd=False) as file:
                file.write(content)
            if modified is not None:
                os.utime(descriptor, (modified, modified))
            os.fsync(descriptor)
        except BaseException:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        return descriptor, path

    def publish(self, written: Path, target: Path) -> None:
        """Rename a file that was written to its place; it is removed if that fails."""
        try:
            self.rename(written, target)
        except OSError:
            written.unlink(missing_ok=True)
            raise

    def rename(self, source: Path, target: Path) -> None:
        durable_files.rename(source, target)

    def failure(self, error: OSError) -> TemporaryFailure:
        """The error in words that say what to do."""
        return durable_files.failure("spool", self.directory, error)


def is_id(text: str) -> bool:
    """Whether the text can be the id of a job, and so part of a path."""
    return _ID.fullmatch(text) is not None


def content(path: Path) -> bytes:
    """What is in a job file.  Raises OSError, also for what is no regular file: reading a pipe would block."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return file.read()
