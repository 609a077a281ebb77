"""Where log lines go: one line for each event, with the job's id, and never a secret or an API key."""

from ckanpackager.errors import ConfigError

FORMAT = "%(asctime)s %(levelname)s %(message)s"
SYSLOG = "/dev/log"


def add_target(target: str) -> None:
    """Also log to syslog, or to a file that may be rotated.  Raises ConfigError."""
    import logging.handlers

    logger = logging.getLogger("ckanpackager")
    try:
        if target == "syslog":
            handler: logging.Handler = logging.handlers.SysLogHandler(SYSLOG)
            handler.setFormatter(logging.Formatter("ckanpackager[%(process)d]: %(message)s"))
        else:
            handler = logging.handlers.WatchedFileHandler(target, encoding="utf-8")
            handler.setFormatter(logging.Formatter(FORMAT))
    except OSError as error:
        raise ConfigError(f"log: {target}: {error.strerror or error}; name a file that this user may write") from error
    handler.setLevel(logging.INFO)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
