"""What administrators were told of: one file per kind of failure, so that they hear of an outage once."""

import contextlib
import os
import re
import time

from ckanpackager.spool.job_files import JobFiles

AGAIN = 86400  # seconds until they are told again of what goes on
_NOTES = ("accepted",)  # files that are no alert: what workers note there
_KIND = re.compile(r"[a-z][a-z_-]*")


class Alerts:
    """The files in alerts/."""

    def __init__(self, files: JobFiles) -> None:
        self._files = files

    def is_new(self, kind: str) -> bool:
        """Whether administrators are to be told of a failure of that kind now; only one worker is told so."""
        path = self._files.directory / "alerts" / kind
        try:
            if path.exists() and time.time() - path.stat().st_mtime < AGAIN:
                return False
            path.unlink(missing_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb"):
                self._files.give_modes(descriptor)
        except FileExistsError:
            return False  # another worker was faster
        except OSError:
            return True  # better twice than never
        return True

    def goes_on(self, kind: str) -> bool:
        """Whether administrators were told of a failure of that kind, and it is not over."""
        return (self._files.directory / "alerts" / kind).exists()

    def over(self, kind: str) -> None:
        """It works again."""
        with contextlib.suppress(OSError):
            (self._files.directory / "alerts" / kind).unlink()


def current(files: JobFiles, now: float) -> list[str]:
    """The kinds of failures that administrators were told of within a day, and that go on.  Raises TemporaryFailure."""
    folder, kinds = files.directory / "alerts", []
    try:
        for path in sorted(folder.iterdir()):
            if path.name not in _NOTES and _KIND.fullmatch(path.name):
                with contextlib.suppress(FileNotFoundError):  # it works again
                    kinds += [path.name] if now - path.lstat().st_mtime < AGAIN else []
    except OSError as error:
        raise files.failure(error) from error
    return kinds
