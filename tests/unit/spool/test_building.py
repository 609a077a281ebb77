"""The lock files of building/: removing an old one never removes the next one."""

import os
from pathlib import Path
from typing import Any

import pytest

from ckanpackager.spool import building

KEY = "a" * 32


def test_removing_an_old_lock_never_removes_the_next_builders_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as the old file is gone, another worker makes, locks and needs a new one of that name."""
    lock = tmp_path / f"{KEY}.lock"
    lock.write_bytes(b"")
    builders: list[int] = []
    unlink = Path.unlink

    def unlinked(path: Path, **options: Any) -> None:
        unlink(path, **options)
        if path == lock and not builders:
            descriptor = building._try_lock(lock)
            assert descriptor is not None
            builders.append(descriptor)

    monkeypatch.setattr(Path, "unlink", unlinked)
    assert not building.is_locked(tmp_path, KEY)
    assert os.path.samestat(lock.stat(), os.fstat(builders[0]))
