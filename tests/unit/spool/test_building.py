"""The lock files of building/: removing an old one never removes the next one."""

import os
from pathlib import Path

import pytest
from support.next_builder import locks_when_removed

from ckanpackager.spool import building

KEY = "a" * 32


def test_removing_an_old_lock_never_removes_the_next_builders_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / f"{KEY}.lock"
    lock.write_bytes(b"")
    builders = locks_when_removed(lock, monkeypatch)
    assert not building.is_locked(tmp_path, KEY)
    assert os.path.samestat(lock.stat(), os.fstat(builders[0]))
