"""Directories of temporary files, and what became of those whose worker died."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from ckanpackager.errors import TemporaryFailure

PREFIX = "ckanpackager-"


def prefix(part: Path) -> str:
    """How the name of a directory starts that holds files of an archive: `remove_old` finds the archive's key in it."""
    return f"{PREFIX}{part.parent.name.removeprefix(PREFIX).strip('.')}-"


def remove_old(temp_directory: str | None, before: float, is_building: Callable[[str], bool]) -> int:
    """Remove the directories of workers that died; how many.  Raises TemporaryFailure.

    Other users share the system's temporary directory: their directories stay, and those that changed since `before`,
    which may be another store's.
    """
    removed = 0
    for path in Path(temp_directory or tempfile.gettempdir()).glob(f"{PREFIX}*.part*-*"):
        try:
            newest = max(inner.lstat().st_mtime for inner in (path, *path.glob("*")))
            own = path.lstat().st_uid == os.geteuid()
            if own and newest < before and not is_building(path.name.removeprefix(PREFIX)[:32]):
                shutil.rmtree(path)
                removed += 1
        except FileNotFoundError:
            continue  # its worker, or another `clean`, was faster
        except OSError as error:
            raise TemporaryFailure(f"temporary directory {path}: {error.strerror}", kind="storage") from error
    return removed
