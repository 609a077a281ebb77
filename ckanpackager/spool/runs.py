"""When each command last did its work: the modification time of a file in runs/."""

import contextlib
import os

from ckanpackager.spool.job_files import JobFiles

FOLDER = "runs"
COMMANDS = ("process", "refresh", "clean")


def record(files: JobFiles, command: str) -> None:
    """Record that a command did its work now; a full disk must not end the work."""
    path = files.directory / FOLDER / command
    with contextlib.suppress(OSError):
        try:
            os.utime(path)
        except FileNotFoundError:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                files.give_modes(descriptor)
            finally:
                os.close(descriptor)


def last(files: JobFiles) -> dict[str, float]:
    """When each command last did its work, in seconds since 1970, as far as it is known.  Raises TemporaryFailure."""
    found = {}
    for command in COMMANDS:
        try:
            found[command] = (files.directory / FOLDER / command).stat().st_mtime
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise files.failure(error) from error
    return found
