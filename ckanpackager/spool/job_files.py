"""Job files on disk: written whole in tmp/, moved by renaming, on disk when a call returns.  Raises OSError."""

import errno
import os
import re
import stat
import time
from pathlib import Path

from ckanpackager import durable_files
from ckanpackager.errors import OUR_FAULT, SpoolFailure

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
        return durable_files.is_shared(self.directory)

    def write(self, id: str, content: bytes, modified: float | None = None) -> tuple[int, Path]:
        """Write a file in tmp/ to disk; its open descriptor and its path."""
        path = self.directory / "tmp" / f"{id}.{os.urandom(4).hex()}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            self.give_modes(descriptor)
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

    def give_modes(self, descriptor: int) -> None:
        give_modes(descriptor, self.directory)

    def publish(self, written: Path, target: Path) -> None:
        """Rename a file that was written to its place; it is removed if that fails."""
        try:
            self.rename(written, target)
        except OSError:
            written.unlink(missing_ok=True)
            raise

    def rename(self, source: Path, target: Path) -> None:
        durable_files.rename(source, target)

    def replace(self, folder: str, name: str, content: bytes) -> None:
        """Replace a file in a folder, whole or not at all.  Raises TemporaryFailure."""
        try:
            descriptor, written = self.write(name, content)
            os.close(descriptor)
            self.publish(written, self.path(folder, name))
        except OSError as error:
            raise self.failure(error) from error

    def open_folder(self, path: Path) -> int:
        """A descriptor of the folder that a path is in, to sync it."""
        return os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def failure(self, error: OSError) -> SpoolFailure:
        """The error in words that say what to do."""
        return SpoolFailure(durable_files.explanation("spool", self.directory, error), public=OUR_FAULT)


def give_modes(descriptor: int, directory: Path) -> None:
    """Make a new file one that every user of a directory can read, whatever the umask and the user who writes it.

    What root writes gets the directory's owner.  Raises PermissionError if the owner could not read it.
    """
    folder, shared, user = directory.stat(), durable_files.is_shared(directory), os.geteuid()
    if user == 0:
        os.fchown(descriptor, folder.st_uid, folder.st_gid)
    elif shared and os.fstat(descriptor).st_gid != folder.st_gid:
        os.fchown(descriptor, -1, folder.st_gid)
    elif not shared and folder.st_mode & stat.S_IWGRP and folder.st_uid != user:
        words = "its owner could not read what this user writes: give it and its folders the mode 2770"
        raise PermissionError(errno.EACCES, words, str(directory))
    os.fchmod(descriptor, 0o660 if shared else 0o600)


def same_file(path: Path, state: os.stat_result) -> bool:
    """Whether a path names the file with that state."""
    try:
        return os.path.samestat(os.lstat(path), state)
    except FileNotFoundError:
        return False


def remove_unlocked(path: Path, *, dry_run: bool = False) -> bool:
    """Remove a file unless another process holds its lock; whether it did, or would."""
    from filelock import lock_descriptor

    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if isinstance(error, PermissionError):
            return False  # another user's, who may hold its lock
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        if not dry_run:
            path.unlink()  # a link or a socket: no file of ours
        return True
    try:
        unlocked: bool = lock_descriptor(descriptor, blocking=False)
        if unlocked and not dry_run and same_file(path, os.fstat(descriptor)):
            path.unlink()
        return unlocked
    finally:
        os.close(descriptor)


def is_id(text: str) -> bool:
    """Whether the text can be the id of a job, and so part of a path."""
    return _ID.fullmatch(text) is not None


def id_time(moment: float) -> str:
    """How the ids of the jobs of a moment start, so that they sort by it; in seconds since 1970."""
    whole, fraction = divmod(round(moment * 1e6), 1_000_000)
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(whole))}{fraction:06d}"


def content(path: Path) -> bytes:
    """What is in a job file.  Raises OSError, also for what is no regular file: reading a pipe would block."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return file.read()
