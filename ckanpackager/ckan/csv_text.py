"""CSV and TSV as CKAN renders it, in pieces: where its rows begin and end, without taking them apart.

A cell may hold line ends, within quotes; a quote within quotes is two.  So a line end with an even number of quotes
on one of its sides is the end of a row.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

BLOCK = 256 * 1024  # bytes
_NEITHER_QUOTE_NOR_LINE_END = bytes(byte for byte in range(256) if byte not in b'"\n')


class Text(Protocol):
    """What the text of a page is written into as it arrives, perhaps in a thread of its own, and `close`d at its end.

    `write_to` then puts it where it belongs: into an entry of an archive.
    """

    def write(self, content: bytes, /) -> object: ...

    def close(self) -> None: ...

    def write_to(self, entry: Any, /) -> None: ...


class Blocks:
    """Text as it is, in blocks of one size, which the next page's can take the place of.

    Pieces of all sizes would leave holes in the process's memory.
    """

    def __init__(self, pieces: Sequence[bytes | bytearray] = ()) -> None:
        self.pieces = list(pieces)
        self._used = BLOCK  # of the last one

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

    def without_first_row(self) -> "Blocks":
        return Blocks(without_start(self.pieces, len(self.first_row())))


class RowCounter:
    """Counts the rows of CSV or TSV: its line ends, but for those within quotes."""

    def __init__(self) -> None:
        self.rows = 0
        self._within = 0

    def count(self, text: bytes) -> None:
        # Only quotes and line ends matter, and no line end is between two quotes side by side.
        marks = text.translate(None, _NEITHER_QUOTE_NOR_LINE_END).replace(b'""', b"")
        parts = marks.split(b'"')
        self.rows += sum(map(len, parts[self._within :: 2]))
        self._within = (self._within + len(parts) - 1) % 2


def first_row(pieces: Sequence[bytes | bytearray]) -> bytes:
    """The first row, with its line end."""
    row: list[bytes | bytearray] = []
    quotes = 0
    for piece in pieces:
        begin = 0
        while (end := piece.find(b"\n", begin)) >= 0:
            quotes += piece.count(b'"', begin, end)
            if quotes % 2 == 0:
                return b"".join([*row, piece[: end + 1]])
            begin = end + 1
        quotes += piece.count(b'"', begin)
        row.append(piece)
    return b"".join(row)


def last_row(pieces: Sequence[bytes | bytearray]) -> bytes:
    """The last row, with its line end."""
    row: list[bytes | bytearray] = []
    quotes = 0
    for piece in reversed(pieces):
        end = len(piece) if row else len(piece) - 1  # the very last line end is its own
        while (begin := piece.rfind(b"\n", 0, end)) >= 0:
            quotes += piece.count(b'"', begin, end)
            if quotes % 2 == 0:
                return b"".join([piece[begin + 1 :], *row])
            end = begin
        quotes += piece.count(b'"', 0, end)
        row.insert(0, piece)
    return b"".join(row)


def without_start(pieces: Sequence[bytes | bytearray], size: int) -> list[bytes | bytearray]:
    """The pieces without their first `size` bytes."""
    left = []
    for piece in pieces:
        if size < len(piece):
            left.append(piece[size:] if size else piece)
        size = max(0, size - len(piece))
    return left
