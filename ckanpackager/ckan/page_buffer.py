"""Where the text of a page is kept between the thread that fetches it and the archive that it goes into."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from ckanpackager.ckan.csv_text import first_row, last_row, without_start

BLOCK = 256 * 1024  # bytes
DEFLATED_PAGE_BYTES = 8_000_000  # of text that is compressed while it arrives
MEMORY_PAGE_BYTES = 4_000_000  # of text that is kept as it is


class PageBuffer(Protocol):
    """Takes the text of one page as it arrives; `write_to` then puts it into an entry of an archive."""

    def write(self, content: bytes, /) -> object: ...

    def close(self) -> None: ...

    def write_to(self, entry: Any, /) -> None: ...


class MemoryBuffer:
    """Keeps text as it is, in blocks of one size.

    The blocks of the next page can take the place of these; pieces of all sizes would fragment the memory.
    """

    def __init__(self, pieces: Sequence[bytes | bytearray] = ()) -> None:
        self.pieces = list(pieces)
        self._used = BLOCK  # bytes of the last block

    def __iter__(self) -> Iterator[bytes | bytearray]:
        return iter(self.pieces)

    def write(self, content: bytes) -> None:
        while content:
            if self._used == BLOCK:
                self.pieces.append(bytearray(BLOCK))
                self._used = 0
            part, content = content[: BLOCK - self._used], content[BLOCK - self._used :]
            self.pieces[-1][self._used : self._used + len(part)] = part  # type: ignore[index]
            self._used += len(part)

    def close(self) -> None:
        if self.pieces:
            del self.pieces[-1][self._used :]  # type: ignore[union-attr]

    def write_to(self, entry: Any) -> None:
        for piece in self.pieces:
            entry.write(piece)

    def first_row(self) -> bytes:
        return first_row(self.pieces)

    def last_row(self) -> bytes:
        return last_row(self.pieces)

    def without_first_row(self) -> "MemoryBuffer":
        return MemoryBuffer(without_start(self.pieces, len(self.first_row())))


class Buffering(NamedTuple):
    """How the pages of one search are kept: what makes a buffer, and how many bytes of text a page may have."""

    make: Callable[[], PageBuffer]
    page_bytes: int


IN_MEMORY = Buffering(MemoryBuffer, MEMORY_PAGE_BYTES)


def buffering(deflated: Callable[[], PageBuffer] | None, *, rows_are_read: bool) -> Buffering:
    """Compressed pages where the archive takes them, unless the way of paging has to read rows of them again."""
    if deflated is None or rows_are_read:
        return IN_MEMORY
    return Buffering(deflated, DEFLATED_PAGE_BYTES)
