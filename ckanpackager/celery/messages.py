"""What goes through the broker, encrypted: orders to packers (packagers.build), and what became of them.

A reader of the broker, or of Flower, sees the kind of a task and its resource, but no API key, no credentials in a
URL, and no name of an archive.
"""

import hashlib
from base64 import urlsafe_b64encode
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct

from ckanpackager.errors import CkanpackagerError, PermanentFailure, TemporaryFailure, WorkerDied
from ckanpackager.http_client import Refused
from ckanpackager.jobs.job import Archive

TASK = "ckanpackager.package"
T = TypeVar("T", bound=Struct)


class Outcome(Struct, frozen=True, omit_defaults=True):
    """An archive, or an error: its kind, its message, and what else is known of it."""

    task: str = ""  # the id of the task whose outcome it is: one that was copied from another counts for nothing
    archive: Archive | None = None
    kind: Literal["temporary", "died", "permanent", "refused"] = "temporary"
    error: str = ""
    public: str = ""
    cause: str = ""  # the error's own kind, one of errors.FAILURE_KINDS
    status: int = 0  # of HTTP, with which the site refused the request
    retry_after: float | None = None

    def archive_or_error(self) -> Archive:
        """Raises what the packer did."""
        if self.archive is not None:
            return self.archive
        error: CkanpackagerError
        if self.kind == "refused":
            error = Refused(self.error, self.status)
        elif self.kind == "temporary":
            error = TemporaryFailure(self.error, self.retry_after)
        else:
            error = WorkerDied(self.error) if self.kind == "died" else PermanentFailure(self.error)
        error.public = self.public
        error.kind = self.cause or error.kind
        raise error


def failed(error: CkanpackagerError) -> Outcome:
    """The outcome of packaging that raised an error."""
    said, public, cause = str(error), error.public, error.kind
    if isinstance(error, TemporaryFailure):
        return Outcome(kind="temporary", error=said, public=public, cause=cause, retry_after=error.retry_after)
    if isinstance(error, Refused):
        return Outcome(kind="refused", error=said, public=public, cause=cause, status=error.status)
    return Outcome(kind="permanent", error=said, public=public, cause=cause)


class PackagingFailed(Exception):
    """Carries an encrypted Outcome to the dispatcher, so that the task counts as failed in Flower."""


class Seal:
    """Encrypts (Fernet) with a key that dispatcher and packers derive from the same `secret` (HKDF, RFC 5869)."""

    def __init__(self, secret: str) -> None:
        from cryptography.fernet import Fernet
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"ckanpackager broker").derive(secret.encode())
        self._fernet = Fernet(urlsafe_b64encode(key))

    def close(self, message: Struct) -> str:
        sealed: bytes = self._fernet.encrypt(msgspec.json.encode(message))
        return sealed.decode()

    def open(self, sealed: str, kind: type[T]) -> T:
        """Raises ValueError."""
        from cryptography.fernet import InvalidToken

        try:
            return msgspec.json.decode(self._fernet.decrypt(sealed), type=kind)
        except (InvalidToken, TypeError, msgspec.DecodeError):
            raise ValueError("a message that this `secret` does not open") from None


def task_id(directory: str) -> str:
    """The id of the task that builds an archive: always the same one, and it does not tell where the archive is."""
    return hashlib.sha256(f"ckanpackager {directory}".encode()).hexdigest()[:32]
