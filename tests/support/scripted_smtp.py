"""A mail server that answers as no mail server should: late, never, without end, or a byte at a time."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

Conversation = Callable[[socket.socket, "ScriptedSmtp"], None]


class ScriptedSmtp:
    """What it got, and what it does after the last byte of a mail; it says nothing more where that returns nothing."""

    def __init__(self, after_data: Callable[[], str | None]) -> None:
        self.after_data = after_data
        self.mails: list[EmailMessage] = []
        self.port = 0
        self.over = threading.Event()

    @property
    def settings(self) -> dict[str, object]:
        return {"mail_transport": "smtp", "smtp_host": "127.0.0.1", "smtp_port": self.port}


def usual(connection: socket.socket, server: ScriptedSmtp) -> None:
    """An orderly conversation until the last byte of the mail."""
    file = connection.makefile("rb")
    connection.sendall(b"220 scripted\r\n")
    while line := file.readline():
        match line[:4].upper():
            case b"DATA":
                connection.sendall(b"354 go on\r\n")
                lines = list(iter(file.readline, b".\r\n"))
                server.mails.append(message_from_bytes(b"".join(lines), policy=default))  # type: ignore[arg-type]
                if (answer := server.after_data()) is None:
                    server.over.wait(60)
                    return
                connection.sendall(answer.encode() + b"\r\n")
            case b"QUIT":
                connection.sendall(b"221 bye\r\n")
                return
            case _:
                connection.sendall(b"250 OK\r\n")


def endless_lines(connection: socket.socket, server: ScriptedSmtp) -> None:
    """A reply to EHLO without a last line."""
    connection.sendall(b"220 tarpit\r\n")
    while not server.over.wait(0.01):
        connection.sendall(b"250-X\r\n")


def endless_line(connection: socket.socket, server: ScriptedSmtp) -> None:
    """A greeting that comes a byte at a time."""
    connection.sendall(b"220 ")
    while not server.over.wait(0.05):
        connection.sendall(b"x")


@contextlib.contextmanager
def scripted_smtp(
    after_data: Callable[[], str | None] = lambda: "250 OK", conversation: Conversation = usual
) -> Iterator[ScriptedSmtp]:
    """Serve on a port of the system's choice."""
    server = ScriptedSmtp(after_data)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.port = listener.getsockname()[1]

        def converse(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                conversation(connection, server)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=converse, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield server
        finally:
            server.over.set()
            listener.shutdown(socket.SHUT_RDWR)
