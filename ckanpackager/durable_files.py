"""Files that survive a crash of the machine: what was written, or renamed, is on disk when a call returns."""

import errno
import os
import stat
from pathlib import Path

from ckanpackager.errors import OUR_FAULT, TemporaryFailure


def sync(path: Path) -> None:
    """Wait until a file's content, or a directory's entries, are on disk (fsync).  Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(source: Path, target: Path) -> None:
    """Rename a file; the new name is on disk when this returns.  Raises OSError."""
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # if this fails, nothing is renamed
    try:
        os.rename(source, target)
        os.fsync(folder)
    finally:
        os.close(folder)


def replace_whole(path: Path, content: bytes, mode: int | None = None) -> None:
    """Put the content in the place of a file, whole or not at all; it is on disk when this returns.

    Args:
        mode: of the file; None: as the umask says.

    Raises TemporaryFailure.
    """
    import secrets  # here: the receiver has no use for it, and should start fast

    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        try:
            _check_replaceable(path)
            with part.open("xb") as file:
                if mode is not None:
                    os.fchmod(file.fileno(), mode)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            rename(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        words = f"{path}: cannot be written: {error.strerror}; name a file in a directory that this user may write to"
        raise TemporaryFailure(words, kind="storage") from error


def _check_replaceable(path: Path) -> None:
    """Raises OSError if a path leads to a device, a pipe or a socket, whose place no file must take."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "It is a device, a pipe or a socket", str(path))


def is_shared(directory: Path) -> bool:
    """Whether two users of one group write in a directory: it is setgid and group-writable.  Raises OSError."""
    shared = stat.S_ISGID | stat.S_IWGRP
    return directory.stat().st_mode & shared == shared


def failure(what: str, directory: Path, error: OSError) -> TemporaryFailure:
    """An error of the file system in words that say what to do; `what` is written in `directory`."""
    return TemporaryFailure(explanation(what, directory, error), public=OUR_FAULT, kind="storage")


def explanation(what: str, directory: Path, error: OSError) -> str:
    """The words of `failure`."""
    return (
        f"{what} {error.filename or directory}: {error.strerror}; make sure that the disk has room and "
        f"that this user may write into {directory}"
    )


def sha256(path: Path) -> str:
    """The SHA-256 of a file, as hex digits.  Raises OSError."""
    import hashlib  # here: the receiver has no use for it, and should start fast

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
