"""Parquet: every value of the source comes back, with its type, from the libraries that people read it with."""

import io
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.awkward_tables import AWKWARD_FIELDS, awkward, server
from support.programs import needs_library
from support.workspace import Workspace

from ckanpackager.demo import sample
from ckanpackager.demo.ckan_api import JSON_NULL
from ckanpackager.formats import parquet as writer
from ckanpackager.formats.json_values import Number
from ckanpackager.formats.registry import FORMATS, Page, Table

pa = needs_library("pyarrow", extra="judges")
parquet = needs_library("pyarrow.parquet", extra="judges")

Rows = list[list[Any]]


class Field:
    def __init__(self, id: str, type: str) -> None:
        self.id, self.type = id, type


def write(fields: dict[str, str], *pages: Rows) -> tuple[bytes, list[str]]:
    """The file of some pages, and the notes on it."""
    file = io.BytesIO()
    table = Table(
        fields=[Field(*field) for field in fields.items()],
        pages=iter([Page(records=page) for page in pages]),
        new_zip=lambda _: pytest.fail("Parquet is no ZIP"),
    )
    notes = FORMATS["parquet"].write(file, table)
    return file.getvalue(), notes


def read(content: bytes) -> Any:
    return parquet.read_table(io.BytesIO(content))


def column(type: str, *values: Any) -> tuple[str, list[Any], list[str]]:
    """The Parquet type, the values as read, and the notes, of one column."""
    content, notes = write({"it": type}, [[value] for value in values])
    table = read(content)
    return str(table.schema.field("it").type), table.column("it").to_pylist(), notes


@pytest.mark.parametrize(
    ("type", "given", "parquet_type", "read"),
    [
        ("text", ["a", "", None, "é🦋\n\0"], "string", ["a", "", None, "é🦋\n\0"]),
        ("int", [1, None, -(2**31)], "int32", [1, None, -(2**31)]),
        ("int2", [1, "2"], "int16", [1, 2]),
        ("int8", [2**63 - 1, -(2**63)], "int64", [2**63 - 1, -(2**63)]),
        ("float8", [Number("0.1"), 5, None, "-Infinity"], "double", [0.1, 5.0, None, float("-inf")]),
        ("numeric", [Number("70.4300"), 5, None], "decimal128(6, 4)", [Decimal("70.43"), Decimal(5), None]),
        ("numeric", [None], "decimal128(2, 1)", [None]),
        ("numeric", [Number("-0.05")], "decimal128(3, 2)", [Decimal("-0.05")]),
        ("bool", [True, False, None], "bool", [True, False, None]),
        ("date", ["1850-06-01", None], "date32[day]", [date(1850, 6, 1), None]),
        ("timestamp", ["0753-04-21T00:00:00.250"], "timestamp[us]", [datetime(753, 4, 21, 0, 0, 0, 250_000)]),
        ("json", [[1, Number("2.50")], {"a": None}, None, "t", True], "string",
         ["[1, 2.50]", '{"a": null}', None, '"t"', "true"]),
        ("_text", [["a"], None], "string", ['["a"]', None]),
        ("interval", ["1 day"], "string", ["1 day"]),
    ],
)  # fmt: skip
def test_a_column_has_the_type_of_its_field(type: str, given: list[Any], parquet_type: str, read: list[Any]) -> None:
    assert column(type, *given) == (parquet_type, read, [])


@pytest.mark.parametrize(
    ("type", "given"),
    [
        ("timestamp", ["2018-12-17T11:23:06", "infinity"]),
        ("timestamp", ["0044-03-15 BC"]),
        ("numeric", ["NaN", "1.50"]),
        ("numeric", ["1" * 38, "0.1"]),
        ("int", [str(2**31)]),
    ],
)
def test_a_column_with_a_value_that_does_not_fit_is_text_as_a_whole(type: str, given: list[str]) -> None:
    note = f"it is text, since not all values fit its type ({type})"
    assert column(type, *given) == ("string", given, [note])


def test_a_value_that_does_not_fit_may_come_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "ROWS_PER_GROUP", 2)
    pages = [[[Number(f"{number}.50"), number]] for number in range(5)]
    content, notes = write({"n": "numeric", "i": "int"}, *pages, [["NaN", 5]])
    assert read(content).column("n").to_pylist() == ["0.50", "1.50", "2.50", "3.50", "4.50", "NaN"]
    assert read(content).column("i").to_pylist() == list(range(6))
    assert parquet.ParquetFile(io.BytesIO(content)).num_row_groups == 3
    assert len(notes) == 1


def test_a_table_without_rows_has_its_columns() -> None:
    table = read(write({"_id": "int", "name": "text"})[0])
    assert (table.num_rows, table.column_names) == (0, ["_id", "name"])


def test_row_groups_are_bounded_by_rows_and_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "BYTES_PER_GROUP", 250_000)
    content, _ = write({"t": "text"}, *[[["x" * 100_000]] for _ in range(6)])
    assert parquet.ParquetFile(io.BytesIO(content)).num_row_groups == 3


def packaged(workspace: Workspace, fields: list[dict[str, Any]], rows: Rows, directory: Path) -> Path:
    import zipfile

    with server("2.12", fields, rows, rows_max=1000) as api:
        id = workspace.queue(api, format="Parquet", limit=0)
        assert workspace.work().served == 1
    _, job = workspace.find(id)
    assert job.archive
    with zipfile.ZipFile(workspace.store.directory / job.archive.name) as archive:
        assert archive.namelist() == ["resource.parquet"]
        return Path(archive.extract("resource.parquet", directory))


def test_specimens_come_back_equal_from_pyarrow_and_duckdb(workspace: Workspace, tmp_path: Path) -> None:
    duckdb = needs_library("duckdb", extra="judges")
    rows = list(sample.rows(2500))
    path = packaged(workspace, sample.FIELDS, rows, tmp_path)
    types = [field["type"] for field in sample.FIELDS]
    expected = [tuple(_expected(value, type) for value, type in zip(row, types, strict=True)) for row in rows]
    assert [tuple(row.values()) for row in parquet.read_table(path).to_pylist()] == expected
    assert duckdb.sql(f"SELECT * FROM '{path}' ORDER BY _id").fetchall() == expected


def test_awkward_values_come_back_equal(workspace: Workspace, tmp_path: Path) -> None:
    rows = awkward()
    table = parquet.read_table(packaged(workspace, AWKWARD_FIELDS, rows, tmp_path))
    numeric = AWKWARD_FIELDS[6]["id"]
    assert str(table.schema.field(numeric).type) == "string"  # of 30 and of 9 digits
    types = [field["type"] if field["id"] != numeric else "digits" for field in AWKWARD_FIELDS]
    for row, found in zip(rows, table.to_pylist(), strict=True):
        assert list(found.values()) == [_expected(value, type) for value, type in zip(row, types, strict=True)]


def _expected(value: Any, type: str) -> Any:
    if value is None or value is JSON_NULL:
        return None
    if type == "json":
        return json.dumps(value, ensure_ascii=False)
    if type == "digits":
        return f"{value:f}"
    return datetime.fromisoformat(value) if type == "timestamp" else value
