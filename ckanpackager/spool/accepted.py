"""When the requests of an e-mail address were accepted: one small file for each address, gone after a day."""

import msgspec

from ckanpackager.jobs.email_address import comparable
from ckanpackager.spool.job_files import JobFiles, content

FOLDER = "accepted"
DAY = 86400  # seconds


def times(files: JobFiles, email: str, now: float) -> list[float]:
    """When requests of that address were accepted within the last 24 hours, the oldest first.  Raises TemporaryFailure.

    Addresses are compared as `comparable` has them; times are seconds since 1970.
    """
    try:
        known = msgspec.json.decode(content(files.path(FOLDER, name_of(email))), type=list[float])
    except (FileNotFoundError, msgspec.DecodeError):
        return []
    except OSError as error:
        raise files.failure(error) from error
    return sorted(moment for moment in known if now - DAY < moment <= now)


def write(files: JobFiles, email: str, known: list[float]) -> None:
    """Replace what is known of an address.  Raises TemporaryFailure."""
    files.replace(FOLDER, name_of(email), msgspec.json.encode(known))


def forget(files: JobFiles, email: str) -> None:
    """Remove what is known of an address.  Raises TemporaryFailure."""
    try:
        files.path(FOLDER, name_of(email)).unlink(missing_ok=True)
    except OSError as error:
        raise files.failure(error) from error


def name_of(email: str) -> str:
    """The name of an address's file, which does not show the address."""
    import hashlib  # here: most receivers have no such limit, and should start fast

    return hashlib.sha256(comparable(email).encode()).hexdigest()[:32]
