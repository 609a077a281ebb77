"""Clients that send slowly, or nothing, do not keep others waiting."""

import contextlib
import resource
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.request import urlopen

import pytest
from support.workspace import Workspace
from support.wsgi_client import serving
from waitress.server import create_server

from ckanpackager.receiver.slow_clients import Limits, limit

HALF = b"POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsecret="


def application(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


@contextlib.contextmanager
def running(limits: Limits) -> Iterator[tuple[str, int]]:
    servers: dict[int, Any] = {}
    server = create_server(
        application,
        servers,
        host="127.0.0.1",
        port=0,
        cleanup_interval=0,
        connection_limit=1000,
        asyncore_use_poll=True,
    )
    limit([each for each in servers.values() if hasattr(each, "active_channels")], limits)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield "127.0.0.1", server.effective_port
    finally:
        server.close()
        server.task_dispatcher.shutdown()


def is_closed(connection: socket.socket) -> bool:
    connection.settimeout(20)
    with contextlib.suppress(ConnectionResetError):
        return connection.recv(1) == b""
    return True


def answers(address: tuple[str, int]) -> bool:
    with urlopen(f"http://{address[0]}:{address[1]}/", timeout=20) as response:
        return bool(response.read() == b"ok")


@pytest.mark.parametrize("sent", [b"", b"GET / HT", HALF], ids=["nothing", "half a header", "half a body"])
def test_half_a_request_is_ended_in_time_however_it_drips(sent: bytes) -> None:
    with running(Limits(request_seconds=0.5, idle_seconds=0.5)) as address:
        with socket.create_connection(address) as connection:
            connection.sendall(sent)
            ended = threading.Event()

            def drip() -> None:
                with contextlib.suppress(OSError):
                    while not ended.wait(0.05):
                        connection.sendall(b"x")

            if sent:
                threading.Thread(target=drip, daemon=True).start()
            assert is_closed(connection)
            ended.set()
        assert answers(address)


def test_a_request_is_answered_although_slow_ones_hold_every_connection() -> None:
    with running(Limits(connections=20, of_one_client=1000, request_seconds=1000)) as address:
        slow = [socket.create_connection(address) for _ in range(60)]
        for connection in slow:
            connection.sendall(HALF)
        assert all(answers(address) for _ in range(5))
        assert all(map(is_closed, slow[:40]))  # the oldest made room
        for connection in slow:
            connection.close()


def test_one_client_holds_no_more_than_its_share() -> None:
    with running(Limits(connections=1000, of_one_client=5, request_seconds=1000)) as address:
        slow = [socket.create_connection(address) for _ in range(10)]
        assert all(map(is_closed, slow[:5]))
        slow[-1].sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert slow[-1].recv(100).startswith(b"HTTP/1.0 200")
        for connection in slow:
            connection.close()


def test_who_is_being_served_is_not_cut_off() -> None:
    """A download that is read slowly stays, however many connections come after it."""
    big = b"x" * 50_000_000

    def download(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", str(len(big)))])
        return [big]

    servers: dict[int, Any] = {}
    server = create_server(download, servers, host="127.0.0.1", port=0, cleanup_interval=0, connection_limit=1000)
    limits = Limits(connections=5, of_one_client=5, request_seconds=0.2, idle_seconds=0.2)
    limit([each for each in servers.values() if hasattr(each, "active_channels")], limits)
    threading.Thread(target=server.run, daemon=True).start()
    with socket.create_connection(("127.0.0.1", server.effective_port)) as reader:
        reader.sendall(b"GET / HTTP/1.0\r\n\r\n")
        got = len(reader.recv(1000))
        others = [socket.create_connection(("127.0.0.1", server.effective_port)) for _ in range(20)]
        time.sleep(0.5)  # longer than every limit
        while chunk := reader.recv(1_000_000):
            got += len(chunk)
        assert got > len(big)
        for connection in others:
            connection.close()
    server.close()
    server.task_dispatcher.shutdown()


def test_the_server_answers_within_seconds_beside_hundreds_of_slow_connections(workspace: Workspace) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    workspace.configure(secret="hush-hush")
    with serving(workspace) as address, contextlib.ExitStack() as stack:
        host, _, port = address.removeprefix("http://").partition(":")
        for _ in range(600):
            connection = stack.enter_context(socket.create_connection((host, int(port))))
            connection.sendall(HALF)
        with urlopen(f"{address}/status", data=b"secret=hush-hush", timeout=30) as response:
            assert response.status == 200
