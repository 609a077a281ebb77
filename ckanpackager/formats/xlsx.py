"""Tables as XLSX workbooks, written row by row in constant memory, with every value kept as the datastore has it.

The format is ECMA-376's SpreadsheetML (https://ecma-international.org/publications-and-standards/standards/ecma-376/);
its numbers are Excel's, from "Excel specifications and limits" on support.microsoft.com.  No library is behind it:
rustpy-xlsxwriter takes as much time, and has to know how many sheets there will be before it takes the first row;
XlsxWriter takes five times as much (bench/workbook.py).
"""

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile

from ckanpackager.errors import PermanentFailure
from ckanpackager.formats import xlsx_parts as parts
from ckanpackager.formats.json_values import spaced_json
from ckanpackager.formats.registry import Entry, Format, Table

ROWS_PER_SHEET = 1_048_575  # below the header
COLUMNS = 16_384
CHARACTERS = 32_767  # of a cell, in UTF-16
DIGITS = 15  # of a number that Excel can show
# Beyond 2 GiB a sheet needs ZIP64, which Excel takes for damage in a small file and reads in few of its forms.
BYTES_PER_SHEET = 2_000_000_000

_FASTEST = 1  # zlib's level: its usual one takes twice the time to save a sixth of the size

_COPIED = 256 * 1024  # bytes at a time

_Row = Sequence[Any]


def write(format: Format, entry: Entry, table: Table) -> list[str]:
    """Write a workbook.  It is a ZIP itself, whose parts do not come in order, so it is a temporary file first."""
    fields = [(field.id, field.type) for field in table.fields]
    rows = chain.from_iterable(page.records for page in table.pages)
    with tempfile.TemporaryDirectory(prefix="ckanpackager-", dir=table.temp_directory) as directory:
        path = Path(directory) / "workbook.xlsx"
        notes = write_workbook(path, fields, rows)
        with path.open("rb") as file:
            while block := file.read(_COPIED):
                entry.write(block)
    return notes


def write_workbook(
    path: Path,
    fields: Sequence[tuple[str, str]],
    rows: Iterable[_Row],
    *,
    rows_per_sheet: int = ROWS_PER_SHEET,
    bytes_per_sheet: int = BYTES_PER_SHEET,
) -> list[str]:
    """Write a workbook to `path`; `fields` are names and PostgreSQL's types, and rows are taken as they come.

    A sheet that is full is followed by another with the same header.  Returns what the reader of the table should
    know, a line each.  Raises PermanentFailure where no sheet is wide enough.
    """
    if len(fields) > COLUMNS:
        raise PermanentFailure(f"the table has {len(fields):,} columns, and XLSX can hold {COLUMNS:,}; ask for CSV")
    table = _Table(fields, rows_per_sheet, bytes_per_sheet)
    coming = iter(rows)
    row, sheets = next(coming, None), 0
    with ZipFile(path, "w", ZIP_DEFLATED, compresslevel=_FASTEST) as zip:
        _write_parts(zip, parts.root_parts())
        while row is not None or not sheets:
            sheets += 1
            with zip.open(f"xl/worksheets/sheet{sheets}.xml", "w") as sheet:
                row = table.fill(sheet, row, coming)
        _write_parts(zip, parts.closing_parts(sheets))
    return table.notes() + ([f"the rows go on over {sheets} sheets, as one was full"] if sheets > 1 else [])


class _Table:
    """Turns rows into the XML of sheets, and counts what had to be cut."""

    def __init__(self, fields: Sequence[tuple[str, str]], rows: int, size: int) -> None:
        self._fields = fields
        self._rows = rows
        self._size = size
        self._columns = [_letters(number) for number in range(1, len(fields) + 1)]
        self._cells = [self._cell(type) for _, type in fields]
        self._cut = 0

    def fill(self, sheet: IO[bytes], row: _Row | None, coming: Iterator[_Row]) -> _Row | None:
        """Write one sheet, and return the row that there was no room for, if there is one."""
        sheet.write(self._head().encode())
        room = self._size
        for number in range(2, self._rows + 2):
            if row is None or room <= 0:
                break
            room -= sheet.write(self._row(number, row).encode())
            row = next(coming, None)
        sheet.write(b"</sheetData></worksheet>")
        return row

    def notes(self) -> list[str]:
        if not self._cut:
            return []
        cells, were = ("1 cell", "was") if self._cut == 1 else (f"{self._cut:,} cells", "were")
        return [f"{cells} longer than {CHARACTERS:,} characters {were} cut"]

    def _head(self) -> str:
        cells = [
            f'<c r="{column}1" s="{parts.BOLD}"{self._text(name)}</c>'
            for column, (name, _) in zip(self._columns, self._fields, strict=True)
        ]
        return f'{parts.SHEET_BEGIN}{_widths(self._fields)}<sheetData><row r="1">{"".join(cells)}</row>'

    def _row(self, number: int, row: _Row) -> str:
        """A row's XML: its cells but for those with nothing in them.

        The last one is there all the same: to those who read as it comes, the row would be too short.
        """
        cells = [
            f'<c r="{column}{number}"{cell(value)}</c>'
            for column, cell, value in zip(self._columns, self._cells, row, strict=True)
            if value is not None and value != ""
        ]
        if row and (row[-1] is None or row[-1] == ""):
            cells.append(f'<c r="{self._columns[-1]}{number}"/>')
        return f'<row r="{number}">{"".join(cells)}</row>'

    def _cell(self, type: str) -> Callable[[Any], str]:
        """What makes a value of a type a cell: its XML from behind the address to before the end tag."""
        if type in _NUMERIC:
            return self._number
        if type in _FLOATING:
            return self._float
        if type in _TEMPORAL:
            return self._moment
        return self._json if type in _JSON else self._text

    def _text(self, value: Any) -> str:
        if not isinstance(value, str):
            if value is True or value is False:
                return f' t="b"><v>{value:d}</v>'
            value = spaced_json(value) if isinstance(value, list | dict) else str(value)
        if len(value) > CHARACTERS // 2:
            value = self._cut_down(value)
        keep = ' xml:space="preserve"' if value != value.strip() else ""
        if _SPECIAL(value) or "_x" in value:  # two quick questions, since few texts need the slow answer
            value = _ESCAPED(_escape, value)
        return f' t="inlineStr"><is><t{keep}>{value}</t></is>'

    def _cut_down(self, text: str) -> str:
        units = text.encode("utf-16-le", "surrogatepass")
        if len(units) <= 2 * CHARACTERS:
            return text
        self._cut += 1
        return units[: 2 * CHARACTERS].decode("utf-16-le", "ignore")  # without the half of a character at the end

    def _json(self, value: Any) -> str:
        return self._text(value if isinstance(value, str) else spaced_json(value))

    def _number(self, value: Any) -> str:
        """Digits are worth more than arithmetic: a number that Excel would round stays text."""
        text = str(value)
        exact = (len(text) <= DIGITS and _DECIMAL(text)) or (_fits(text) and _digits(text) <= DIGITS)
        return f"><v>{text}</v>" if exact else self._text(value)

    def _float(self, value: Any) -> str:
        """A double has up to 17 digits; Excel shows 15, and keeps the double as it is."""
        text = str(value)
        return f"><v>{text}</v>" if _fits(text) else self._text(value)

    def _moment(self, value: Any) -> str:
        """A day and time as Excel counts them, and as text where it does not: before 1900-03-01, say."""
        text = str(value)
        try:
            moment = datetime.fromisoformat(text) if _MOMENT(text) else _NEVER
        except ValueError:  # the 31st of February
            moment = _NEVER
        days = (moment - _DAY_0) / _DAY
        if not _FIRST_DAY <= days < _DAY_10000:
            return self._text(text)
        style = (
            parts.DATE
            if len(text) == len("2000-01-01")
            else parts.TIME_IN_MILLISECONDS
            if moment.microsecond
            else parts.TIME
        )
        return f' s="{style}"><v>{days}</v>'


_NUMERIC = frozenset(
    ["int", "int2", "int4", "int8", "smallint", "integer", "bigint", "serial", "bigserial", "numeric", "decimal"]
)
_FLOATING = frozenset(["float", "float4", "float8", "real", "double precision"])
_TEMPORAL = frozenset(["date", "timestamp"])
_JSON = frozenset(["json", "jsonb"])

_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?").fullmatch
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?").fullmatch
_LARGEST, _SMALLEST = 9.99999999999999e307, 2.2251e-308


def _fits(text: str) -> bool:
    """Whether a text is a number that Excel's are large and small enough for."""
    if not _NUMBER(text):
        return False
    size = abs(float(text))
    return _SMALLEST <= size <= _LARGEST or not _digits(text)


def _digits(number: str) -> int:
    """How many digits tell a number from others; zeros at its ends do not."""
    mantissa = re.split("[eE]", number)[0]
    return len(mantissa.replace(".", "").strip("-0"))


_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}[0-9:.]*)?").fullmatch
_DAY_0, _DAY = datetime(1899, 12, 30), timedelta(days=1)
_FIRST_DAY = 61  # 1900-03-01: Excel's 1900 has a 29th of February, so earlier days are off by one or missing
_DAY_10000 = 2_958_466  # the first of the year 10000, which the last microseconds of 9999 are rounded to
_NEVER = datetime.min

# XML 1.0 has no way to write most control characters; a spreadsheet's text has _x000B_ for them (ECMA-376 part 1,
# 22.9.2.19, ST_Xstring), and _x005F_ for an underscore that would begin such a form but does not.  An underscore before
# fewer digits than four means itself, yet not to LibreOffice.
_NO_XML = "\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff"
_SPECIAL = re.compile(f"[&<>{_NO_XML}]").search
_ESCAPED = re.compile(f"[&<>{_NO_XML}]|_(?=x[0-9A-Fa-f]+_)").sub
_REFERENCES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}  # a bare \r would be read as \n


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    if "\ud800" <= char <= "\udfff":
        return "\ufffd"  # half a character, which is no text
    return _REFERENCES.get(char) or f"_x{ord(char):04X}_"


def _letters(column: int) -> str:
    """1 is A, 26 is Z, 27 is AA."""
    letters = ""
    while column:
        column, letter = divmod(column - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return letters


def _widths(fields: Sequence[tuple[str, str]]) -> str:
    """Columns wide enough for their names, and for moments, which Excel shows as ##### where they do not fit."""
    widths = [min(max(len(name) + 2, 24 if type in _TEMPORAL else 10), 40) for name, type in fields]
    columns = [f'<col min="{at}" max="{at}" width="{width}" customWidth="1"/>' for at, width in enumerate(widths, 1)]
    return f"<cols>{''.join(columns)}</cols>" if columns else ""


def _write_parts(zip: ZipFile, files: dict[str, str]) -> None:
    for name, content in files.items():
        with zip.open(name, "w") as part:  # unlike writestr, it writes no time of day
            part.write(content.encode())
