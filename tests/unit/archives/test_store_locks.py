"""The store's lock files: removing an old one never removes the next one."""

import os
from pathlib import Path
from typing import Any

import pytest

from ckanpackager.archives import store as stores
from ckanpackager.archives.store import Store

KEY = "a" * 32


def test_removing_an_old_lock_never_removes_the_next_builders_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as the old file is gone, another worker makes, locks and needs a new one of that name."""
    lock = tmp_path / f".{KEY}.lock"
    lock.write_bytes(b"")
    builders: list[int] = []
    unlink = Path.unlink

    def unlinked(path: Path, **options: Any) -> None:
        unlink(path, **options)
        if path == lock and not builders:
            descriptor = stores._try_lock(lock)
            assert descriptor is not None
            builders.append(descriptor)

    monkeypatch.setattr(Path, "unlink", unlinked)
    Store(tmp_path, 60).remove_orphans()
    assert os.path.samestat(lock.stat(), os.fstat(builders[0]))
