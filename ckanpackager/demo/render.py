"""Rows as CKAN's `records_format` has them: what PostgreSQL makes of every type as JSON, and as COPY writes CSV."""

import json
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from json.encoder import encode_basestring as json_text  # keeps non-ASCII as it is, as PostgreSQL does
from typing import Any, NamedTuple

from ckanpackager.demo.table import DOCUMENTS, JSON_NULL, NUMBERS, Row, timestamp_text

SEPARATORS = {"csv": ",", "tsv": "\t"}


class Column(NamedTuple):
    """One column of an answer: its name, its type and where a row keeps it."""

    name: str
    kind: str
    place: int


def records(columns: Sequence[Column], rows: Sequence[Row], records_format: str, milliseconds: bool) -> str:
    """The JSON text of `records`: a list of objects or of lists, or all the rows as one string."""
    separator = SEPARATORS.get(records_format)
    if separator:
        return json.dumps(delimited(columns, rows, separator, milliseconds))
    cells = zip(*(_json_cells(column, rows, milliseconds) for column in columns), strict=True)
    if records_format == "lists":
        return f"[{','.join(['[' + ','.join(row) + ']' for row in cells])}]"
    template = "{" + ",".join(json_text(column.name).replace("%", "%%") + ":%s" for column in columns) + "}"
    return f"[{','.join([template % row for row in cells])}]"


def delimited(columns: Sequence[Column], rows: Sequence[Row], separator: str, milliseconds: bool) -> str:
    """The rows as PostgreSQL's COPY writes them as CSV, without a header."""
    special = re.compile(f'[{separator}"\r\n]').search
    cells = zip(*(_copy_cells(column, rows, milliseconds, special) for column in columns), strict=True)
    return "".join([separator.join(row) + "\n" for row in cells])


def _json_cells(column: Column, rows: Sequence[Row], milliseconds: bool) -> list[str]:
    texts = _texts(column, rows, milliseconds)
    if column.kind == "bool":
        texts = [text and ("true" if text == "t" else "false") for text in texts]
    if column.kind in DOCUMENTS or column.kind in NUMBERS or column.kind == "bool":
        return ["null" if text is None else text for text in texts]
    return ["null" if text is None else json_text(text) for text in texts]


def _copy_cells(column: Column, rows: Sequence[Row], milliseconds: bool, special: Callable[[str], Any]) -> list[str]:
    # CKAN reads its json type through coalesce(…, 'null'): an absent document comes out as null, too.
    absent = "null" if column.kind == "json" else ""
    return [
        absent if text is None else '"' + text.replace('"', '""') + '"' if not text or special(text) else text
        for text in _texts(column, rows, milliseconds)
    ]


def _texts(column: Column, rows: Sequence[Row], milliseconds: bool) -> list[str | None]:
    """The column as PostgreSQL writes its values as text; None is NULL."""
    place, write = column.place, _writer(column.kind, milliseconds)
    return [None if (value := row[place]) is None else write(value) for row in rows]


def _writer(kind: str, milliseconds: bool) -> Callable[[Any], str]:
    if kind in DOCUMENTS:
        return lambda value: "null" if value is JSON_NULL else json.dumps(value)
    if kind in NUMBERS:
        return _number
    if kind == "bool":
        return lambda value: "t" if value else "f"
    if kind == "timestamp":
        return lambda value: _timestamp(value, milliseconds)
    return str


def _number(value: Any) -> str:
    """The digits as they were given: 70.4300 stays so; only a float has no zero to lose."""
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _timestamp(value: Any, milliseconds: bool) -> str:
    seconds, _, fraction = timestamp_text(value).partition(".")
    return f"{seconds}.{fraction[:3]:0<3}" if milliseconds else seconds
