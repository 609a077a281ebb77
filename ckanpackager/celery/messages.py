"""What goes through the broker, encrypted: orders to packers (packagers.build), and what became of them.

Whoever looks into the broker, or at Flower, sees the kind of a task and its resource, but no API key, no credentials
in a URL, and no name of an archive.
"""

import hashlib
from base64 import urlsafe_b64encode
from typing import TypeVar

import msgspec
from msgspec import Struct

from ckanpackager.errors import PermanentFailure, TemporaryFailure, WorkerDied
from ckanpackager.jobs.job import Archive

TASK = "ckanpackager.package"
T = TypeVar("T", bound=Struct)


class Outcome(Struct, frozen=True, omit_defaults=True):
    """An archive, or an error."""

    archive: Archive | None = None
    error: str = ""
    temporary: bool = False
    died: bool = False  # the process that did it
    retry_after: float | None = None

    def archive_or_error(self) -> Archive:
        """Raises TemporaryFailure or PermanentFailure, as the packer did, and WorkerDied."""
        if self.archive is not None:
            return self.archive
        if self.died:
            raise WorkerDied(self.error)
        if self.temporary:
            raise TemporaryFailure(self.error, self.retry_after)
        raise PermanentFailure(self.error)


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
