"""Limits for slow clients of `ckanpackager serve`: waitress has none for the time of a request, or for one client.

Waitress receives requests without a thread each, so slow ones cost nothing but their connection.  When there are too
many connections, the one that has waited longest without a complete request makes room.
"""

import functools
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple


class Limits(NamedTuple):
    """Connections in all and from one address; seconds for a request to arrive, and until the next one begins."""

    connections: int = 500
    of_one_client: int = 200
    request_seconds: float = 30
    idle_seconds: float = 60


def limit(servers: Iterable[Any], limits: Limits) -> None:
    """Hold the limits in these servers of waitress, which must not run yet."""
    servers = list(servers)
    for server in servers:
        server.channel_class = functools.partial(_connect, servers, limits)
        server.maintenance = _maintenance(server.maintenance, server, limits)


@functools.cache
def _channel_class() -> Any:
    from waitress.channel import HTTPChannel  # here, since the receiver needs no server under CGI

    class Channel(HTTPChannel):
        """A connection that knows since when it waits for the rest of a request, or for its start."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.waiting_since: float | None = None
            self.idle_since = time.monotonic()

        def received(self, data: bytes) -> Any:
            received = super().received(data)
            if self.request is None:
                self.waiting_since, self.idle_since = None, time.monotonic()
            elif self.waiting_since is None:
                self.waiting_since = time.monotonic()
            return received

    return Channel


def _connect(servers: list[Any], limits: Limits, *args: Any, **options: Any) -> Any:
    """A new connection; a slow one makes room for it if there are too many."""
    channel = _channel_class()(*args, **options)
    channels = [each for server in servers for each in server.active_channels.values() if not each.will_close]
    own = [each for each in channels if each.addr[0] == channel.addr[0]]
    for crowd, most in ((own, limits.of_one_client), (channels, limits.connections)):
        if len(crowd) > most and not channel.will_close:
            _slowest(crowd, channel).will_close = True
    return channel


def _slowest(channels: list[Any], newest: Any) -> Any:
    """The connection that has waited longest for a complete request; the newest if all others are being served."""
    waiting = [each for each in channels if each is not newest and not _is_served(each)]
    return min(waiting, key=lambda each: each.waiting_since or each.idle_since, default=newest)


def _is_served(channel: Any) -> bool:
    return bool(channel.requests or channel.total_outbufs_len)


def _maintenance(default: Callable[[float], None], server: Any, limits: Limits) -> Callable[[float], None]:
    def maintain(now: float) -> None:
        default(now)
        passed = time.monotonic() - limits.request_seconds
        for channel in server.active_channels.values():
            late = channel.waiting_since is not None and channel.waiting_since < passed
            idle = not _is_served(channel) and channel.last_activity < now - limits.idle_seconds
            if late or idle:
                channel.will_close = True

    return maintain
