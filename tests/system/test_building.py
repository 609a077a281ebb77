"""Equal requests at the same time are built once."""

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from support.workspace import until

from ckanpackager.errors import TemporaryFailure
from ckanpackager.spool.queue import Spool

KEY = "a" * 32


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    return spool


def build(directory: Path, log: Path) -> None:
    with Spool(directory).building(KEY):
        if not log.exists():
            log.write_text("built")
            with log.with_name("times").open("a") as file:
                file.write("once\n")


def hold(directory: Path, held: Any) -> None:
    with Spool(directory).building(KEY):
        held.set()
        signal.pause()


def test_several_at_once_build_it_once(spool: Spool, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    builders = [context.Process(target=build, args=(spool.directory, tmp_path / "log")) for _ in range(6)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join(30)
        assert builder.exitcode == 0
    assert (tmp_path / "times").read_text() == "once\n"
    assert spool.names("building") == []


def test_a_builder_that_is_killed_delays_no_other(spool: Spool) -> None:
    context = multiprocessing.get_context("fork")
    held = context.Event()
    builder = context.Process(target=hold, args=(spool.directory, held))
    builder.start()
    until(held.is_set)
    assert spool.is_building(KEY) and not spool.is_building("b" * 32)
    os.kill(builder.pid or 0, signal.SIGKILL)
    builder.join(10)
    assert not spool.is_building(KEY)
    with spool.building(KEY):
        assert spool.is_building(KEY)


def test_one_that_waits_for_another_may_end_its_waiting(spool: Spool) -> None:
    class Enough(Exception):
        pass

    def pause(_seconds: float) -> None:
        raise Enough

    with spool.building(KEY), pytest.raises(Enough), spool.building(KEY, pause):
        pass
    assert not spool.is_building(KEY)


def test_a_spool_of_two_users_has_locks_that_both_may_take(spool: Spool) -> None:
    (spool.directory / "building").chmod(0o2770)
    with spool.building(KEY):
        assert (spool.directory / "building" / f"{KEY}.lock").stat().st_mode & 0o777 == 0o660


def test_locks_that_cannot_be_written_are_a_temporary_failure(tmp_path: Path) -> None:
    with pytest.raises(TemporaryFailure, match=r"^spool .*No such file or directory"), Spool(tmp_path).building(KEY):
        pass
