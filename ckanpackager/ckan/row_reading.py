"""How the rows of one page are read while they arrive: passed on, kept apart, turned round, or chosen one by one."""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Raw, Struct

from ckanpackager.ckan.csv_text import id_of as first_id_of
from ckanpackager.ckan.csv_text import join_rows, last_row, split_rows
from ckanpackager.ckan.page_buffer import BLOCK, PageBuffer, PageText
from ckanpackager.ckan.pages import Page, Records, Row, id_of

Chooser = Callable[[Row], Row | None]


class Reading(Struct, frozen=True):
    """How the rows of a page are read; by default they pass through unread.

    Attributes:
        ids: Note the `_id` of the first and the last row; it must be their first cell.
        head: How many rows at the start are kept apart, which includes that ids are noted.
        reverse: The rows arrive in reverse order.
        chooser: Makes a function that is given each row in turn, and returns what is kept of it, or None.
    """

    ids: bool = False
    head: int = 0
    reverse: bool = False
    chooser: Callable[[], Chooser] | None = None


class TextReader(Protocol):
    """Takes text of whole rows as it arrives; `finish` makes a page of it, of which so many rows were received."""

    def write(self, text: bytes) -> None: ...

    def finish(self, received: int) -> Page: ...


def text_reader(reading: Reading, make_buffer: Callable[[], PageBuffer]) -> TextReader:
    """What reads CSV or TSV in this way."""
    if reading.chooser:
        return _Choosing(reading.chooser(), make_buffer())
    if reading.reverse:
        return _Reversing(reading.head, make_buffer)
    return _Passing(reading, make_buffer())


def read_records(reading: Reading, records: list[Raw], *, as_raw: bool) -> Page:
    """A page of records, read in this way."""
    received = len(records)
    if reading.chooser:
        choose = reading.chooser()
        chosen = [row for record in records if (row := choose(record)) is not None]
        return Page(len(chosen), None, _records(chosen, as_raw), received, chooser=choose)
    if reading.reverse:
        records.reverse()
    head, body = records[: reading.head], records[reading.head :]
    noted = (reading.ids or reading.head > 0) and len(body) > 0
    first, last = (id_of(body[0]), id_of(body[-1])) if noted else (None, None)
    return Page(len(body), None, _records(body, as_raw), received, head, first, last)


class _Passing:
    """Passes rows on as they arrive, all but the head."""

    def __init__(self, reading: Reading, buffer: PageBuffer) -> None:
        self._buffer = buffer
        self._wanted = reading.head
        self._ids = reading.ids or reading.head > 0
        self._head: list[bytes] = []
        self._first: int | None = None
        self._last = b""

    def write(self, text: bytes) -> None:
        if len(self._head) < self._wanted:
            rows = split_rows(text)
            missing = self._wanted - len(self._head)
            self._head += rows[:missing]
            text = join_rows(rows[missing:])
        if text and self._ids:
            self._first = first_id_of(text) if self._first is None else self._first
            self._last = last_row(text)
        self._buffer.write(text)

    def finish(self, received: int) -> Page:
        self._buffer.close()
        last = first_id_of(self._last) if self._last else None
        text = PageText([self._buffer])
        return Page(received - len(self._head), text, None, received, self._head, self._first, last)


class _Reversing:
    """Turns the order of rows round, block by block, so that no page has to be held as it came."""

    def __init__(self, head: int, make_buffer: Callable[[], PageBuffer]) -> None:
        self._make_buffer = make_buffer
        self._wanted = head
        self._waiting: list[bytes] = []
        self._size = 0
        self._blocks: list[PageBuffer] = []
        self._first: int | None = None
        self._last: int | None = None

    def write(self, text: bytes) -> None:
        self._waiting.append(text)
        self._size += len(text)
        if self._size >= BLOCK:
            kept = join_rows(self._pack())
            self._waiting, self._size = [kept], len(kept)

    def _pack(self) -> list[bytes]:
        """Put what has arrived into a block, except the last rows, which may be the head; those."""
        rows = split_rows(b"".join(self._waiting))
        rows.reverse()
        head, body = rows[: self._wanted], rows[self._wanted :]
        if body:
            self._first = first_id_of(body[0])
            self._last = first_id_of(body[-1]) if self._last is None else self._last
            block = self._make_buffer()
            block.write(join_rows(body))
            block.close()
            self._blocks.append(block)
        head.reverse()
        return head

    def finish(self, received: int) -> Page:
        head = self._pack()
        head.reverse()
        text = PageText(self._blocks[::-1])
        return Page(received - len(head), text, None, received, head, self._first, self._last)


class _Choosing:
    """Keeps of each row what a function returns for it."""

    def __init__(self, choose: Chooser, buffer: PageBuffer) -> None:
        self._choose = choose
        self._buffer = buffer
        self._rows = 0

    def write(self, text: bytes) -> None:
        rows = [row for each in split_rows(text) if (row := self._choose(each)) is not None]
        self._rows += len(rows)
        self._buffer.write(join_rows(list(map(bytes, rows))))

    def finish(self, received: int) -> Page:
        self._buffer.close()
        return Page(self._rows, PageText([self._buffer]), None, received, chooser=self._choose)


def _records(rows: Sequence[Row], as_raw: bool) -> Records:
    return Records(rows, as_raw=as_raw)  # type: ignore[arg-type]
