"""Bounds of an archive that is being written, and of the room that it is written into."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ckanpackager import durable_files
from ckanpackager.archives.space import free_space, human_size, measure_store
from ckanpackager.config.settings import Settings
from ckanpackager.errors import OUR_FAULT, NoRoom, OverLimit

LOOK = 1.0  # seconds, at least, between two looks at the room that is left
SHARE = 0.02  # of the time, at most, is spent on measuring the store


class Bounds:
    """What one archive must stay within.

    `max_rows` and `max_archive_size` bound requests; a named package is the administrators' own.  `store_max_size` and
    `min_free_space` bound everything.  Where other workers write at the same time, each notices what the others wrote
    with its next look, and before it publishes: together they may pass a bound by what they write between two looks,
    but what is published passes it only where two workers publish in the same moment.

    Args:
        settings: What the bounds are.
        folder: Where the archive is written.
        of_request: Whether it is for a request.
    """

    def __init__(
        self, settings: Settings, folder: Path, *, of_request: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        archives = settings.archives
        self._settings, self._folder, self._clock = settings, folder, clock
        self._max_rows = archives.max_rows if of_request else None
        self._max_size = archives.max_archive_size if of_request else None
        self._store_max, self._min_free = archives.store_max_size, archives.min_free_space
        self._rows = self._size = self._others = 0
        self._next_look = 0.0

    def expect_rows(self, total: int | None) -> None:
        """Some more rows are going to be read.  Raises OverLimit."""
        if self._max_rows is not None and total is not None and self._rows + total > self._max_rows:
            raise OverLimit(
                f"this selection has {self._rows + total:,} rows; this portal packs at most {self._max_rows:,}; "
                "narrow it with filters or limit"
            )

    def count_rows(self, rows: int) -> None:
        """Some more rows were read.  Raises OverLimit."""
        self._rows += rows
        if self._max_rows is not None and self._rows > self._max_rows:
            raise OverLimit(
                f"this selection has more than {self._max_rows:,} rows, which is the most that this portal packs; "
                "narrow it with filters or limit"
            )

    def look(self, size: int | None = None) -> None:
        """Compare with the bounds; cheap enough to be called for each piece that is written.

        Args:
            size: The bytes that the archive has now, where they have changed.

        Raises OverLimit, NoRoom, TemporaryFailure.
        """
        if size is not None:
            self._size = size
            if self._max_size is not None and size > self._max_size:
                raise self._too_large(self._max_size)
        if self._store_max is None and self._min_free is None:
            return
        if (now := self._clock()) >= self._next_look:
            self._measure()
            self._next_look = now + max(LOOK, (self._clock() - now) / SHARE)
        if self._store_max is not None and self._others + self._size >= self._store_max:
            if self._size >= self._store_max:  # however empty the store is
                raise self._too_large(self._store_max)
            raise NoRoom(
                f"the store holds {human_size(self._others + self._size)}, and store_max_size is "
                f"{human_size(self._store_max)}; raise it, or remove archives with clean or clear-cache",
                public=OUR_FAULT,
            )

    def look_again(self) -> None:
        """The same with what others wrote meanwhile, before an archive is published."""
        self._next_look = 0.0
        self.look()

    def _measure(self) -> None:
        if self._min_free is not None:
            for folder in (self._folder, Path(self._settings.archives.temp_directory or tempfile.gettempdir())):
                self._check_free(folder, self._min_free)
        if self._store_max is not None:
            used = measure_store(self._settings).used
            in_store = self._settings.archives.store_url is None  # what is written, too
            self._others = max(0, used - self._size) if in_store else used

    def _check_free(self, folder: Path, least: int) -> None:
        try:
            free = free_space(folder)
        except FileNotFoundError:
            return  # a temporary directory that is made when it is needed
        except OSError as error:
            raise durable_files.failure("archive", folder, error) from error
        if free < least:
            raise NoRoom(
                f"{human_size(free)} are free on the file system of {folder}, and min_free_space is "
                f"{human_size(least)}; make room there",
                public=OUR_FAULT,
            )

    def _too_large(self, most: int) -> OverLimit:
        return OverLimit(
            f"the archive would be larger than {human_size(most)}, which is the most that this portal packs; "
            "narrow the request with filters or limit, or ask for fewer fields"
        )


class WatchedFile:
    """A file being written front to back; each change of its end is told."""

    def __init__(self, file: BinaryIO, watch: Callable[[int], None]) -> None:
        self._file, self._watch = file, watch

    def write(self, content: bytes | bytearray, /) -> int:
        written = self._file.write(content)
        self._watch(self._file.tell())
        return written

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, /) -> int:
        return self._file.seek(offset)

    def truncate(self) -> int:
        return self._file.truncate()
