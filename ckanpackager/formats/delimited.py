"""Tables as text, byte for byte as CKAN's own download writes them; knows neither CKAN nor Darwin Core.

CKAN's CSV is PostgreSQL's (COPY, https://www.postgresql.org/docs/current/sql-copy.html): booleans are t and f, null
is nothing, an empty text is "", and only what needs quotes has them.  Lines end in \\n.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

DELIMITERS = {"csv": ",", "tsv": "\t"}


class TextTable:
    """Writes rows as CSV or TSV; `types` are PostgreSQL's, by column."""

    def __init__(self, format: str, types: Sequence[str]) -> None:
        self._delimiter = DELIMITERS[format]
        self._special = re.compile(f'[{self._delimiter}"\n\r]').search
        self._nothing = ["null" if type == "json" else "" for type in types]  # so CKAN writes them
        self._write = [self._document if type in ("json", "jsonb") else self._cell for type in types]

    def header(self, names: Iterable[str]) -> bytes:
        return (self._delimiter.join(map(self._cell, names)) + "\n").encode()

    def rows(self, rows: Iterable[Sequence[Any]]) -> bytes:
        return "".join([self._line(row) for row in rows]).encode()

    def _line(self, row: Sequence[Any]) -> str:
        cells = [
            nothing if value is None else write(value)
            for value, nothing, write in zip(row, self._nothing, self._write, strict=True)
        ]
        return self._delimiter.join(cells) + "\n"

    def _document(self, value: Any) -> str:
        """JSON as CKAN puts it into its database: a text has its quotes there, and truth is true."""
        return self._cell(_NO_ASCII.sub(_escaped, as_json(value)))

    def _cell(self, value: Any) -> str:
        if value is True or value is False:
            return "t" if value else "f"
        if isinstance(value, list | dict):
            return self._document(value)
        text = value if isinstance(value, str) else str(value)
        if not text or self._special(text):
            return '"' + text.replace('"', '""') + '"'
        return text


def json_lines(objects: Sequence[msgspec.Raw]) -> bytes:
    """JSON objects, as a server sent them, one a line (https://github.com/ndjson/ndjson-spec)."""
    lines = b"\n".join(map(bytes, objects)) + b"\n"
    if lines.count(b"\n") == len(objects):
        return lines
    return b"".join([msgspec.json.format(one, indent=-1) + b"\n" for one in objects])  # one had lines of its own


def as_json(value: Any) -> str:
    """JSON on one line, spaced as CKAN's clients write it; numbers keep their digits."""
    return msgspec.json.format(_ENCODER.encode(value), indent=0).decode()


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _digits(value: Any) -> msgspec.Raw:
    return msgspec.Raw(str(value).encode())


_NO_ASCII = re.compile(r"[^\x00-\x7e]")
_ENCODER = msgspec.json.Encoder(enc_hook=_digits)
