"""A bucket of objects, through obstore: what the object store needs of it, with errors in words.

Credentials come from the environment, where the providers' own programs read them.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ckanpackager.errors import OUR_FAULT, ConfigError, TemporaryFailure

if TYPE_CHECKING:
    import obstore.store

LONGEST_LINK = 7 * 86400  # seconds; S3 and Google Cloud Storage sign no link for longer (Signature Version 4)
_CHUNK = 8 << 20  # bytes of a part of an upload
_MOST_PARTS = 9000  # S3 takes 10,000
_UPLOADS = 4  # parts under way at once
_CLIENT: Any = {"connect_timeout": "10s", "timeout": "5min"}  # of one request: a part, at most
_RETRIES: Any = {"max_retries": 4, "retry_timeout": timedelta(seconds=60)}
_PROVIDERS = ("AWS", "GOOGLE", "AZURE")  # their variables' names start so


class Entry(NamedTuple):
    """An object, and when it was written by the bucket's clock, in seconds since 1970."""

    path: str
    written: float


class Bucket:
    """The objects below a URL.  Every method raises TemporaryFailure where the bucket does not answer, or refuses."""

    def __init__(self, url: str) -> None:
        self.url = url

    def open(self) -> None:
        """Raises ConfigError if the URL is none, or the library is missing."""
        _ = self._store

    def get(self, path: str) -> bytes | None:
        """An object's content, if it is there."""
        import obstore

        with self._explained():
            try:
                return bytes(obstore.get(self._store, path).bytes())
            except FileNotFoundError as error:
                if _is_there(error):
                    return None
                raise

    def has(self, path: str) -> bool:
        import obstore

        with self._explained():
            try:
                obstore.head(self._store, path)
            except FileNotFoundError:
                return False
        return True

    def put(self, path: str, content: bytes, **options: Any) -> None:
        import obstore

        with self._explained():
            obstore.put(self._store, path, content, attributes={"Content-Type": "application/json"}, **options)

    def create(self, path: str, content: bytes) -> bool:
        """Put an object only if there is none of its name (If-None-Match); whether there was none."""
        from obstore.exceptions import AlreadyExistsError

        try:
            self.put(path, content, mode="create")
        except AlreadyExistsError:
            return False
        return True

    def upload(self, file: Path, path: str) -> None:
        """Put a ZIP file, whole or not at all.

        It is read part by part: a signal is heeded between two of them, and the upload aborted.
        """
        import obstore

        chunk = max(_CHUNK, file.stat().st_size // _MOST_PARTS)
        disposition = f'attachment; filename="{path.rpartition("/")[2]}"'
        attributes: Any = {"Content-Type": "application/zip", "Content-Disposition": disposition}
        with file.open("rb") as content, self._explained():
            parts = (part for part in iter(lambda: content.read(chunk), b""))
            obstore.put(self._store, path, parts, attributes=attributes, chunk_size=chunk, max_concurrency=_UPLOADS)

    def sign(self, path: str, seconds: float) -> str:
        """A link to an object that is good for a time, without credentials."""
        import obstore

        good_for = timedelta(seconds=min(max(seconds, 1), LONGEST_LINK))
        with self._explained():
            return str(obstore.sign(self._store, "GET", path, good_for))

    def entries(self, folder: str) -> Iterator[Entry]:
        """The objects in a folder and below."""
        import obstore

        with self._explained():
            for page in obstore.list(self._store, folder):
                yield from (Entry(entry["path"], entry["last_modified"].timestamp()) for entry in page)

    def folders(self) -> list[str]:
        """The names of the folders at the top."""
        import obstore

        with self._explained():
            return [str(folder) for folder in obstore.list_with_delimiter(self._store)["common_prefixes"]]

    def delete(self, *paths: str) -> None:
        import obstore

        if paths:
            with self._explained(), contextlib.suppress(FileNotFoundError):  # another process was faster
                obstore.delete(self._store, list(paths))

    @cached_property
    def _store(self) -> "obstore.store.ObjectStore":
        try:
            from obstore.exceptions import BaseError
            from obstore.store import from_url
        except ImportError:
            raise ConfigError("store_url: needs the extra: pip install 'ckanpackager[object-store]'") from None
        plain = any(os.environ.get(f"{provider}_ALLOW_HTTP", "").lower() == "true" for provider in _PROVIDERS)
        try:
            return from_url(self.url, client_options={**_CLIENT, "allow_http": plain}, retry_config=_RETRIES)
        except (BaseError, ValueError) as error:
            raise ConfigError(f"store_url: {_first_line(error)}") from None

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        from obstore.exceptions import AlreadyExistsError, BaseError

        try:
            yield
        except AlreadyExistsError:
            raise
        except (BaseError, OSError) as error:
            raise TemporaryFailure(
                f"store {self.url}: {_first_line(error)}; make sure that it answers and that its credentials may list, "
                "read, write and delete there",
                public=OUR_FAULT,
                kind="storage",
            ) from error


def _is_there(error: FileNotFoundError) -> bool:
    """Whether only an object is missing, and not the whole bucket."""
    return not re.search("NoSuchBucket|bucket does not exist|ContainerNotFound", str(error))


def _first_line(error: Exception) -> str:
    """What follows is for those who debug obstore, and may quote credentials."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
