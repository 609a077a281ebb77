"""Parses answers whose records are CSV or TSV (CKAN 2.8 and later): one JSON text, decoded to UTF-8 as it arrives."""

import re
from collections.abc import Callable

import msgspec
import orjson  # twice as fast as msgspec for texts

from ckanpackager.ckan.csv_text import RowCounter
from ckanpackager.ckan.page_buffer import PageBuffer
from ckanpackager.ckan.pages import Page
from ckanpackager.ckan.responses import Result, read_answer, read_whole, unreadable
from ckanpackager.ckan.row_reading import Reading, text_reader
from ckanpackager.errors import TemporaryFailure
from ckanpackager.http_client import MAX_BYTES

_PIECE = 128 * 1024  # bytes of JSON text decoded at a time: few enough for the processor's cache
_LONGEST_BEGINNING = 100  # bytes
_TEXT_BEGINS = re.compile(rb'"records":\s{0,80}"')


class StreamingCsvParser:
    """Parses an answer whose records are one JSON text, piece by piece as it arrives."""

    def __init__(self, reading: Reading, make_buffer: Callable[[], PageBuffer]) -> None:
        self._reading = reading
        self._reader = text_reader(reading, make_buffer)
        self._counter = RowCounter()
        self._rest = bytearray()  # what is not decoded yet
        self._head: bytes | None = None  # what came before the text, once the text has begun
        self._searched = 0  # how far its beginning has been looked for
        self._begun = False
        self._most: int | None = None  # bytes that the rest may have, once the text ends in it or is broken
        self._part_of_row: list[bytes] = []  # a row whose cell was cut at a line end in it

    def feed(self, chunk: bytes) -> None:
        if self._head is None:
            self._rest += chunk
            self._find_text()
            if self._head is None:
                return
            chunk = bytes(self._rest)
            self._rest.clear()
        start = 0
        while self._most is None and start < len(chunk) and len(self._rest) + len(chunk) - start >= _PIECE:
            start = self._feed_piece(chunk, start, min(start + _PIECE, len(chunk)))
        self._rest += memoryview(chunk)[start:]
        if self._most is not None and len(self._rest) > self._most:
            raise TemporaryFailure(f"an answer with broken rows, or with more than {MAX_BYTES:,} bytes behind them")

    def _feed_piece(self, chunk: bytes, start: int, end: int) -> int:
        """Decode a piece of the chunk up to its last line end, without copying it; where the next piece begins."""
        piece = memoryview(chunk)
        if cut := _last_line_end(chunk, start, end):
            try:
                text = _utf8(self._rest, piece[start:cut])
            except ValueError:  # the end of the text is within, or it is broken: `finish` will tell
                self._most = len(self._rest) + len(chunk) + MAX_BYTES
                return start
            self._rest.clear()
            self._keep(text)
            return cut
        self._rest += piece[start:end]
        return end

    def _find_text(self) -> None:
        """Look for the beginning of the text; a filter may also be on a field whose name is `records`."""
        while begin := _TEXT_BEGINS.search(self._rest, self._searched):
            head = bytes(self._rest[: begin.end()])
            if _leads_into_result(head):
                self._head = head
                del self._rest[: begin.end()]
                return
            self._searched = begin.end()
        if len(self._rest) > MAX_BYTES:
            raise TemporaryFailure(f"an answer with more than {MAX_BYTES:,} bytes before its rows")
        self._searched = max(self._searched, len(self._rest) - _LONGEST_BEGINNING)

    def finish(self, host: str) -> tuple[Result, Page]:
        """The result and its rows.  Raises TemporaryFailure if it is not an answer of CKAN's."""
        rest = bytes(self._rest)
        head, end = self._head or b"", _text_end(rest)
        try:
            result = read_answer(head + rest[end:], host)
            if bytes(result.records) != b'""':
                raise unreadable(host)
            self._keep(_utf8(rest[:end]))
            if self._part_of_row:
                raise unreadable(host)
            return result, self._reader.finish(self._counter.rows)
        except (TemporaryFailure, ValueError):
            if self._begun:
                raise unreadable(host) from None
        return read_whole(head + rest, host, self._reading)

    def _keep(self, text: bytes) -> None:
        """Pass whole rows on."""
        self._begun = True
        self._counter.count(text)
        self._part_of_row.append(text)
        if not self._counter.within_quotes:
            self._reader.write(b"".join(self._part_of_row))
            self._part_of_row.clear()


def _utf8(*literal: bytes | bytearray | memoryview) -> bytes:
    """The inside of a JSON text literal, which these are together, as UTF-8."""
    return orjson.loads(b"".join((b'"', *literal, b'"'))).encode()  # type: ignore[no-any-return]


def _leads_into_result(head: bytes) -> bool:
    """Whether a text that begins here would be one of the result itself."""
    try:
        msgspec.json.decode(head + b'"}}')
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _text_end(literal: bytes) -> int:
    """Where the quote is that ends a JSON text of whole lines, or of none; -1 if there is none.

    Within the text every quote has a backslash before it, so the first behind an n is the end.
    """
    return 0 if literal[:1] == b'"' else found + 2 if (found := literal.find(rb'\n"')) >= 0 else -1


def _last_line_end(literal: bytes, start: int, end: int) -> int:
    """Where the last line of a piece of a JSON text literal ends; 0 if none does.

    A backslash and n are a line end unless the backslash is itself an escaped one.  At the very beginning of a piece
    only what came before it could tell, so none is looked for there.
    """
    found = end
    while (found := literal.rfind(rb"\n", start, found)) >= 0:
        before = found
        while before > start and literal[before - 1] == 0x5C:  # a backslash
            before -= 1
        if before > start and (found - before) % 2 == 0:
            return found + 2
    return 0
