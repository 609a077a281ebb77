"""Limits for slow clients of `ckanpackager serve`: waitress has none on the time of a request, nor for one client.

Waitress receives requests without a thread each, so slow ones cost nothing but their connection.  When there are too
many connections, the one that has waited longest without a complete request makes room.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from waitress.channel import HTTPChannel


class Limits(NamedTuple):
    """Connections in all and from one address, and seconds until a request must be complete, or a next one begin."""

    connections: int = 500
    of_one_client: int = 200
    request_seconds: float = 30
    idle_seconds: float = 60


class Channel(HTTPChannel):
    """A connection that knows since when it waits for the rest of a request."""

    waiting_since: float | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.idle_since = time.monotonic()

    def received(self, data: bytes) -> Any:
        received = super().received(data)
        if self.request is None:
            self.waiting_since, self.idle_since = None, time.monotonic()
        elif self.waiting_since is None:
            self.waiting_since = time.monotonic()
        return received


def limit(servers: Iterable[Any], limits: Limits) -> None:
    """Hold the limits in these servers of waitress, which must not run yet."""
    servers = list(servers)
    for server in servers:
        server.channel_class = _channel_maker(servers, limits)
        server.maintenance = _maintenance(server.maintenance, server, limits)


def _channel_maker(servers: list[Any], limits: Limits) -> Callable[..., Channel]:
    def make(*args: Any, **options: Any) -> Channel:
        channel = Channel(*args, **options)
        channels = [each for server in servers for each in server.active_channels.values() if not each.will_close]
        own = [each for each in channels if each.addr[0] == channel.addr[0]]
        for crowd, most in ((own, limits.of_one_client), (channels, limits.connections)):
            if len(crowd) > most and not channel.will_close:
                _slowest(crowd, channel).will_close = True
        return channel

    return make


def _slowest(channels: list[Any], newest: Channel) -> Any:
    """The connection that has waited longest for a complete request; the newest if all others are being served."""
    waiting = [each for each in channels if not each.requests and not each.total_outbufs_len and each is not newest]
    return min(waiting, key=lambda each: each.waiting_since or each.idle_since, default=newest)


def _maintenance(default: Callable[[float], None], server: Any, limits: Limits) -> Callable[[float], None]:
    def maintain(now: float) -> None:
        default(now)
        passed = time.monotonic() - limits.request_seconds
        for channel in server.active_channels.values():
            late = channel.waiting_since is not None and channel.waiting_since < passed
            idle = not channel.requests and not channel.total_outbufs_len
            if late or (idle and channel.last_activity < now - limits.idle_seconds):
                channel.will_close = True

    return maintain
