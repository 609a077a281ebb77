"""Locks of archives being built: removing an old one never removes the next one, and dead workers' ones go."""

import os
import time
from pathlib import Path

import pytest
from support.next_builder import locks_when_removed
from support.workspace import as_user

from ckanpackager.spool.queue import Spool

KEY = "a" * 32


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    return spool


def test_clean_never_removes_the_next_builders_lock(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = spool.directory / "building" / f"{KEY}.lock"
    lock.write_bytes(b"")
    os.utime(lock, (1, 1))
    builders = locks_when_removed(lock, monkeypatch)
    assert spool.remove_older("building", time.time()) == 1
    assert os.path.samestat(lock.stat(), os.fstat(builders[0]))
    os.close(builders[0])


def test_a_dead_builders_lock_is_removed_and_a_held_one_stays(spool: Spool) -> None:
    lock = spool.directory / "building" / f"{KEY}.lock"
    with spool.building(KEY):
        os.utime(lock, (1, 1))
        assert spool.remove_older("building", time.time()) == 0
        assert lock.exists()
    lock.write_bytes(b"")
    os.utime(lock, (1, 1))
    assert spool.remove_older("building", time.time()) == 1
    assert not lock.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs other users")
def test_clean_passes_over_a_lock_that_it_may_not_open(open_directory: Path) -> None:
    spool = Spool(open_directory)
    spool.prepare()
    for path in (open_directory, *open_directory.iterdir()):
        os.chown(path, 65533, 65534)
        path.chmod(0o2770)
    for name in ("foreign", "own"):
        (spool.directory / "tmp" / name).write_bytes(b"")
        os.utime(spool.directory / "tmp" / name, (1, 1))
    (spool.directory / "tmp" / "foreign").chmod(0o600)
    os.chown(spool.directory / "tmp" / "own", 65533, 65534)
    assert as_user(65533, lambda: spool.remove_older("tmp", time.time())) == "1"
    assert spool.names("tmp") == ["foreign"]
