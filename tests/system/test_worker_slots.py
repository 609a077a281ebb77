"""Worker slots: never more at work than there are slots, none lost, and what is being done is seen."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support.workspace import until

from ckanpackager.errors import TemporaryFailure
from ckanpackager.spool import worker_slots
from ckanpackager.spool.worker_slots import Worker

WORKER = Worker(worker="host:1", job="j", since=1.0, rows=5, expected=10)
HOLD = """
import sys, time
from pathlib import Path
from ckanpackager.spool import worker_slots
slot = worker_slots.acquire(Path(sys.argv[1]), "fast", 1)
slot.write_progress(worker_slots.Worker(worker="child:1", job="j", since=1.0))
print("held" if slot else "none", flush=True)
time.sleep(60)
"""


def test_a_queue_has_as_many_slots_as_it_should(tmp_path: Path) -> None:
    first, second = worker_slots.acquire(tmp_path, "fast", 2), worker_slots.acquire(tmp_path, "fast", 2)
    assert first
    assert second
    assert worker_slots.acquire(tmp_path, "fast", 2) is None
    first.close()
    assert worker_slots.acquire(tmp_path, "fast", 2)


def test_the_queues_have_slots_of_their_own(tmp_path: Path) -> None:
    fast = worker_slots.acquire(tmp_path, "fast", 1)
    assert fast
    assert worker_slots.acquire(tmp_path, "slow", 1)


def test_a_queue_without_slots_has_none(tmp_path: Path) -> None:
    assert worker_slots.acquire(tmp_path, "slow", 0) is None


def test_what_a_worker_tells_is_seen_until_it_ends(tmp_path: Path) -> None:
    slot = worker_slots.acquire(tmp_path, "fast", 1)
    assert slot
    assert worker_slots.active_workers(tmp_path) == []  # taken, but nothing told yet
    slot.write_progress(WORKER)
    (seen,) = worker_slots.active_workers(tmp_path)
    assert (seen.slot, seen.job, seen.rows, seen.expected) == ("fast-1", "j", 5, 10)
    slot.close()
    assert worker_slots.active_workers(tmp_path) == []


def test_what_an_earlier_worker_wrote_is_never_seen(tmp_path: Path) -> None:
    """Two that look at once hold the lock for each other: what is old must be gone before."""
    slot = worker_slots.acquire(tmp_path, "fast", 1)
    assert slot
    slot.write_progress(WORKER)
    slot.close()
    assert (tmp_path / "fast-1").read_bytes() == b""
    (tmp_path / "fast-1").write_bytes(b'{"worker":"dead:1","job":"j","since":1.0}'.ljust(1024))
    assert worker_slots.acquire(tmp_path, "fast", 1)
    assert worker_slots.active_workers(tmp_path) == []


def test_the_slot_of_a_killed_worker_is_free(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    assert child.stdout.readline() == "held\n"
    assert [worker.worker for worker in worker_slots.active_workers(tmp_path)] == ["child:1"]
    assert worker_slots.acquire(tmp_path, "fast", 1) is None
    child.send_signal(signal.SIGKILL)
    child.communicate()
    until(lambda: worker_slots.active_workers(tmp_path) == [])
    assert (tmp_path / "fast-1").read_bytes() == b""
    assert worker_slots.acquire(tmp_path, "fast", 1)


def test_looking_takes_no_slot(tmp_path: Path) -> None:
    slot = worker_slots.acquire(tmp_path, "fast", 1)
    assert slot
    slot.close()
    code = "import sys\nfrom pathlib import Path\nfrom ckanpackager.spool import worker_slots\n"
    code += "print(flush=True)\nwhile True: worker_slots.active_workers(Path(sys.argv[1]))"
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert child.stdout
        child.stdout.readline()
        for _ in range(200):
            slot = worker_slots.acquire(tmp_path, "fast", 1)
            assert slot
            slot.close()
    finally:
        child.kill()
        child.communicate()


@pytest.mark.parametrize(("mode", "expected"), [(0o700, 0o600), (0o2770, 0o660), (0o2750, 0o600)])
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_modes_are_those_of_the_spool_whatever_the_umask(
    tmp_path: Path, mode: int, expected: int, umask: int
) -> None:
    folder = tmp_path / "workers"
    folder.mkdir()
    folder.chmod(mode)
    before = os.umask(umask)
    try:
        assert worker_slots.acquire(folder, "fast", 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "fast-1").stat().st_mode) == expected


def test_strange_files_are_no_workers(tmp_path: Path) -> None:
    (tmp_path / "fast-x").mkdir()
    (tmp_path / ".nfs0001").write_text("")
    (tmp_path / "fast-1").write_text("rubbish")
    assert worker_slots.active_workers(tmp_path) == []


def test_a_missing_directory_is_said(tmp_path: Path) -> None:
    with pytest.raises(TemporaryFailure, match=r"worker slot.* No such file"):
        worker_slots.acquire(tmp_path / "x", "fast", 1)
    with pytest.raises(TemporaryFailure, match=r"worker slots .*x: No such file"):
        worker_slots.active_workers(tmp_path / "x")


def test_a_full_disk_ends_no_work(tmp_path: Path) -> None:
    code = "import resource, sys\nfrom pathlib import Path\nfrom ckanpackager.spool import worker_slots\n"
    code += (
        "slot = worker_slots.acquire(Path(sys.argv[1]), 'fast', 1)\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
    )
    code += "slot.write_progress(worker_slots.Worker(worker='w', job='j', since=1.0)); slot.close(); print('fine')"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout == "fine\n", done.stderr
