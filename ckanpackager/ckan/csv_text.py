"""CSV and TSV as CKAN writes it, in pieces: where rows begin and end, without parsing them.

A cell in quotes may contain line ends; a quote in such a cell is written twice.  So a line end with an even number of
quotes on one of its sides is the end of a row.
"""

from collections.abc import Sequence

_NEITHER_QUOTE_NOR_LINE_END = bytes(byte for byte in range(256) if byte not in b'"\n')


class RowCounter:
    """Counts the rows of CSV or TSV: its line ends, except those in quotes."""

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
