"""Workbooks as others read them: openpyxl, and LibreOffice where it is installed."""

import datetime
import json
import re
import weakref
import zipfile
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.workbooks import TEXTS, write_workbook

from ckanpackager.demo import sample
from ckanpackager.errors import PermanentFailure, TemporaryFailure
from ckanpackager.formats.json_values import Number
from ckanpackager.formats.xlsx import ROWS_AT_ONCE

openpyxl = pytest.importorskip("openpyxl")
unescape = pytest.importorskip("openpyxl.utils.escape").unescape


def cells(tmp_path: Path, type: str, values: Sequence[Any]) -> list[Any]:
    """The cells that a column's values become, as openpyxl reads them."""
    write_workbook(tmp_path / "table.xlsx", [("before", "text"), ("it", type)], [["x", value] for value in values])
    sheet = openpyxl.load_workbook(tmp_path / "table.xlsx")["Data"]
    return [sheet.cell(number, 2) for number in range(2, len(values) + 2)]


def values(tmp_path: Path, type: str, given: Sequence[Any]) -> list[Any]:
    return [cell.value for cell in cells(tmp_path, type, given)]


def sheets(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    book = openpyxl.load_workbook(path)
    return {sheet.title: list(sheet.iter_rows(values_only=True)) for sheet in book}


def test_text_stays_text(tmp_path: Path) -> None:
    read = cells(tmp_path, "text", TEXTS)
    assert [cell.value for cell in read] == TEXTS
    assert {cell.data_type for cell in read} == {"s"}


AWKWARD = [
    *("\x00", "a\x0bb", "\x01\x1f", "\ufffe\uffff", "\x0b\r\n "),
    *("_x000B_", "_x000B_x000B_", "_x005F_", "__x000b_\x0b", "_x005F_x000B_"),
]


def test_control_characters_and_what_looks_like_their_escapes_are_kept(tmp_path: Path) -> None:
    """openpyxl leaves the format's escapes as they are, and has the function that reads them."""
    assert [unescape(value) for value in values(tmp_path, "text", AWKWARD)] == AWKWARD


def test_half_a_character_becomes_the_mark_for_it(tmp_path: Path) -> None:
    assert values(tmp_path, "text", ["a\ud83db", "\udfff"]) == ["a\ufffdb", "\ufffd"]


def test_nothing_and_empty_text_are_absent_cells_but_for_the_last_of_a_row(tmp_path: Path) -> None:
    fields = [("a", "text"), ("b", "int4"), ("c", "text")]
    write_workbook(tmp_path / "table.xlsx", fields, [[None, None, "last"], ["", 1, None], [None, None, None]])
    assert sheets(tmp_path / "table.xlsx")["Data"][1:3] == [(None, None, "last"), (None, 1, None)]
    xml = zipfile.ZipFile(tmp_path / "table.xlsx").read("xl/worksheets/sheet1.xml").decode()
    assert '<row r="4"><c r="C4"/></row>' in xml
    assert xml.count("<c ") == 3 + 2 + 2


@pytest.mark.parametrize(
    ("text", "length", "end"),
    [
        ("x" * 32_768, 32_767, "x"),
        ("x" * 1_000_000, 32_767, "x"),
        ("🦋" * 20_000, 16_383, "🦋"),  # two of Excel's characters each, and one would be left over
        ("é" + "🦋" * 20_000, 16_384, "🦋"),
        ("&" * 40_000, 32_767, "&"),
    ],
)
def test_long_cells_are_cut_at_a_whole_character(tmp_path: Path, text: str, length: int, end: str) -> None:
    notes = write_workbook(tmp_path / "table.xlsx", [("it", "text")], [[text], ["short"]])
    cut = sheets(tmp_path / "table.xlsx")["Data"][1][0]
    assert (len(cut), cut[-1]) == (length, end)
    assert text.startswith(cut)
    assert notes == ["1 cell longer than 32,767 characters was cut"]


def test_the_note_counts_what_was_cut(tmp_path: Path) -> None:
    fields = [("a", "text"), ("b", "json")]
    rows = [["x" * 40_000, ["y" * 40_000]], ["🦋" * 16_383, None], ["z" * 32_768, 1]]
    assert write_workbook(tmp_path / "table.xlsx", fields, rows) == ["3 cells longer than 32,767 characters were cut"]


@pytest.mark.parametrize(
    ("type", "given", "number"),
    [
        *[(type, 7, 7) for type in ("int", "int2", "int4", "int8", "bigint", "numeric", "float8")],
        ("int8", -999_999_999_999_999, -999_999_999_999_999),
        ("int8", 10**15, 10**15),
        ("int8", 10**18, 10**18),  # one digit, and zeros
        ("numeric", Number("70.4300"), 70.43),
        ("numeric", Number("0"), 0),
        ("numeric", Number("-0.00"), 0),
        ("numeric", Number("0.0000000000000000123"), 1.23e-17),
        ("numeric", Decimal("1E+2"), 100),
        ("numeric", "12.5", 12.5),  # as some servers send them
        ("float8", Number("1e-07"), 1e-7),
        ("float8", Number("0.30000000000000004"), 0.1 + 0.2),  # the double itself, which Excel keeps
        ("float4", Number("1e+22"), 1e22),
        ("float8", 0.5, 0.5),
    ],
)
def test_numbers_are_numbers(tmp_path: Path, type: str, given: Any, number: float) -> None:
    (cell,) = cells(tmp_path, type, [given])
    assert (cell.data_type, cell.value) == ("n", number)


@pytest.mark.parametrize(
    ("type", "given"),
    [
        ("int8", 1_234_567_890_123_456),
        ("int8", -9_223_372_036_854_775_807),
        ("numeric", Number("1234567890.123456")),
        ("numeric", Number("9" * 40)),
        ("numeric", Number("1e400")),
        ("numeric", Number("1e-400")),
        ("numeric", "NaN"),
        ("float8", "NaN"),
        ("float8", "Infinity"),
        ("float8", "-Infinity"),
        ("float8", Number("1e-310")),
        ("int4", "007"),
        ("int4", "\uff11\uff12"),  # digits, yet not XML's
        ("int4", "12\n"),
        ("interval", "1 day"),
        ("int4range", "[1,5)"),
        ("money", "$5.00"),
        ("text", 5),
        ("_int4", "{1,2}"),
    ],
)
def test_what_excel_would_change_is_text(tmp_path: Path, type: str, given: Any) -> None:
    (cell,) = cells(tmp_path, type, [given])
    assert (cell.data_type, cell.value) == ("s", str(given))


def test_a_number_keeps_its_digits_in_the_file(tmp_path: Path) -> None:
    cells(tmp_path, "numeric", [Number("70.4300")])
    assert b"<v>70.4300</v>" in zipfile.ZipFile(tmp_path / "table.xlsx").read("xl/worksheets/sheet1.xml")


def test_booleans(tmp_path: Path) -> None:
    read = cells(tmp_path, "bool", [True, False, None])
    assert [(cell.data_type, cell.value) for cell in read] == [("b", True), ("b", False), ("n", None)]


@pytest.mark.parametrize(
    ("type", "given", "moment", "format"),
    [
        ("timestamp", "2018-12-17T11:23:06.000", datetime.datetime(2018, 12, 17, 11, 23, 6), "yyyy-mm-dd hh:mm:ss"),
        ("timestamp", "2018-12-17T11:23:06", datetime.datetime(2018, 12, 17, 11, 23, 6), "yyyy-mm-dd hh:mm:ss"),
        ("timestamp", "2018-12-17 11:23:06", datetime.datetime(2018, 12, 17, 11, 23, 6), "yyyy-mm-dd hh:mm:ss"),
        (
            "timestamp",
            "2018-12-17T11:23:06.250",
            datetime.datetime(2018, 12, 17, 11, 23, 6, 250_000),
            "yyyy-mm-dd hh:mm:ss.000",
        ),
        ("timestamp", "9999-12-31T23:59:59.000", datetime.datetime(9999, 12, 31, 23, 59, 59), "yyyy-mm-dd hh:mm:ss"),
        ("date", "2018-12-17", datetime.datetime(2018, 12, 17), "yyyy-mm-dd"),
        ("date", "1900-03-01", datetime.datetime(1900, 3, 1), "yyyy-mm-dd"),
    ],
)
def test_dates_are_dates(tmp_path: Path, type: str, given: str, moment: datetime.datetime, format: str) -> None:
    (cell,) = cells(tmp_path, type, [given])
    assert (cell.is_date, cell.value) == (True, moment)
    assert cell.number_format.replace("\\", "") == format


@pytest.mark.parametrize(
    "text",
    [
        *("1850-06-01T00:00:00.000", "1900-02-28", "0044-03-15 BC", "infinity", "-infinity", "2018-02-31", "20181217"),
        *(
            "2018-12-17T11:23:06+02:00",
            "2018-12-17T25:00:00",
            "2018-W51-1",
            "12018-01-01",
            "\uff12\uff10\uff11\uff18-12-17",
            "soon",
        ),
    ],
)
@pytest.mark.parametrize("type", ["timestamp", "date"])
def test_other_dates_are_the_text_that_they_were(tmp_path: Path, type: str, text: str) -> None:
    (cell,) = cells(tmp_path, type, [text])
    assert (cell.data_type, cell.value) == ("s", text)


def test_json_is_json(tmp_path: Path) -> None:
    given = [[{"a": None, "b": Number("1.50")}], [], {}, True, 5, '{"as": "text"}']
    read = values(tmp_path, "json", given)
    assert read == ['[{"a": null, "b": 1.50}]', "[]", "{}", "true", "5", '{"as": "text"}']
    assert values(tmp_path, "_text", [["a", "b"]]) == ['["a", "b"]']


def test_the_header_is_bold_and_stays_in_view(tmp_path: Path) -> None:
    write_workbook(tmp_path / "table.xlsx", [("=a", "text"), ("b & <c>", "int4")], [["x", 1]])
    sheet = openpyxl.load_workbook(tmp_path / "table.xlsx").active
    assert [cell.value for cell in sheet[1]] == ["=a", "b & <c>"]
    assert [cell.font.b for cell in sheet[1]] == [True, True]
    assert [cell.font.b for cell in sheet[2]] == [False, False]
    assert sheet.freeze_panes == "A2"


def test_no_rows_leave_the_header(tmp_path: Path) -> None:
    assert write_workbook(tmp_path / "table.xlsx", [("a", "text"), ("b", "int4")], []) == []
    assert sheets(tmp_path / "table.xlsx") == {"Data": [("a", "b")]}


def test_rows_go_on_over_more_sheets(tmp_path: Path) -> None:
    rows = ([number] for number in range(7))
    notes = write_workbook(tmp_path / "table.xlsx", [("n", "int4")], rows, rows_per_sheet=3)
    assert sheets(tmp_path / "table.xlsx") == {
        "Data": [("n",), (0,), (1,), (2,)],
        "Data 2": [("n",), (3,), (4,), (5,)],
        "Data 3": [("n",), (6,)],
    }
    assert notes == ["the rows go on over 3 sheets, as one was full"]


def test_a_full_sheet_alone_has_no_empty_one_behind_it(tmp_path: Path) -> None:
    assert write_workbook(tmp_path / "table.xlsx", [("n", "int4")], [[1], [2]], rows_per_sheet=2) == []
    assert list(sheets(tmp_path / "table.xlsx")) == ["Data"]


def test_a_sheet_ends_before_it_would_need_zip64(tmp_path: Path) -> None:
    rows = [["x" * 1000] for _ in range(5)]
    write_workbook(tmp_path / "table.xlsx", [("a", "text")], rows, bytes_per_sheet=1500)
    assert [len(rows) for rows in sheets(tmp_path / "table.xlsx").values()] == [3, 3, 2]


def test_wide_tables(tmp_path: Path) -> None:
    fields = [(f"column {number}", "int4") for number in range(16_384)]
    write_workbook(tmp_path / "table.xlsx", fields[:300], [range(300), [None] * 299 + [5]])
    _, first, second = sheets(tmp_path / "table.xlsx")["Data"]
    assert first == tuple(range(300))
    assert second == (None,) * 299 + (5,)
    write_workbook(tmp_path / "table.xlsx", fields, [])
    assert openpyxl.load_workbook(tmp_path / "table.xlsx").active["XFD1"].value == "column 16383"


def test_a_table_that_is_too_wide_is_refused(tmp_path: Path) -> None:
    fields = [(f"column {number}", "text") for number in range(16_385)]
    with pytest.raises(PermanentFailure, match="16,385 columns, and XLSX can hold 16,384"):
        write_workbook(tmp_path / "table.xlsx", fields, [])


def test_rows_are_taken_some_at_a_time_and_let_go(tmp_path: Path) -> None:
    class Row(list[Any]):
        """A list that can be watched."""

    given: list[weakref.ref[Row]] = []
    most = 0

    def rows() -> Iterator[Row]:
        nonlocal most
        for number in range(500):
            row = Row([number])
            given.append(weakref.ref(row))
            yield row
            most = max(most, sum(seen() is not None for seen in given))

    write_workbook(tmp_path / "table.xlsx", [("n", "int4")], rows(), rows_per_sheet=2 * ROWS_AT_ONCE)
    assert most <= 2 * ROWS_AT_ONCE


def test_a_failure_among_the_rows_comes_through(tmp_path: Path) -> None:
    def rows() -> Iterator[list[int]]:
        yield [1]
        raise TemporaryFailure("the server has gone")

    with pytest.raises(TemporaryFailure, match="the server has gone"):
        write_workbook(tmp_path / "table.xlsx", [("n", "int4")], rows())


def test_the_same_rows_make_the_same_file(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_workbook(tmp_path / name, [("n", "int4")], [[1]])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_file_is_a_zip_of_the_plain_kind(tmp_path: Path) -> None:
    """Excel refuses small files with any of ZIP64 in them."""
    write_workbook(tmp_path / "table.xlsx", [("n", "int4")], [[1]])
    file = zipfile.ZipFile(tmp_path / "table.xlsx")
    assert file.testzip() is None
    assert {(part.extract_version, part.extra, part.flag_bits) for part in file.infolist()} == {(20, b"", 0)}
    assert b"PK\6\6" not in (tmp_path / "table.xlsx").read_bytes()


def sample_rows(count: int) -> list[list[Any]]:
    return [[Number(str(v)) if isinstance(v, Decimal | float) else v for v in row] for row in sample.rows(count)]


def expected(value: Any, type: str) -> Any:
    """What a value of the sample should be in a spreadsheet."""
    if value is None or value == "":
        return None
    if isinstance(value, Number):
        return float(value.text)
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return datetime.datetime.fromisoformat(value) if type == "timestamp" else value


def test_specimens(tmp_path: Path) -> None:
    fields = [(field["id"], field["type"]) for field in sample.FIELDS]
    given = sample_rows(300)
    assert write_workbook(tmp_path / "table.xlsx", fields, iter(given)) == []
    header, *rows = sheets(tmp_path / "table.xlsx")["Data"]
    assert header == tuple(name for name, _ in fields)
    assert rows == [tuple(expected(value, type) for value, (_, type) in zip(row, fields, strict=True)) for row in given]


@pytest.mark.parametrize(
    ("type", "plain", "awkward"),
    [
        ("text", ["a", "b & <c>\r\n", None, "", "é東"], ["\x00", "_x000B_", " end ", "\ud800", 5, True, ["a"]]),
        ("int4", [1, -2, None, 10**14], [10**15, 2**63, "007", True]),
        ("numeric", [Number("70.4300"), 5, None], [Number("1e400"), Number("1234567890.123456"), "NaN", "12.5"]),
        ("float8", [Number("0.30000000000000004"), Number("-0.5"), None], [Number("1e-07"), Number("1e-310"), "NaN"]),
        ("timestamp", ["2018-12-17T11:23:06.000", None, "1999-01-01 00:00:00"], ["1850-06-01T00:00:00", "soon", ""]),
        ("timestamp", ["2018-12-17T11:23:06.250"], ["2018-12-17T11:23:06", "2018-02-31T00:00:00", "2018-12-17"]),
        ("date", ["2018-12-17", None], ["1850-06-01", "infinity"]),
        ("json", [["a"], {"b": None}, None, "text", 1], [["\x0b"], " ", "<"]),
        ("bool", [True, False, None], ["t", 1]),
    ],
)  # fmt: skip
def test_a_cell_is_the_same_whatever_stands_beside_it(tmp_path: Path, type: str, plain: Any, awkward: Any) -> None:
    """Columns of plain values are made at once, others cell by cell."""

    def xml(given: Sequence[Any]) -> list[str]:
        write_workbook(tmp_path / "table.xlsx", [("it", type), ("end", "int")], [[value, 1] for value in given])
        sheet = zipfile.ZipFile(tmp_path / "table.xlsx").read("xl/worksheets/sheet1.xml").decode()
        rows = re.findall(r"<row .*?</row>", sheet, re.DOTALL)[1:]
        return [re.sub(r'r="A?[0-9]+"', "", row).partition('<c r="B')[0] for row in rows]

    alone = [xml([value])[0] for value in (*plain, *awkward)]
    assert xml([*plain, *awkward]) == alone
    assert xml(plain) == alone[: len(plain)]


def test_a_note_counts_a_cut_cell_once_where_a_sheet_ends(tmp_path: Path) -> None:
    rows = [["x" * 40_000] for _ in range(5)]
    notes = write_workbook(tmp_path / "table.xlsx", [("a", "text")], rows, bytes_per_sheet=80_000)
    assert notes[0] == "5 cells longer than 32,767 characters were cut"
    assert [len(rows) for rows in sheets(tmp_path / "table.xlsx").values()] == [4, 3]
