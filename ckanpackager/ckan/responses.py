"""The answers of `datastore_search`: their fields, their records, and CKAN's own words where it refuses."""

from typing import Any

import msgspec
import orjson  # for texts: twice as fast as msgspec there
from msgspec import UNSET, Raw, Struct

from ckanpackager.ckan.csv_text import RowCounter
from ckanpackager.ckan.page_buffer import MemoryBuffer
from ckanpackager.ckan.pages import Page, without
from ckanpackager.ckan.row_reading import Reading, read_records, text_reader
from ckanpackager.errors import PermanentFailure, TemporaryFailure, one_line


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
    after: Any = UNSET  # None where there is no row
    next_cursor: Any = None


class _Answer(Struct, frozen=True):
    success: bool
    result: Result | None = None


MAX_LISTS = 1_000_000  # lists and objects in an answer that is parsed: each takes some 80 bytes of memory
MAX_VALUES = 2_500_000  # values: a number takes 32
_ANSWER = msgspec.json.Decoder(_Answer)
_RECORDS = msgspec.json.Decoder(list[Raw])


class ResponseParser:
    """Parses an answer once all of it has arrived.

    `as_raw` leaves each record the JSON that it came as, but for `stray` members.
    """

    def __init__(self, reading: Reading, *, as_raw: bool = False, stray: frozenset[str] = frozenset()) -> None:
        self._reading = reading
        self._as_raw = as_raw
        self._stray = stray
        self._body = bytearray()

    def feed(self, chunk: bytes) -> None:
        self._body += chunk

    def finish(self, host: str) -> tuple[Result, Page]:
        """The result and its rows.  Raises TemporaryFailure if it is not an answer of CKAN's."""
        body, self._body = self._body, bytearray()
        return read_whole(body, host, self._reading, as_raw=self._as_raw, stray=self._stray)


def read_whole(
    body: bytes | bytearray, host: str, reading: Reading, *, as_raw: bool = False, stray: frozenset[str] = frozenset()
) -> tuple[Result, Page]:
    """The result of an answer and its rows, in any format."""
    result = read_answer(body, host)
    try:
        if bytes(memoryview(result.records)[:1]) == b'"':
            counter, text = RowCounter(), orjson.loads(bytes(result.records)).encode()
            counter.count(text)
            reader = text_reader(reading, MemoryBuffer)
            reader.write(text)
            return result, reader.finish(counter.rows)
        records = _RECORDS.decode(result.records)
        if not all(bytes(memoryview(record)[:1]) in (b"{", b"[") for record in records):
            raise unreadable(host)
        if stray:
            records = [without(record, stray) for record in records]
        return result, read_records(reading, records, as_raw=as_raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise unreadable(host) from None


def error_message(body: bytes | bytearray) -> str:
    """CKAN's own words in the body of a refusal; an empty text if there are none."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""  # an HTML page, for example
    error = answer.get("error", "") if isinstance(answer, dict) else answer
    if isinstance(error, dict):
        error = error.get("message") or "; ".join(_fault(*item) for item in error.items() if item[0] != "__type")
    return one_line(error, 300)


def read_answer(body: bytes | bytearray, host: str) -> Result:
    """The result of an answer, whose records are not parsed yet."""
    if body.count(b"[") + body.count(b"{") > MAX_LISTS or body.count(b",") > MAX_VALUES:
        raise TemporaryFailure(f"{host} answered with more values than a page may have")
    try:
        answer = _ANSWER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _no_answer(body, host) from None
    if not answer.success or answer.result is None:
        raise PermanentFailure(f"{host} refused the search: {error_message(body)}", kind="refused")
    return answer.result


def unreadable(host: str) -> TemporaryFailure:
    return TemporaryFailure(f"{host} answered with records that cannot be read")


def _no_answer(body: bytes | bytearray, host: str) -> TemporaryFailure:
    start = one_line(body[:80].decode("utf-8", "replace"))
    return TemporaryFailure(f"{host} did not answer as CKAN's API does, but: {start!r}")


def _fault(name: str, said: Any) -> str:
    if name == "info" and isinstance(said, dict):  # PostgreSQL's words, without the whole statement
        said = [str(line).splitlines()[0] for line in said.get("orig", []) if line]
    return f"{name}: {', '.join(map(str, said)) if isinstance(said, list) else said}"
