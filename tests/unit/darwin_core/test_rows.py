"""What a value looks like in a cell."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckanpackager.config.settings import DarwinCore
from ckanpackager.darwin_core import compile_plan, encode_records, header
from ckanpackager.formats.json_values import Number

PLAN = compile_plan(
    ["_id", "locality", "country", "Shelf", "Mark", "measurementValue", "media"],
    DarwinCore(
        dwc_additional_extensions=["measurement_or_fact"],
        dwc_extension_fields={
            "media": {
                "extension": "multimedia",
                "fields": {"title": "none", "type": None},
                "formatters": {"type": "a {}"},
            }
        },
    ),
)

ODD = ['"', ",", "\r\n", "\r", '""', "\x00", "{", "null", "1.50", "[1e400]", '"\\ud800"']
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(ODD)
NUMBERS = st.integers() | st.decimals(allow_nan=False, allow_infinity=False).map(str).map(Number)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "value, cell",
    [
        ("plain", b"plain"),
        (None, b""),
        ("", b""),
        (True, b"true"),
        (False, b"false"),
        (0, b"0"),
        (10**30, b"1000000000000000000000000000000"),
        (Number("70.4300"), b"70.4300"),
        ("a,b", b'"a,b"'),
        ('say "a"', b'"say ""a"""'),
        ("1\n2", b'"1\n2"'),
        ("1\r2", b'"1\r2"'),
        ("tab\tand ; and =1+1", b"tab\tand ; and =1+1"),
        ("東京 🦋", "東京 🦋".encode()),
        ("nul\x00", b"nul\x00"),
        ("\u2028\x85\x0b", "\u2028\x85\x0b".encode()),
        ([1, Number("1.50")], b'"[1,1.50]"'),
        ({"a": [None, True]}, b'"{""a"":[null,true]}"'),
        ("x" * 1_000_000, b"x" * 1_000_000),
    ],
)
def test_a_value_is_written_as_this(value, cell):
    plan = compile_plan(["_id", "locality"], DarwinCore())
    assert b"".join(content for _, content in encode_records(plan, [[1, value]])) == b"1," + cell + b"\n"


def test_the_header_has_the_names_of_the_terms_and_quotes_where_it_needs_them():
    plan = compile_plan(["a,b", "Event date"], DarwinCore(dwc_id_field="a,b"))
    assert header(plan.core) == b'"a,b",eventDate\n'


def test_no_records_make_no_lines():
    assert list(encode_records(PLAN, [])) == []


def test_records_that_differ_in_length_are_refused():
    with pytest.raises(ValueError):
        list(encode_records(PLAN, [[1, "a"], [2]]))


def test_lines_are_the_same_however_the_records_are_divided():
    records = [[n, f"{n},", None, n % 7, "7", n % 3 or None, [{"title": str(n)}] * (n % 3)] for n in range(2500)]
    assert together(records) == together(records[:1], records[1:1777], records[1777:])


def test_a_table_of_300_columns_is_written():
    names = ["_id", *(f"field {number}" for number in range(300))]
    ((_, content),) = encode_records(compile_plan(names, DarwinCore()), [[1, *range(300)]])
    ((_, cell),) = csv.reader(io.StringIO(content.decode(), newline=""))
    assert json.loads(cell) == {f"field{number}": number for number in range(300)}


@given(st.lists(st.tuples(st.integers(), VALUES, VALUES, VALUES, VALUES, VALUES, VALUES), max_size=5))
def test_whatever_the_values_are_the_cells_are_read_back_as_they_were(records: list[tuple[Any, ...]]):
    files = {name: rows(content) for name, content in together(records).items()}
    core = files.get("occurrence.csv", [])
    assert len(core) == len(records)
    for (id, locality, country, shelf, mark, _, media), row in zip(records, core, strict=True):
        assert row[:3] == [str(id), as_cell(locality), as_cell(country)]
        dynamic = json.loads(row[3]) if row[3] else {}
        assert dynamic.keys() >= {key for key, value in (("shelf", shelf), ("mark", mark)) if value is not None}
        assert dynamic.keys() <= {"shelf", "mark", "media"}
        assert media is None or "media" in dynamic or not is_other(media)
    facts = [[str(record[0]), as_cell(record[5])] for record in records if as_cell(record[5])]
    assert files.get("measurement_or_fact.csv", []) == facts
    assert all(len(row) == 3 for row in files.get("multimedia.csv", []))


def is_other(value: Any) -> bool:
    """Whether a value that is not a text is, or holds, something else than objects and nulls."""
    if isinstance(value, list):
        return any(item is not None and not isinstance(item, dict) for item in value)
    return not isinstance(value, dict | str)


def as_cell(value: Any) -> str:
    if isinstance(value, list | dict):
        return plain_json(value)
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def plain_json(value: Any) -> str:
    """JSON by the standard library, numbers in their own digits."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{plain_json(key)}:{plain_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(plain_json, value)) + "]"
    return value.text if isinstance(value, Number) else json.dumps(value, ensure_ascii=False)


def together(*pages: Any) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for page in pages:
        for name, content in encode_records(PLAN, page):
            files[name] = files.get(name, b"") + content
    return files


def rows(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))
