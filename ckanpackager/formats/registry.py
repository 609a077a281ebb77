"""The formats of tables: the one place that knows them.

A new format is a module of this folder with a function `write(format, entry, table)`, and one line in FORMATS.  This
module is light, since the receiver imports it: the module of a format is imported when a table is written.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, BinaryIO, Protocol

from msgspec import Struct


class Field(Protocol):
    """A column: its name and PostgreSQL's type."""

    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str: ...


class Entry(Protocol):
    """A file that is written from start to end."""

    def write(self, content: bytes | bytearray, /) -> Any: ...


class Zip(Protocol):
    """A ZIP that is written from start to end."""

    def open(self, name: str) -> AbstractContextManager[Entry]: ...

    def finish(self) -> None: ...


class Text(Protocol):
    """Lines as CKAN rendered them, ready to be copied."""

    def write_to(self, entry: Any) -> None: ...


class Page(Struct, frozen=True):
    """Some rows: as `text` in the format, or as `records`, which are lists of values, or raw JSON."""

    text: Text | None = None
    records: Sequence[Any] = ()


class Table(Struct, frozen=True, kw_only=True):
    """What a writer gets: the columns, and the rows page by page.

    `temp_directory` is for temporary files; None: the system's.  `new_zip` begins a ZIP, for formats that are one.
    """

    fields: Sequence[Field]
    pages: Iterator[Page]
    new_zip: Callable[[BinaryIO], Zip]
    temp_directory: str | None = None
    bom: bool = False  # whether text begins with a byte order mark


class Format(Struct, frozen=True, kw_only=True):
    """A format: its name, which is also that of its files' suffix, and what others need to know about it."""

    name: str
    module: str
    media_type: str
    records_format: str  # what CKAN is asked to send the rows as
    raw_records: bool = False  # whether a record stays the JSON that CKAN sent
    delimiter: str | None = None  # of text formats
    similar: tuple[str, ...] = ()  # other suffixes that a table's title may end in

    @property
    def suffix(self) -> str:
        return f".{self.name}"

    @property
    def dialect(self) -> dict[str, str] | None:
        """The dialect as the Data Package standard describes it; None where a format has none."""
        return {"delimiter": self.delimiter, "lineTerminator": "\n"} if self.delimiter else None

    def write(self, entry: Entry, table: Table) -> list[str]:
        """Write a table; what its reader should know, a line each."""
        notes: list[str] = import_module(f"ckanpackager.formats.{self.module}").write(self, entry, table)
        return notes


_EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_ALL = (
    Format(name="csv", module="delimited", media_type="text/csv", records_format="csv", delimiter=","),
    Format(
        name="tsv", module="delimited", media_type="text/tab-separated-values", records_format="tsv", delimiter="\t"
    ),
    Format(name="xlsx", module="xlsx", media_type=_EXCEL, records_format="lists", similar=(".xls",)),
    Format(
        name="ndjson",
        module="ndjson",
        media_type="application/x-ndjson",
        records_format="objects",
        raw_records=True,
        similar=(".jsonl",),
    ),
    Format(name="parquet", module="parquet", media_type="application/vnd.apache.parquet", records_format="lists"),
)
FORMATS = {format.name: format for format in _ALL}


def without_suffix(title: str) -> str:
    """A table's title without the suffix of any format, which its file may not have."""
    for format in FORMATS.values():
        for suffix in (format.suffix, *format.similar):
            if title.lower().endswith(suffix):
                return title[: -len(suffix)]
    return title
