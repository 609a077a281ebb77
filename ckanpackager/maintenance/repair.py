"""`ckanpackager check --fix`: make directories that are missing, and give those of the spool their owner and modes.

Nothing becomes readable for more users than the owner, and the group that an administrator has given the directory.
"""

import contextlib
import errno
import os
import pwd
import stat
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from ckanpackager.durable_files import is_shared
from ckanpackager.maintenance.finding import Finding, error, ok, warning

_MOST = 100_000  # files of a folder
_OTHERS = stat.S_IRWXO


def make(key: str, path: Path, mode: int) -> Iterator[Finding]:
    """Make a directory, and those above it, for the owner of the nearest one that is there.

    In a directory that two users of a group share, it is one that they share.
    """
    nearest = next(parent for parent in path.parents if parent.exists())
    state = nearest.stat()
    if is_shared(nearest):
        mode = 0o2770 | (mode & _OTHERS)
    try:
        for directory in reversed([path, *path.parents][: len(path.parts) - len(nearest.parts)]):
            directory.mkdir(mode=0o700)
            with _open(directory) as descriptor:
                if os.geteuid() == 0:
                    os.fchown(descriptor, state.st_uid, state.st_gid)
                os.fchmod(descriptor, mode)
    except OSError as failure:
        yield error(f"{key}: {path} cannot be made: {failure.strerror}")
        return
    user = user_name(path.stat().st_uid)
    words = f"{key}: made {path}, of user {user}, with mode {mode:o}"
    if os.geteuid() == 0 == state.st_uid:
        yield warning(f"{words}; if another user runs the worker: chown that user {path}")
    else:
        yield ok(words)


def make_file(key: str, path: Path) -> Finding:
    """Make an empty file for the owner of its directory, and for the group if it is shared."""
    folder = path.parent.stat()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
            os.fchmod(descriptor, 0o660 if is_shared(path.parent) else 0o600)
        finally:
            os.close(descriptor)
    except OSError as failure:
        return error(f"{key}: {path} cannot be made: {failure.strerror}")
    return ok(f"{key}: made {path}, of user {user_name(folder.st_uid)}")


def hide(key: str, path: Path) -> Iterator[Finding]:
    """Take the rights of all other users on a directory away."""
    try:
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~_OTHERS)
    except OSError as failure:
        yield error(f"{key}: the mode of {path} cannot be changed: {failure.strerror}; as root: check --fix")
    else:
        yield ok(f"{key}: took the rights of other users on {path} away")


def give_to_owner(spool: Path, folders: Sequence[str]) -> Iterator[Finding]:
    """Give folders of the spool, and the files in them, the owner and the modes that new ones get.

    A link is never followed: root works here in directories of another user.
    """
    if spool.is_symlink():
        yield error(f"spool_directory: {spool} is a link, which is not followed here; name {spool.resolve()} instead")
        return
    shared = is_shared(spool)
    changed, refused = 0, ""
    try:
        with _open(spool) as top:
            state = os.fstat(top)
            for name in folders:
                try:
                    with _open(name, top) as folder:
                        changed += _give(folder, state, 0o2770 if shared else 0o700)
                        for file in islice(os.listdir(folder), _MOST):
                            changed += _give_file(file, folder, state, 0o660 if shared else 0o600)
                except FileNotFoundError:
                    continue
                except OSError as failure:
                    refused = refused or f"{spool / name}: {failure.strerror}"
    except OSError as failure:
        refused = f"{spool}: {failure.strerror}"
    if changed:
        yield ok(f"spool_directory: gave {changed} files and folders in {spool} its owner and modes")
    if refused:
        yield error(f"spool_directory: owner or mode cannot be changed: {refused}; as root: ckanpackager check --fix")


def _give_file(name: str, folder: int, spool: os.stat_result, mode: int) -> bool:
    try:
        with _open(name, folder, directory=False) as descriptor:
            return _give(descriptor, spool, mode)
    except OSError as failure:
        if failure.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO):
            return False  # a worker has moved it on; or a link, or a socket, which is no file of ours
        raise


@contextlib.contextmanager
def _open(name: Path | str, within: int | None = None, *, directory: bool = True) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | (os.O_DIRECTORY if directory else 0)
    descriptor = os.open(name, flags, dir_fd=within)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _give(descriptor: int, spool: os.stat_result, mode: int) -> bool:
    """Whether something had to be changed; what has a second name elsewhere is left alone."""
    state, user = os.fstat(descriptor), os.geteuid()
    directory = stat.S_ISDIR(state.st_mode)
    if user not in (0, state.st_uid) or not (directory or (stat.S_ISREG(state.st_mode) and state.st_nlink == 1)):
        return False
    in_group = mode & stat.S_IRWXG and state.st_gid == spool.st_gid  # of either user
    foreign = user == 0 and not in_group and (state.st_uid, state.st_gid) != (spool.st_uid, spool.st_gid)
    if foreign:
        os.fchown(descriptor, spool.st_uid, spool.st_gid)
    if wrong := stat.S_IMODE(state.st_mode) != mode:
        os.fchmod(descriptor, mode)
    return foreign or wrong


def user_name(uid: int) -> str:
    """The name of a user, or the number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
