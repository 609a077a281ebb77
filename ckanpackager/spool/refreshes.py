"""When the source of each named package was last looked at, and which job refreshes it.  Raises TemporaryFailure."""

import msgspec
from msgspec import Struct

from ckanpackager.spool.job_files import JobFiles, content

FOLDER = "named"


class RefreshRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The last look at a source, in seconds since 1970, and the last job that was queued for it."""

    looked_at: float
    job: str | None = None


def read(files: JobFiles, name: str) -> RefreshRecord | None:
    """The record of a package; None if there is none, or none that can be read."""
    try:
        return msgspec.json.decode(content(files.path(FOLDER, name)), type=RefreshRecord)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    except OSError as error:
        raise files.failure(error) from error


def write(files: JobFiles, name: str, record: RefreshRecord) -> None:
    """Replace the record of a package."""
    files.replace(FOLDER, name, msgspec.json.encode(record))
