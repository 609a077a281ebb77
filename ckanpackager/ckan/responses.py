"""Parsers for the answers of `datastore_search`.

With `records_format: csv` (CKAN 2.8 and later) the rows are one JSON text, which is decoded to UTF-8 as it arrives; its
rows are never parsed.  Otherwise the rows are lists or objects, whose numbers keep their digits.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec
import orjson  # for texts: twice as fast as msgspec there
from msgspec import Raw, Struct

from ckanpackager.ckan.csv_text import RowCounter
from ckanpackager.ckan.page_buffer import MemoryBuffer, PageBuffer
from ckanpackager.errors import PermanentFailure, TemporaryFailure
from ckanpackager.formats.json_values import Number

_PIECE = 128 * 1024  # bytes of JSON text decoded at a time: few enough for the processor's cache


class Field(Struct, frozen=True):
    """A column of the datastore: CKAN's name and PostgreSQL's type, and its data dictionary where there is one."""

    id: str
    type: str = "text"
    info: dict[str, Any] | None = None


class Result(Struct, frozen=True):
    """What `datastore_search` answers, as far as it matters here."""

    fields: list[Field] = []
    records: Raw = Raw(b"[]")
    total: int | None = None
    limit: int | None = None
    include_next_page: bool = False
    next_page: dict[str, Any] | None = None
    backend: str | None = msgspec.field(default=None, name="_backend")
    after: Any = None
    next_cursor: Any = None


class Page(Struct, frozen=True):
    """Some rows: as `text`, CSV or TSV in UTF-8, or as `records`, lists or dictionaries."""

    rows: int
    text: PageBuffer | None = None
    records: list[Any] | None = None

    def first_and_last_id(self) -> tuple[int, int]:
        """The `_id` of the first row and of the last, where `_id` is the first field.  Raises ValueError."""
        if isinstance(self.text, MemoryBuffer):
            return _id_of_text(self.text.first_row()), _id_of_text(self.text.last_row())
        if not self.records:
            raise ValueError("a page without rows has no ids")
        return _id_of_record(self.records[0]), _id_of_record(self.records[-1])

    def without_first(self) -> "Page":
        """The page without its first row."""
        if isinstance(self.text, MemoryBuffer):
            return Page(rows=self.rows - 1, text=self.text.without_first_row())
        return Page(rows=self.rows - 1, records=(self.records or [])[1:])


class _Answer(Struct, frozen=True):
    success: bool
    result: Result | None = None


_ANSWER = msgspec.json.Decoder(_Answer)
_RECORDS = msgspec.json.Decoder(list[list[Any] | dict[str, Any]], float_hook=Number)
_RAW = msgspec.json.Decoder(list[Raw])
_TEXT_BEGINS = re.compile(rb'"records":\s*"')


class ResponseParser:
    """Reads an answer in any format, once all of it is there; `as_raw` leaves each record the JSON that it came as."""

    def __init__(self, *, as_raw: bool = False) -> None:
        self._records = _RAW if as_raw else _RECORDS
        self._body: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        self._body.append(chunk)

    def finish(self, host: str) -> tuple[Result, Page]:
        """The result and its rows.  Raises TemporaryFailure if it is no answer of CKAN's."""
        return _read_whole(b"".join(self._body), host, self._records)


class StreamingCsvParser:
    """Reads an answer whose records are one JSON text, piece by piece as it arrives, into a `text`."""

    def __init__(self, text: Callable[[], PageBuffer] = MemoryBuffer) -> None:
        self._rest = b""  # what is not decoded yet
        self._head: bytes | None = None  # what came before the text, once the text has begun
        self._passed = 0  # where to look for its beginning
        self._text = text()
        self._begun = False
        self._counter = RowCounter()

    def feed(self, chunk: bytes) -> None:
        self._rest += chunk
        if self._head is None:
            self._find_text()
        if self._head is not None and len(self._rest) >= _PIECE and (cut := _last_line_end(self._rest)):
            try:
                self._keep(_utf8(self._rest[:cut]))
                self._rest = self._rest[cut:]
            except ValueError:
                pass  # the end of the text is within, or it is broken: `finish` will tell

    def _find_text(self) -> None:
        """Look for the beginning of the text; a filter, say, may be on a field of the name `records`, too."""
        while begin := _TEXT_BEGINS.search(self._rest, self._passed):
            head = self._rest[: begin.end()]
            if _leads_into_result(head):
                self._head, self._rest = head, self._rest[begin.end() :]
                return
            self._passed = begin.end()

    def finish(self, host: str) -> tuple[Result, Page]:
        """The result and its rows.  Raises TemporaryFailure if it is no answer of CKAN's."""
        head, end = self._head or b"", _text_end(self._rest)
        try:
            result = _read_answer(head + self._rest[end:], host)
            if bytes(result.records) != b'""':
                raise _unreadable(host)
            self._keep(_utf8(self._rest[:end]))
        except (TemporaryFailure, ValueError):
            if self._begun:
                raise _unreadable(host) from None
            return _read_whole(head + self._rest, host, _RECORDS)
        self._text.close()
        return result, Page(rows=self._counter.rows, text=self._text)

    def _keep(self, text: bytes) -> None:
        self._counter.count(text)
        self._text.write(text)
        self._begun = True


def error_message(body: bytes) -> str:
    """CKAN's own words in the body of a refusal; an empty text if there are none."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""  # an HTML page, say
    error = answer.get("error", "") if isinstance(answer, dict) else answer
    if isinstance(error, dict):
        error = error.get("message") or "; ".join(_fault(*item) for item in error.items() if item[0] != "__type")
    return " ".join(str(error).split())[:300]


def _read_answer(body: bytes, host: str) -> Result:
    try:
        answer = _ANSWER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _no_answer(body, host) from None
    if not answer.success or answer.result is None:
        raise PermanentFailure(f"{host} refused the search: {error_message(body)}")
    return answer.result


def _read_whole(body: bytes, host: str, records_as: msgspec.json.Decoder[list[Any]]) -> tuple[Result, Page]:
    result = _read_answer(body, host)
    try:
        if bytes(memoryview(result.records)[:1]) == b'"':
            counter, text = RowCounter(), orjson.loads(bytes(result.records)).encode()
            counter.count(text)
            return result, Page(rows=counter.rows, text=MemoryBuffer([text]))
        records = records_as.decode(result.records)
    except (msgspec.DecodeError, ValueError):
        raise _unreadable(host) from None
    return result, Page(rows=len(records), records=records)


def _unreadable(host: str) -> TemporaryFailure:
    return TemporaryFailure(f"{host} answered with records that cannot be read")


def _no_answer(body: bytes, host: str) -> TemporaryFailure:
    start = " ".join(body[:80].decode("utf-8", "replace").split())
    return TemporaryFailure(f"{host} did not answer as CKAN's API does, but: {start!r}")


def _utf8(literal: bytes) -> bytes:
    """The inside of a JSON text literal as UTF-8."""
    return orjson.loads(b'"%b"' % literal).encode()  # type: ignore[no-any-return]


def _leads_into_result(head: bytes) -> bool:
    """Whether a text that begins here would be one of the result itself."""
    try:
        msgspec.json.decode(head + b'"}}')
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _text_end(literal: bytes) -> int:
    """Where the quote is that ends a JSON text of whole lines, or of none; -1 if there is none.

    Within the text every quote has a backslash before it, so the first behind an n is the end.
    """
    return 0 if literal[:1] == b'"' else found + 2 if (found := literal.find(rb'\n"')) >= 0 else -1


def _last_line_end(literal: bytes) -> int:
    """Where the last line of a piece of a JSON text literal ends; 0 if none does.

    A backslash and n are a line end unless the backslash is itself an escaped one.
    """
    found = len(literal)
    while (found := literal.rfind(rb"\n", 0, found)) >= 0:
        before = found
        while before and literal[before - 1] == 0x5C:  # a backslash
            before -= 1
        if (found - before) % 2 == 0:
            return found + 2
    return 0


def _id_of_text(row: bytes) -> int:
    return int(re.split(rb"[,\t\n]", row, maxsplit=1)[0])


def _id_of_record(record: Any) -> int:
    if isinstance(record, Raw):
        record = msgspec.json.decode(record)
    return int(record["_id"] if isinstance(record, dict) else record[0])


def _fault(name: str, said: Any) -> str:
    if name == "info" and isinstance(said, dict):  # PostgreSQL's word, without the whole statement
        said = [str(line).splitlines()[0] for line in said.get("orig", []) if line]
    return f"{name}: {', '.join(map(str, said)) if isinstance(said, list) else said}"
