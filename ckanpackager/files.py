"""Files that survive a crash, and files that two users share."""

import os
import stat
from pathlib import Path

_SHARED = stat.S_ISGID | stat.S_IWGRP


def is_shared(directory: Path) -> bool:
    """Whether receiver and worker are two users of one group: the directory is setgid and group-writable."""
    return directory.stat().st_mode & _SHARED == _SHARED


def sync(path: Path) -> None:
    """Write a file, or the names in a directory, to disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
