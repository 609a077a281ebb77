"""`ckanpackager check`: the directories, who may read and write them, how much room they have, and the clocks."""

import os
import stat
import tempfile
import time
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from ckanpackager.config.settings import Settings
from ckanpackager.errors import CkanpackagerError
from ckanpackager.maintenance import repair
from ckanpackager.maintenance.finding import Finding, error, ok, warning
from ckanpackager.spool.queue import FOLDERS, Spool

_LITTLE = 1e9  # bytes; less free space is told of
_LITTLE_SHARE = 0.05  # of the file system
_SKEW = 5  # seconds between two clocks that are told of
_MOST = 1000  # files of a folder that are looked at


def directories(settings: Settings, *, fix: bool) -> Iterator[Finding]:
    """The spool, the store if it is a directory, and that of temporary files; with `fix` what is missing is made."""
    spool, min_free = Path(settings.spool.spool_directory), settings.archives.min_free_space
    yield from _directory("spool_directory", spool, 0o700, min_free, fix=fix)
    if os.path.isdir(spool):
        yield from _folders(spool, fix=fix)
        yield from _clocks(Spool(spool))
    if not settings.archives.store_url:
        yield from _directory("store_directory", Path(settings.archives.store_directory), 0o711, min_free, fix=fix)
    temporary = Path(settings.archives.temp_directory or tempfile.gettempdir())
    yield from _directory("temp_directory", temporary, 0o700, min_free, fix=fix)
    yield from _owners(settings)


def _directory(key: str, path: Path, mode: int, min_free: int | None, *, fix: bool) -> Iterator[Finding]:
    if not os.path.exists(path):  # Path's methods raise PermissionError where the way to it is barred
        nearest = next(parent for parent in path.parents if os.path.exists(parent))
        if not nearest.is_dir():
            yield error(f"{key}: {path} cannot be made: Not a directory: {nearest}")
        elif fix:
            yield from repair.make(key, path, mode)
        elif not os.access(nearest, os.W_OK | os.X_OK):
            yield error(
                f"{key}: {path} is missing or out of reach: this user may not enter or change {nearest}; as root: "
                "ckanpackager check --fix"
            )
        elif os.geteuid() == 0 != nearest.stat().st_uid:
            yield error(f"{key}: {path} is missing; `ckanpackager check --fix` makes it for the owner of {nearest}")
        else:
            yield ok(f"{key}: {path} is not there yet; the first job makes it, or `ckanpackager check --fix`")
        return
    if not os.path.isdir(path):
        yield error(f"{key}: {path} cannot be made: File exists")
        return
    yield _written(key, path, min_free)
    state = path.stat()
    if state.st_mode & stat.S_IWOTH and not state.st_mode & stat.S_ISVTX:
        yield warning(f"{key}: every user may write to {path} ({stat.filemode(state.st_mode)}); chmod o-w {path}")
    if key == "spool_directory" and state.st_mode & stat.S_IROTH:
        yield from (
            repair.hide(key, path)
            if fix
            else [warning(f"{key}: every user may list {path}, and the name of a job opens its page; chmod o= {path}")]
        )


def _written(key: str, path: Path, min_free: int | None) -> Finding:
    """Whether a file can be written to disk there, and how much room there is."""
    try:
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
        room = os.statvfs(path)
    except OSError as failure:
        return error(f"{key}: {path}: no file can be written: {failure.strerror}")
    free, size = room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize
    words = f"{key}: {path}: can be written, {free / 1e9:.1f} GB free"
    if key != "spool_directory" and min_free is not None:
        if free < min_free:
            return error(f"{words}, less than min_free_space: jobs wait until there is room")
        if free < 2 * min_free:
            return warning(f"{words}, and jobs wait below min_free_space, {min_free / 1e9:.1f} GB; make room")
        return ok(words)
    if size and (free < _LITTLE or free < _LITTLE_SHARE * size):  # 0: the file system does not tell
        return warning(f"{words}, {free / size:.0%} of the file system; make room, or keep archives for a shorter time")
    return ok(words)


def _folders(spool: Path, *, fix: bool) -> Iterator[Finding]:
    """The folders of the spool, and some of the files in them."""
    missing = [name for name in FOLDERS if not os.path.isdir(spool / name)]
    try:
        Spool(spool).prepare()  # as every command does
    except CkanpackagerError as failure:
        yield error(f"spool_directory: {failure}")
        return
    if fix:
        if missing:
            yield ok(f"spool_directory: made {', '.join(missing)} in {spool}")
        yield from repair.give_to_owner(spool, FOLDERS)
    for folder in (spool / name for name in FOLDERS):
        if barred := _first_barred(folder):
            yield error(
                f"spool_directory: this user may not read and write {barred}; if receiver and worker are two users, "
                f"put both into one group and: chgrp -R GROUP {spool}; chmod 2770 {spool}; then, as root: "
                "ckanpackager check --fix"
            )


def _first_barred(folder: Path) -> str | None:
    """The first path, of a folder and some of its files, that this user may not read and write, with its mode."""
    try:
        return next(filter(None, map(_barred, chain([folder], islice(folder.iterdir(), _MOST)))), None)
    except OSError as failure:
        return None if isinstance(failure, FileNotFoundError | NotADirectoryError) else f"{folder} ({failure.strerror})"


def _barred(path: Path) -> str | None:
    try:
        state = path.lstat()
        fine = os.access(path, os.R_OK | os.W_OK | (os.X_OK if stat.S_ISDIR(state.st_mode) else 0))
        path.lstat()  # still there: a worker may have moved it on
    except FileNotFoundError:
        return None
    return None if fine else f"{path} ({stat.filemode(state.st_mode)}, owner {state.st_uid}, group {state.st_gid})"


def _clocks(spool: Spool) -> Iterator[Finding]:
    """Whether this clock, and those of hosts whose workers are at work, go with the file system's."""
    advice = "jobs would be retried too early or too late; let NTP set the clocks"
    try:
        with tempfile.TemporaryFile(dir=spool.directory) as file:
            before = time.time()
            file.write(b"x")
            file.flush()
            noted = os.fstat(file.fileno()).st_mtime
        differences = {"this machine": before - noted, **spool.clock_differences()}
    except (OSError, CkanpackagerError):
        return  # the directory's own finding says it
    for name, seconds in differences.items():
        if abs(seconds) > _SKEW:
            way = "ahead of" if seconds > 0 else "behind"
            yield warning(f"clock: that of {name} is {abs(seconds):.0f} s {way} that of {spool.directory}; {advice}")


def _owners(settings: Settings) -> Iterator[Finding]:
    """For root, who may write everywhere: whether spool and store belong to the same user, or share a group."""
    paths = {"spool_directory": Path(settings.spool.spool_directory)}
    if not settings.archives.store_url:
        paths["store_directory"] = Path(settings.archives.store_directory)
    states = {key: path.stat() for key, path in paths.items() if os.path.isdir(path)}
    if os.geteuid() == 0 and len({state.st_uid for state in states.values()}) > 1:
        shared = stat.S_ISGID | stat.S_IWGRP
        if len({state.st_gid for state in states.values()}) > 1 or any(
            state.st_mode & shared != shared for state in states.values()
        ):
            owners = ", ".join(f"{paths[key]} to {repair.user_name(state.st_uid)}" for key, state in states.items())
            yield warning(f"owners: one worker writes to both, and {owners} belong; chown one of them")
