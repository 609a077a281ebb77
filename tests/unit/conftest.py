"""Unit tests start no process and no server: those belong to tests/system."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

FORBIDDEN = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "socket.bind", "socket.connect"}
_watched: list[str] = []  # the unit test that runs


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched and event in FORBIDDEN:
        raise AssertionError(f"{event}{arguments!r}: this test belongs to tests/system")


sys.addaudithook(_refuse)


@pytest.fixture(autouse=True)
def no_process_and_no_server(request: pytest.FixtureRequest) -> Iterator[None]:
    _watched.append(request.node.name)
    yield
    _watched.clear()
