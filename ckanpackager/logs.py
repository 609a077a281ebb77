"""Where events go: one line each, with the job's id; never a secret or a key."""

import logging
import logging.handlers

from ckanpackager.errors import ConfigError

FORMAT = "%(asctime)s %(levelname)s %(message)s"
SYSLOG = "/dev/log"


def also_to(place: str) -> None:
    """Send events to syslog, too, or to a file, which may be rotated.  Raises ConfigError."""
    logger = logging.getLogger("ckanpackager")
    try:
        if place == "syslog":
            handler: logging.Handler = logging.handlers.SysLogHandler(SYSLOG)
            handler.setFormatter(logging.Formatter("ckanpackager[%(process)d]: %(message)s"))
        else:
            handler = logging.handlers.WatchedFileHandler(place, encoding="utf-8")
            handler.setFormatter(logging.Formatter(FORMAT))
    except OSError as error:
        raise ConfigError(f"log: {place}: {error.strerror or error}; name a file that this user may write") from error
    handler.setLevel(logging.INFO)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
