"""Tables as CSV and TSV, byte for byte as CKAN's own download writes them.

CKAN's CSV is PostgreSQL's (COPY, https://www.postgresql.org/docs/current/sql-copy.html): booleans are t and f, null
is nothing, an empty text is "", and only what needs quotes has them.  Lines end in \\n.
"""

import codecs
import re
from collections.abc import Iterable, Sequence
from typing import Any

from ckanpackager.formats.json_values import spaced_json
from ckanpackager.formats.registry import Entry, Format, Table


def write(format: Format, entry: Entry, table: Table) -> list[str]:
    """Write the header, then the rows: copied where CKAN rendered them, else rendered here."""
    renderer = RowRenderer(format.delimiter or ",", [field.type for field in table.fields])
    if table.bom:
        entry.write(codecs.BOM_UTF8)
    entry.write(renderer.header(field.id for field in table.fields))
    for page in table.pages:
        if page.text:
            page.text.write_to(entry)
        if page.records:
            entry.write(renderer.rows(page.records))
    return []


class RowRenderer:
    """Renders rows as lines of text; `types` are PostgreSQL's, by column."""

    def __init__(self, delimiter: str, types: Sequence[str]) -> None:
        self._delimiter = delimiter
        self._special = re.compile(f'[{delimiter}"\n\r]').search
        self._null = ["null" if type == "json" else "" for type in types]  # as CKAN writes it
        self._render = [self._document if type in ("json", "jsonb") else self._cell for type in types]

    def header(self, names: Iterable[str]) -> bytes:
        return (self._delimiter.join(map(self._cell, names)) + "\n").encode()

    def rows(self, rows: Iterable[Sequence[Any]]) -> bytes:
        return "".join([self._line(row) for row in rows]).encode()

    def _line(self, row: Sequence[Any]) -> str:
        cells = [
            null if value is None else render(value)
            for value, null, render in zip(row, self._null, self._render, strict=True)
        ]
        return self._delimiter.join(cells) + "\n"

    def _document(self, value: Any) -> str:
        """JSON as CKAN stores it: a text has its quotes, true is true, and other characters than ASCII are escaped."""
        return self._cell(_NOT_ASCII.sub(_escaped, spaced_json(value)))

    def _cell(self, value: Any) -> str:
        if value is True or value is False:
            return "t" if value else "f"
        if isinstance(value, list | dict):
            return self._document(value)
        text = value if isinstance(value, str) else str(value)
        if not text or self._special(text):
            return '"' + text.replace('"', '""') + '"'
        return text


def _escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


_NOT_ASCII = re.compile(r"[^\x00-\x7e]")
