"""Connections that wait no longer than they may, to addresses that have been checked.

Both hold for redirects and proxies too, since they are part of the connections of urllib3's pools.
"""

import contextlib
import functools
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, NameResolutionError

from ckanpackager.hosts import is_public


class PrivateAddress(Exception):
    """A host has private addresses only, and may not have any."""


class Deadline:
    """Seconds that are left to wait for the network; our own work between two reads does not count.

    With a `rate` (bytes per second), bytes that arrive earn time again, up to the first number of seconds.
    """

    def __init__(self, seconds: float) -> None:
        self.left = self._most = seconds
        self.rate: float | None = None

    @contextlib.contextmanager
    def waiting(self) -> Iterator[float]:
        """Wait in this block; the seconds that are left.  Raises TimeoutError if none are."""
        if self.left <= 0:
            raise TimeoutError("the deadline has passed")
        began = time.monotonic()
        try:
            yield self.left
        finally:
            self.left -= time.monotonic() - began

    def received(self, count: int) -> None:
        if self.rate:
            self.left = min(self._most, self.left + count / self.rate)


class Bounds(threading.local):
    """The bounds of the request that a thread is sending: its deadline, and whether private addresses are fine."""

    deadline = Deadline(0)
    may_be_private = False


class BoundedAdapter(HTTPAdapter):
    """The connections of a session, within bounds."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self._bound(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        return self._bound(super().proxy_manager_for(*args, **options))

    def _bound(self, manager: Any) -> Any:
        manager.pool_classes_by_scheme = {
            "http": functools.partial(_pool, HTTPConnectionPool, _BoundedHTTP, self._bounds),
            "https": functools.partial(_pool, HTTPSConnectionPool, _BoundedHTTPS, self._bounds),
        }
        return manager


def _pool(pool: type[HTTPConnectionPool], connection: Any, bounds: Bounds, *args: Any, **options: Any) -> Any:
    made = pool(*args, **options)
    made.ConnectionCls = functools.partial(connection, bounds)  # type: ignore[assignment]
    return made


class _Bounded(HTTPConnection):
    """A connection of urllib3's within the bounds of the thread that uses it."""

    def __init__(self, bounds: Bounds, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._bounds = bounds

    def connect(self) -> None:
        with self._bounds.deadline.waiting():
            super().connect()

    def request(self, *args: Any, **options: Any) -> None:
        if self.sock is None:
            self.connect()
        with self._bounds.deadline.waiting() as seconds:
            self.sock.settimeout(seconds)
            super().request(*args, **options)

    @property
    def response_class(self) -> Callable[..., HTTPResponse]:  # type: ignore[override]
        deadline = self._bounds.deadline
        return lambda sock, *args, **options: HTTPResponse(_Readable(sock, deadline), *args, **options)  # type: ignore[arg-type]

    def _new_conn(self) -> socket.socket:
        """Connect to an address of the host that was checked: its name may mean another one a moment later."""
        if self.proxy is not None:
            return super()._new_conn()
        name, ends = self._dns_host, time.monotonic() + self._bounds.deadline.left
        try:
            addresses = permitted_addresses(name, self.port, self._bounds.may_be_private)
        except OSError as error:
            raise NameResolutionError(self.host, self, error) from error  # type: ignore[arg-type]
        try:
            for number, address in enumerate(addresses, 1):
                self._dns_host, self.timeout = address, max(ends - time.monotonic(), 0.01)
                try:
                    return super()._new_conn()
                except HTTPError:
                    if number == len(addresses):
                        raise
        finally:
            self._dns_host = name
        raise PrivateAddress(name)


class _BoundedHTTP(_Bounded):
    pass


class _BoundedHTTPS(_Bounded, HTTPSConnection):
    pass


def permitted_addresses(host: str, port: int, may_be_private: bool) -> list[str]:
    """The addresses of a host that may be connected to.  Raises OSError if it has none, PrivateAddress if none may."""
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    permitted = [address for address in addresses if may_be_private or is_public(address)]
    if not permitted:
        raise PrivateAddress(host)
    return permitted


class _Readable:
    """A socket as `HTTPResponse` needs it: a file to read from, within the deadline."""

    def __init__(self, sock: Any, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_BoundedReader(self._sock, self._deadline))


class _BoundedReader(io.RawIOBase):
    """Reads from a socket: headers, chunks and trailers all take from the same deadline."""

    def __init__(self, sock: Any, deadline: Deadline) -> None:
        self._sock = sock
        self._file = sock.makefile("rb", buffering=0)
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        with self._deadline.waiting() as seconds:
            self._sock.settimeout(seconds)
            count: int | None = self._file.readinto(buffer)
        self._deadline.received(count or 0)
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
