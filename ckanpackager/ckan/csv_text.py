"""CSV and TSV as CKAN writes it: where rows begin and end, without parsing their cells.

A cell in quotes may contain line ends; a quote in such a cell is written twice.  So a line end with an even number of
quotes on one of its sides is the end of a row.
"""

import re

_NEITHER_QUOTE_NOR_LINE_END = bytes(byte for byte in range(256) if byte not in b'"\n')
_EIGHT_QUOTES = b'"' * 8  # first, since a cell of JSON has many: twice as fast as pair by pair
_ID = re.compile(rb'"?(-?\d+)"?[,\t\n]')


class RowCounter:
    """Counts the rows of CSV or TSV: its line ends, except those in quotes."""

    def __init__(self) -> None:
        self.rows = 0
        self._within = 0

    @property
    def within_quotes(self) -> bool:
        """Whether the text so far ends within a cell."""
        return self._within == 1

    def count(self, text: bytes) -> None:
        # Only quotes and line ends matter, and no line end is between two quotes side by side.
        marks = text.translate(None, _NEITHER_QUOTE_NOR_LINE_END).replace(_EIGHT_QUOTES, b"").replace(b'""', b"")
        parts = marks.split(b'"')
        self.rows += sum(map(len, parts[self._within :: 2]))
        self._within = (self._within + len(parts) - 1) % 2


def _odd_quotes(line: bytes) -> int:
    return line.count(b'"') & 1


def split_rows(text: bytes) -> list[bytes]:
    """The rows of a text of whole rows, without their line ends."""
    lines = text.split(b"\n")
    lines.pop()  # behind the last line end
    if b'"' not in text or not any(map(_odd_quotes, lines)):
        return lines
    rows, begun = [], None
    for line in lines:
        row = line if begun is None else begun + b"\n" + line
        begun = row if _odd_quotes(row) else None
        if begun is None:
            rows.append(row)
    return rows


def join_rows(rows: list[bytes]) -> bytes:
    return b"\n".join(rows) + b"\n" if rows else b""


def last_row(text: bytes) -> bytes:
    """The last row of a text of whole rows, with its line end."""
    end, quotes = len(text) - 1, 0
    while (begin := text.rfind(b"\n", 0, end)) >= 0:
        quotes += text.count(b'"', begin, end)
        if quotes % 2 == 0:
            return text[begin + 1 :]
        end = begin
    return text


def id_of(text: bytes) -> int:
    """The number in the first cell of the first row.  Raises ValueError."""
    if found := _ID.match(text) or _ID.match(text + b"\n"):
        return int(found[1])
    raise ValueError("a row does not begin with its _id")


def without_first_cell(row: bytes) -> bytes:
    """A row without its first cell, which is a number."""
    found = _ID.match(row)
    return row[found.end() :] if found else b""
