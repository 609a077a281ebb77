"""Measure writing XLSX: CPU seconds, peak memory and size, of ckanpackager.formats.xlsx and of libraries.

    python -m bench.workbook [ROWS ...]         default: 100000

Every way keeps the same promises as far as its library can: types by the datastore's fields, no lost digits, dates
before 1900 as text, long cells cut.  "rows" takes the rows and writes nothing.  The libraries have to be installed:
pip install XlsxWriter rustpy-xlsxwriter.  Measured with rustpy-xlsxwriter 0.8.0 and XlsxWriter 3.3.1 (Python 3.11, two
shared cores: trust the ratios, not the digits):

    way                     rows    CPU s    peak MB     MB
    rows                 100,000      0.2       26.6
    ckanpackager         100,000      1.6       30.4   19.5
    rustpy-xlsxwriter    100,000      2.5       29.4   15.9
    XlsxWriter           100,000     13.0       32.1   16.5
"""

import importlib
import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tabulate import tabulate

from bench.packaging import Measured, run
from ckanpackager.archives.zip64 import ZipArchive
from ckanpackager.demo import sample
from ckanpackager.formats.json_values import Number, spaced_json
from ckanpackager.formats.xlsx import write_workbook
from ckanpackager.formats.xlsx_cells import CHARACTERS, DIGITS

FIELDS = [(field["id"], field["type"]) for field in sample.FIELDS]
DIFFERENT = 5000  # rows; then they come again, so that making them costs nothing beside writing them


def main(sizes: list[int]) -> None:
    measured = [measure(way, rows) for rows in sizes for way in WAYS]
    print(tabulate(measured, headers=["way", "rows", "wall s", "CPU s", "peak MB", "MB"], floatfmt=".1f", intfmt=","))


def measure(way: str, rows: int) -> Measured:
    """One way in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="ckanpackager-bench-") as directory:
        path = Path(directory) / "table.xlsx"
        measured = run(way, rows, [sys.executable, "-m", "bench.workbook", way, str(rows), str(path)])
        return measured._replace(zip=path.stat().st_size / 1e6 if path.exists() else None)


def records(count: int) -> Iterator[list[Any]]:
    """Rows as a page of CKAN's holds them."""
    rows = [
        [Number(str(value)) if isinstance(value, Decimal | float) else value for value in row]
        for row in sample.rows(DIFFERENT)
    ]
    return itertools.islice(itertools.cycle(rows), count)


def by_nobody(path: Path, rows: Iterator[Sequence[Any]]) -> None:
    for _ in rows:
        pass


def by_hand(path: Path, rows: Iterator[Sequence[Any]]) -> None:
    with path.open("wb") as file:
        write_workbook(ZipArchive(file, level=1, now=0, zip64=False), FIELDS, rows)


def by_rust(path: Path, rows: Iterator[Sequence[Any]]) -> None:
    """One sheet: it wants to know how many there are before it takes the first row."""
    names, values = [name for name, _ in FIELDS], [_value(type) for _, type in FIELDS]
    dictionaries = (
        dict(zip(names, [value(cell) for value, cell in zip(values, row, strict=True)], strict=True)) for row in rows
    )
    rust = importlib.import_module("rustpy_xlsxwriter")
    rust.write_worksheet(dictionaries, str(path), "Data", freeze_row=1, bold_headers=True)


def by_xlsxwriter(path: Path, rows: Iterator[Sequence[Any]]) -> None:
    values = [_value(type) for _, type in FIELDS]
    options = {"constant_memory": True, "default_date_format": "yyyy-mm-dd hh:mm:ss"}
    book = importlib.import_module("xlsxwriter").Workbook(str(path), options)
    sheet = book.add_worksheet("Data")
    sheet.freeze_panes(1, 0)
    bold = book.add_format({"bold": True})
    for column, (name, _) in enumerate(FIELDS):
        sheet.write_string(0, column, name, bold)
    write = {
        str: sheet.write_string,
        int: sheet.write_number,
        float: sheet.write_number,
        bool: sheet.write_boolean,
        datetime: sheet.write_datetime,
    }
    for number, row in enumerate(rows, 1):
        for column, (value, cell) in enumerate(zip(values, row, strict=True)):
            if (made := value(cell)) is not None:
                write[type(made)](number, column, made)
    book.close()


WAYS: dict[str, Callable[[Path, Iterator[Sequence[Any]]], None]] = {
    "rows": by_nobody,
    "ckanpackager": by_hand,
    "rustpy-xlsxwriter": by_rust,
    "XlsxWriter": by_xlsxwriter,
}


def _value(type: str) -> Callable[[Any], Any]:
    if type == "timestamp":
        return _moment
    return _number if type in ("int", "int4", "numeric", "float8") else _text


def _text(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    text = value if isinstance(value, str) else spaced_json(value) if isinstance(value, list | dict) else str(value)
    return text[:CHARACTERS].encode("utf-8", "replace").decode() if len(text) > CHARACTERS else text


def _number(value: Any) -> Any:
    if value is None or (isinstance(value, int) and abs(value) < 10**DIGITS):
        return value
    text = str(value)
    return float(text) if len(text) <= DIGITS else text


def _moment(value: Any) -> Any:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return value
    return moment if moment.year > 1900 else value


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in WAYS:
        WAYS[sys.argv[1]](Path(sys.argv[3]), records(int(sys.argv[2])))
    else:
        main([int(word) for word in sys.argv[1:]] or [100_000])
