"""Tables as XLSX workbooks, written in constant memory.

The format is ECMA-376's SpreadsheetML (https://ecma-international.org/publications-and-standards/standards/ecma-376/);
its limits are Excel's, from "Excel specifications and limits" on support.microsoft.com.  No library does the work:
rustpy-xlsxwriter takes more time, and has to know how many sheets there will be before it takes the first row;
XlsxWriter takes eight times as much (bench/workbook.py).
"""

import tempfile
from collections.abc import Iterable, Sequence
from itertools import chain, islice, repeat
from typing import Any

from ckanpackager.errors import PermanentFailure
from ckanpackager.formats import xlsx_parts as parts
from ckanpackager.formats.registry import Entry, Format, Table, Zip
from ckanpackager.formats.xlsx_cells import CHARACTERS, TEMPORAL, Column

ROWS_PER_SHEET = 1_048_575  # below the header
COLUMNS = 16_384
# Beyond 2 GiB a sheet needs ZIP64, which Excel takes for damage in a small file and reads in few of its forms.
BYTES_PER_SHEET = 2_000_000_000
ROWS_AT_ONCE = 200  # few enough for the processor's cache
CELLS_AT_ONCE = 50_000  # of a wide table

_COPIED = 256 * 1024  # bytes at a time

_Row = Sequence[Any]


def write(format: Format, entry: Entry, table: Table) -> list[str]:
    """Write a workbook: first to a temporary file, since it is a ZIP, whose headers are completed at the end."""
    fields = [(field.id, field.type) for field in table.fields]
    rows = chain.from_iterable(page.records for page in table.pages)
    with tempfile.TemporaryFile(prefix="ckanpackager-", dir=table.temp_directory) as file:
        notes = write_workbook(table.new_zip(file), fields, rows)
        file.seek(0)
        while block := file.read(_COPIED):
            entry.write(block)
    return notes


def write_workbook(
    zip: Zip,
    fields: Sequence[tuple[str, str]],
    rows: Iterable[_Row],
    *,
    rows_per_sheet: int = ROWS_PER_SHEET,
    bytes_per_sheet: int = BYTES_PER_SHEET,
) -> list[str]:
    """Write a workbook, of which `zip` is the file; `fields` are names and PostgreSQL's types.

    A sheet that is full is followed by another with the same header.  Returns what the reader of the table should
    know, a line each.  Raises PermanentFailure where no sheet is wide enough.
    """
    if len(fields) > COLUMNS:
        raise PermanentFailure(f"the table has {len(fields):,} columns, and XLSX can hold {COLUMNS:,}; ask for CSV")
    table = _Table(fields, rows_per_sheet, bytes_per_sheet)
    coming = _Coming(rows)
    sheets = 0
    _write_parts(zip, parts.root_parts())
    while coming or not sheets:
        sheets += 1
        with zip.open(f"xl/worksheets/sheet{sheets}.xml") as sheet:
            table.fill(sheet, coming)
    _write_parts(zip, parts.closing_parts(sheets))
    zip.finish()
    return table.notes() + ([f"the rows go on over {sheets} sheets, as one was full"] if sheets > 1 else [])


class _Coming:
    """Rows that are taken some at a time, and can be given back."""

    def __init__(self, rows: Iterable[_Row]) -> None:
        self._rows = iter(rows)

    def __bool__(self) -> bool:
        """Whether there is another row."""
        first = self.take(1)
        self.give_back(first)
        return bool(first)

    def take(self, most: int) -> list[_Row]:
        return list(islice(self._rows, most))

    def give_back(self, rows: list[_Row]) -> None:
        self._rows = chain(rows, self._rows) if rows else self._rows


class _Table:
    """Turns rows into the XML of sheets."""

    def __init__(self, fields: Sequence[tuple[str, str]], rows: int, size: int) -> None:
        self._fields = fields
        self._rows = rows
        self._size = size
        self._at_once = max(1, min(ROWS_AT_ONCE, CELLS_AT_ONCE // max(1, len(fields))))
        self._columns = [Column(_letters(number), type) for number, (_, type) in enumerate(fields, 1)]

    def fill(self, sheet: Entry, coming: _Coming) -> None:
        """Write one sheet: as many of the rows as it can hold."""
        sheet.write(self._head().encode())
        room, number, last, at_once = self._size, 2, self._rows + 1, self._at_once
        while room > 0 and (rows := coming.take(min(at_once, last + 1 - number))):
            cut = [column.cut for column in self._columns]
            xml = self._rows_from(number, rows).encode()
            if len(xml) > room and len(rows) > 1:  # near the end: row by row
                coming.give_back(rows)
                for column, count in zip(self._columns, cut, strict=True):
                    column.cut = count
                at_once = 1
                continue
            sheet.write(xml)
            room -= len(xml)
            number += len(rows)
        sheet.write(b"</sheetData></worksheet>")

    def notes(self) -> list[str]:
        if not (cut := sum(column.cut for column in self._columns)):
            return []
        cells, were = ("1 cell", "was") if cut == 1 else (f"{cut:,} cells", "were")
        return [f"{cells} longer than {CHARACTERS:,} characters {were} cut"]

    def _head(self) -> str:
        cells = [
            f'<c r="{column.letters}1" s="{parts.BOLD}"{column.text(name)}</c>'
            for column, (name, _) in zip(self._columns, self._fields, strict=True)
        ]
        return f'{parts.SHEET_BEGIN}{_widths(self._fields)}<sheetData><row r="1">{"".join(cells)}</row>'

    def _rows_from(self, number: int, rows: list[_Row]) -> str:
        """The XML of rows, from a row's number on: their cells but for those with nothing in them."""
        numbers = [str(at) for at in range(number, number + len(rows))]
        heads: dict[str, list[str]] = {}  # by what stands between an address and a text
        pieces: list[Iterable[str]] = [repeat('<row r="'), numbers]
        between = '">'  # what has no piece yet, and is the same in each row
        for column, values in zip(self._columns, zip(*rows, strict=True), strict=True):
            address, plain = f'<c r="{column.letters}', column.plain(values)
            if plain is None:
                pieces += repeat(between), column.cells(numbers, values)
                between = ""
                continue
            begin, texts, end = plain
            if (head := heads.get(begin)) is None:
                head = heads[begin] = [at + begin for at in numbers]
            if all(texts):
                pieces += repeat(between + address), head, texts
                between = end
            else:
                cells = [
                    f"{address}{start}{text}{end}" if text else "" for start, text in zip(head, texts, strict=True)
                ]
                pieces += repeat(between), cells
                between = ""
        pieces += repeat(between), self._empty_last_cells(numbers, rows), repeat("</row>")
        return "".join(chain.from_iterable(zip(*pieces)))  # noqa: B905 - some pieces have no end

    def _empty_last_cells(self, numbers: Sequence[str], rows: list[_Row]) -> list[str]:
        """The last cell of a row is there even if empty, or the row is too short for a program that reads in order."""
        last = f'<c r="{self._columns[-1].letters}' if self._columns else ""
        return [
            f'{last}{number}"/>' if last and (row[-1] is None or row[-1] == "") else ""
            for number, row in zip(numbers, rows, strict=True)
        ]


def _letters(column: int) -> str:
    """1 is A, 26 is Z, 27 is AA."""
    letters = ""
    while column:
        column, letter = divmod(column - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return letters


def _widths(fields: Sequence[tuple[str, str]]) -> str:
    """Columns wide enough for their names, and for moments, which Excel shows as ##### where they do not fit."""
    widths = [min(max(len(name) + 2, 24 if type in TEMPORAL else 10), 40) for name, type in fields]
    columns = [f'<col min="{at}" max="{at}" width="{width}" customWidth="1"/>' for at, width in enumerate(widths, 1)]
    return f"<cols>{''.join(columns)}</cols>" if columns else ""


def _write_parts(zip: Zip, files: dict[str, str]) -> None:
    for name, content in files.items():
        with zip.open(name) as part:
            part.write(content.encode())
