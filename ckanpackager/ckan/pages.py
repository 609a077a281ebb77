"""A page: some rows of a search, as text or as records, and what the paging has to know about them."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ckanpackager.ckan import csv_text
from ckanpackager.ckan.page_buffer import MemoryBuffer, PageText
from ckanpackager.formats.json_values import Number

_BATCH = 500  # records decoded at a time
_DECODER = msgspec.json.Decoder(list[list[Any] | dict[str, Any]], float_hook=Number)

Row = bytes | Raw
"""A row of CSV or TSV without its line end, or a record as the JSON that the server sent."""


class Records(Sequence[Any]):
    """Records, which are lists or dictionaries; they are decoded as they are iterated over.

    With `as_raw` each one stays the JSON that the server sent.
    """

    def __init__(self, raw: Sequence[Raw], *, as_raw: bool = False) -> None:
        self.raw = raw
        self.as_raw = as_raw

    def __len__(self) -> int:
        return len(self.raw)

    def __getitem__(self, at: Any) -> Any:
        return self.raw[at] if self.as_raw else _decoded(self.raw[at : at + 1])[0]

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self.batches())

    def batches(self) -> Iterator[Sequence[Any]]:
        """The records, some at a time."""
        for start in range(0, len(self.raw), _BATCH):
            some = self.raw[start : start + _BATCH]
            yield some if self.as_raw else _decoded(some)


class Page(Struct, frozen=True):
    """Some rows, as `text`, CSV or TSV in UTF-8, or as `records`.

    Attributes:
        rows: How many rows there are, without those of the head.
        received: How many rows the server sent.
        head: Rows before the others, kept apart.
        first_id, last_id: The `_id` of the first and the last row, where the paging asked for them.
        chooser: What chose the rows of this page, where something did.
    """

    rows: int
    text: PageText | None = None
    records: Records | None = None
    received: int = 0
    head: Sequence[Row] = ()
    first_id: int | None = None
    last_id: int | None = None
    chooser: Callable[[Row], Row | None] | None = None

    def after(self, head: Sequence[Row]) -> "Page":
        """The page with these rows of the head before the others."""
        if not head:
            return self
        rows = self.rows + len(head)
        if self.records is not None:
            return Page(rows, records=Records([*head, *self.records.raw], as_raw=self.records.as_raw))  # type: ignore[list-item]
        before = MemoryBuffer(csv_text.join_rows(list(map(bytes, head))))
        before.close()
        return Page(rows, PageText([before, *(self.text.buffers if self.text else ())]))


def id_of(row: Row) -> int:
    """The `_id` of a row: a field of an object, or the first cell of a list or text.  Raises ValueError."""
    if isinstance(row, bytes):
        return csv_text.id_of(row)
    record = _decoded([row])[0]
    try:
        return int(record["_id"] if isinstance(record, dict) else record[0])
    except (KeyError, IndexError, TypeError):
        raise ValueError("a record has no _id") from None


def without_id(row: Row) -> Row:
    """A row without its `_id`, which is its first cell; the digits of numbers stay as they are."""
    if isinstance(row, bytes):
        return csv_text.without_first_cell(row)
    record = msgspec.json.decode(row, type=list[Raw] | dict[str, Raw])
    record.pop(0 if isinstance(record, list) else "_id")
    return Raw(msgspec.json.encode(record))


def without(record: Raw, members: frozenset[str]) -> Raw:
    """A record, which is an object, without these members."""
    kept = msgspec.json.decode(record, type=dict[str, Raw])
    return Raw(msgspec.json.encode({name: value for name, value in kept.items() if name not in members}))


def _decoded(rows: Sequence[Raw]) -> list[Any]:
    return _DECODER.decode(b"[%b]" % b",".join(map(bytes, rows)))
