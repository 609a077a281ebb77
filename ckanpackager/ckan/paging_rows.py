"""Offset paging over rows in any other order than that of `_id`, where each row is looked at as it arrives."""

import re
from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from ckanpackager.ckan.pages import Page, Row, id_of, without_id
from ckanpackager.ckan.paging import Outcome, PageSize, Query, Request, was_last
from ckanpackager.ckan.responses import Result
from ckanpackager.ckan.row_reading import Reading
from ckanpackager.errors import TemporaryFailure

FIRST_STEP = 32  # rows that a page is moved back by; then four times as many, again and again
MOST_MOVES = 40
_CELL = {
    delimiter: re.compile(rb'(?:^|%b)("(?:[^"]|"")*"|[^%b]*)' % (delimiter, delimiter)) for delimiter in (b",", b"\t")
}
_ENDING_ZEROS = re.compile(rb"(\.\d*?)0+$")


def _number(text: str) -> int | Decimal:
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() else number.normalize()


_EQUAL_NUMBERS = msgspec.json.Decoder(float_hook=_number)


class IdSet:
    """A set of ids, a bit for each one up to the greatest."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def __contains__(self, id: int) -> bool:
        at = id >> 3
        return 0 <= at < len(self._bits) and self._bits[at] >> (id & 7) & 1 == 1

    def add(self, id: int) -> None:
        at = id >> 3
        if at >= len(self._bits):
            self._bits += bytes(at + 1 - len(self._bits) + 4096)
        self._bits[at] |= 1 << (id & 7)


class _Unread:
    """Keeps the rows that were not read before; `hide_id` takes their `_id` away, which only the paging needs."""

    def __init__(self, read: IdSet, *, hide_id: bool) -> None:
        self._read = read
        self._hide_id = hide_id
        self.first: int | None = None  # the `_id` of the first row
        self.ids: list[int] = []

    def __call__(self, row: Row) -> Row | None:
        id = id_of(row)
        self.first = id if self.first is None else self.first
        if id in self._read:
            return None
        self.ids.append(id)
        return without_id(row) if self._hide_id else row


class SortedRows:
    """Pages in any order that `_id` makes unambiguous; it must be the first field.

    Each page begins with rows that were read already.  If its first row is none of them, rows were deleted and the
    others have moved up: then the page is moved back.  No row is passed on twice.
    """

    def __init__(self, query: Query, size: PageSize, offset: int, limit: int | None, *, hide_id: bool) -> None:
        self._query = query
        self._size = size
        self._at = offset
        self._left = limit
        self._read = IdSet()
        self._margin = 0
        self._moves = 0
        self._waiting = False
        self._ended = limit == 0
        self._reading = Reading(chooser=lambda: _Unread(self._read, hide_id=hide_id))

    def next(self) -> Request | None:
        if self._waiting or self._ended:
            return None
        self._waiting = True
        cap = self._size.cap or self._margin + self._size.rows
        return self._request(max(0, self._at - min(self._margin, cap - 1)))

    def _request(self, start: int) -> Request:
        rows = self._at - start + self._size.at_most(self._left)
        return Request(self._query, min(rows, self._size.cap or rows), start, self._reading)

    def accept(self, request: Request, result: Result, page: Page) -> Outcome:
        chosen: _Unread = page.chooser  # type: ignore[assignment]
        if self._left is not None and page.rows > self._left:
            return Outcome(again=[replace(request, rows=page.received - page.rows + self._left)])
        moved_up = chosen.first is None or chosen.first not in self._read
        unseen = self._margin == 0 or self._size.cap == 1 or (result.limit is None and not page.received)
        if request.offset and moved_up and not unseen:
            return self._moved_back(request)
        for id in chosen.ids:
            self._read.add(id)
        self._waiting, self._moves = False, 0
        self._at = request.offset + page.received
        self._margin = max(1, self._margin)
        if self._left is not None:
            self._left -= page.rows
        self._ended = was_last(result, page) or self._left == 0
        return Outcome(page)

    def _moved_back(self, request: Request) -> Outcome:
        """Ask again from an earlier place.  Raises TemporaryFailure where that never ends."""
        step = FIRST_STEP * 4**self._moves
        if self._size.cap is not None:
            step = min(step, self._size.cap - 1)
        self._moves += 1
        if self._moves > MOST_MOVES:
            raise TemporaryFailure("rows are deleted faster than pages can be fetched")
        self._margin = max(self._margin, min(step, self._size.rows // 4))
        return Outcome(again=[self._request(max(0, request.offset - step))])


class _Different:
    """Drops each row that is equal to the one before, then the first `skip`, and all beyond `limit`."""

    def __init__(self, key: Callable[[Row], bytes], before: bytes | None, skip: int, limit: int | None) -> None:
        self._key = key
        self.last = before
        self.skip = skip
        self.left = limit

    def __call__(self, row: Row) -> Row | None:
        key = self._key(row)
        if key == self.last:
            return None
        self.last = key
        if self.skip:
            self.skip -= 1
            return None
        if self.left is not None:
            if not self.left:
                return None
            self.left -= 1
        return row


class DistinctRows:
    """Pages of rows sorted by all their fields, without those that are equal to the row before.

    CKAN cannot be asked for distinct rows page by page in every format: it takes a page first and makes its rows
    distinct then (csv, tsv and objects of 2.10.8 and 2.11.3 and later, lists up to 2.11), or refuses (lists of 2.12).
    Rows without an `_id` cannot show that others were deleted meanwhile.
    """

    def __init__(
        self, query: Query, size: PageSize, offset: int, limit: int | None, *, numeric: Sequence[int] = ()
    ) -> None:
        self._query = query
        self._size = size
        self._at = 0
        self._skip, self._left = offset, limit
        self._last: bytes | None = None
        self._numeric = numeric
        self._delimiter = b"\t" if query.get("records_format") == "tsv" else b","
        self._waiting = False
        self._ended = limit == 0

    def next(self) -> Request | None:
        if self._waiting or self._ended:
            return None
        self._waiting = True
        return Request(self._query, self._size.rows, self._at, Reading(chooser=self._chooser))

    def _chooser(self) -> _Different:
        return _Different(self._key, self._last, self._skip, self._left)

    def _key(self, row: Row) -> bytes:
        """What is equal for equal rows: 1.0 and 1.00 are."""
        if not self._numeric:
            return bytes(row)
        if isinstance(row, Raw):
            return repr(_EQUAL_NUMBERS.decode(row)).encode()
        cells = _CELL[self._delimiter].findall(row)
        for at in self._numeric:
            cells[at] = _ENDING_ZEROS.sub(rb"\1", cells[at]).removesuffix(b".")
        return b"\0".join(cells)

    def accept(self, request: Request, result: Result, page: Page) -> Outcome:
        chosen: _Different = page.chooser  # type: ignore[assignment]
        self._waiting = False
        self._last, self._skip, self._left = chosen.last, chosen.skip, chosen.left
        self._at += page.received
        self._ended = was_last(result, page) or self._left == 0
        return Outcome(page)
