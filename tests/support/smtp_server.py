"""A real SMTP server that answers as a test wants."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP


class Server:
    """A mail server's behaviour: what it answers, and what it got.  Silence (None) hangs up."""

    def __init__(self, *, mail: str = "", rcpt: str = "", data: str | None = "", quit: str | None = "") -> None:
        self.mail, self.rcpt, self.data, self.quit = mail, rcpt, data, quit
        self.port = 0
        self.envelopes: list[Any] = []

    def received(self) -> EmailMessage:
        (envelope,) = self.envelopes
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        return message

    async def handle_MAIL(self, _server: SMTP, _session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if not self.mail:
            envelope.mail_from, envelope.mail_options = address, options
        return self.mail or "250 OK"

    async def handle_RCPT(self, _server: SMTP, _session: Any, envelope: Any, address: str, _options: list[str]) -> str:
        if not self.rcpt:
            envelope.rcpt_tos.append(address)
        return self.rcpt or "250 OK"

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:
        if self.data is None:
            server.transport.abort()
            return "250 never arrives"
        if not self.data:
            self.envelopes.append(envelope)
        return self.data or "250 OK"

    async def handle_QUIT(self, server: Any, _session: Any, _envelope: Any) -> str:
        if self.quit is None:
            server.transport.abort()
        return self.quit or "221 Bye"


@contextmanager
def running(server: Server, tls: ssl.SSLContext | None = None, **options: Any) -> Iterator[Server]:
    """Serve on a port of the system's choice; with `tls` from the first byte on."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> asyncio.Server:
        def protocol() -> SMTP:
            return SMTP(server, loop=loop, hostname="localhost", **options)

        return await loop.create_server(protocol, "127.0.0.1", 0, ssl=tls)

    async def stop(listener: asyncio.Server) -> None:
        listener.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    try:
        listener = asyncio.run_coroutine_threadsafe(start(), loop).result(5)
        server.port = listener.sockets[0].getsockname()[1]
        yield server
        asyncio.run_coroutine_threadsafe(stop(listener), loop).result(5)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()
