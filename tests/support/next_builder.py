"""A worker that begins to build an archive at the very moment when the lock file of the last one is removed."""

from pathlib import Path
from typing import Any

import pytest

from ckanpackager.spool import building


def locks_when_removed(lock: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """As soon as `lock` is gone, make and lock a new one of that name; its descriptor is then in the list."""
    builders: list[int] = []
    unlink = Path.unlink

    def unlinked(path: Path, **options: Any) -> None:
        unlink(path, **options)
        if path == lock and not builders:
            descriptor = building._try_lock(lock)
            assert descriptor is not None
            builders.append(descriptor)

    monkeypatch.setattr(Path, "unlink", unlinked)
    return builders
