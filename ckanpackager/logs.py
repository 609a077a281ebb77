"""Where log lines go: one line for each event, with the job's id, and never a secret or an API key."""

import io
import logging
import os
from pathlib import Path
from typing import Any

from ckanpackager.durable_files import is_shared
from ckanpackager.errors import ConfigError, printable

FORMAT = "%(asctime)s %(levelname)s %(message)s"
SYSLOG = "/dev/log"


class Formatter(logging.Formatter):
    """Log lines in which control characters of other programs do not work."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def add_target(target: str) -> None:
    """Also log to syslog, or to a file that may be rotated; each line once, however often it is named.

    Raises ConfigError.
    """
    import logging.handlers

    class PrivateFileHandler(logging.handlers.WatchedFileHandler):
        """A log file that other users may not read: it names resources and hosts."""

        def _open(self) -> "io.TextIOWrapper[Any]":
            return open(self.baseFilename, "a", encoding=self.encoding, errors=self.errors, opener=_open_private)

    logger = logging.getLogger("ckanpackager")
    if any(handler.name == target for handler in logger.handlers):  # `serve`: the command, and the receiver in it
        return
    try:
        if target == "syslog":
            handler: logging.Handler = logging.handlers.SysLogHandler(SYSLOG)
            handler.setFormatter(Formatter("ckanpackager[%(process)d]: %(message)s"))
        else:
            handler = PrivateFileHandler(target, encoding="utf-8")
            handler.setFormatter(Formatter(FORMAT))
    except OSError as error:
        raise ConfigError(f"log: {target}: {error.strerror or error}; name a file that this user may write") from error
    handler.set_name(target)
    handler.setLevel(logging.INFO)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def _open_private(path: str, flags: int) -> int:
    """Open a file; a new one is readable for its owner and group only, and writable for the group if it is shared."""
    try:
        return os.open(path, flags & ~os.O_CREAT)
    except FileNotFoundError:
        descriptor = os.open(path, flags | os.O_CREAT, 0o640)
        folder = Path(path).parent
        if os.geteuid() == 0:  # or the worker, another user, could not log there
            os.fchown(descriptor, folder.stat().st_uid, folder.stat().st_gid)
        if is_shared(folder):
            os.fchmod(descriptor, 0o660)
        return descriptor
