"""Rows as text: to the byte what CKAN's own download writes."""

import csv
import io
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckanpackager.demo.ckan_api import JSON_NULL
from ckanpackager.formats.delimited import RowRenderer
from ckanpackager.formats.json_values import Number, spaced_json
from ckanpackager.formats.ndjson import json_lines
from ckanpackager.formats.registry import FORMATS

KINDS = ["text", "int4", "numeric", "float8", "bool", "json", "timestamp"]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9)
    | st.text('",\t\n\r\\ét', max_size=5),
    "int4": st.integers(-(2**31), 2**31 - 1),
    "numeric": st.decimals(allow_nan=False, allow_infinity=False, places=4),
    "float8": st.floats(allow_nan=False, allow_infinity=False).filter(lambda one: one != 0 or str(one) == "0.0"),
    "bool": st.booleans(),
    "json": st.just(JSON_NULL)
    | st.recursive(
        st.booleans() | st.integers(-(2**53), 2**53) | st.text('"\\\n\x7f\x1fé🦋 ,', max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('a"é', max_size=2), inner, max_size=3),
        max_leaves=6,
    ),
    "timestamp": st.datetimes().map(lambda moment: moment.replace(microsecond=0).isoformat()),
}


@given(st.lists(st.tuples(*[st.none() | VALUES[kind] for kind in KINDS]), max_size=5), st.sampled_from(["csv", "tsv"]))
def test_whatever_the_values_are_they_are_written_as_ckan_writes_them(rows, format):
    from ckanpackager.demo.render import Column, delimited, records

    columns = [Column(kind, kind, workspace) for workspace, kind in enumerate(KINDS)]
    lists = records(columns, [list(row) for row in rows], "lists", False)
    values = msgspec.json.Decoder(list[list[Any]], float_hook=Number).decode(lists)
    expected = delimited(columns, [list(row) for row in rows], "," if format == "csv" else "\t", False)
    assert RowRenderer(FORMATS[format].delimiter, KINDS).rows(values).decode() == expected


@given(st.lists(st.lists(VALUES["text"], min_size=2, max_size=2), max_size=6), st.sampled_from(["csv", "tsv"]))
def test_what_is_written_is_read_again(rows, format):
    text = RowRenderer(FORMATS[format].delimiter, ["text", "text"]).rows(rows).decode()
    delimiter = "," if format == "csv" else "\t"
    assert list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)) == rows


@pytest.mark.parametrize(
    ("kind", "value", "cell"),
    [
        ("text", None, ""),
        ("text", "", '""'),
        ("text", "a,b", '"a,b"'),
        ("text", 'a"b', '"a""b"'),
        ("text", "a\rb", '"a\rb"'),
        ("text", "=1+1", "=1+1"),
        ("text", " a ", " a "),
        ("bool", True, "t"),
        ("bool", False, "f"),
        ("numeric", Number("70.4300"), "70.4300"),
        ("numeric", 12345678901234567890123, "12345678901234567890123"),
        ("float8", Number("1e+25"), "1e+25"),
        ("json", None, "null"),
        ("jsonb", None, ""),
        ("json", {"a": [1, Number("2.50"), "é"]}, '"{""a"": [1, 2.50, ""\\u00e9""]}"'),
        ("json", "null", '"""null"""'),
        ("json", True, "true"),
        ("json", [], "[]"),
    ],
)
def test_a_cell_is_written_as_postgresql_writes_it(kind, value, cell):
    assert RowRenderer(",", [kind, "text"]).rows([[value, "x"]]) == f"{cell},x\n".encode()


def test_a_header_is_quoted_where_it_must_be_and_ends_in_a_line_feed():
    names = ["_id", "a,b", 'the "best"', "é\n"]
    assert RowRenderer(",", ["int"] * 4).header(names).decode() == '_id,"a,b","the ""best""","é\n"\n'
    assert RowRenderer("\t", ["int"] * 4).header(names).decode() == '_id\ta,b\t"the ""best"""\t"é\n"\n'


@given(VALUES["json"].filter(lambda value: value is not JSON_NULL))
def test_json_is_spaced_as_ckans_clients_space_it(value):
    assert spaced_json(value) == json.dumps(value, ensure_ascii=False)


def test_json_keeps_the_digits_of_numbers():
    value = msgspec.json.Decoder(float_hook=Number).decode(b'{"a":[70.4300,1E-7,123456789012345678901]}')
    assert spaced_json(value) == '{"a": [70.4300, 1E-7, 123456789012345678901]}'


def test_a_json_object_stays_on_its_line():
    raw = [msgspec.Raw(text) for text in (b'{"a": 1.50}', b'{\n "a": "x\\ny"\n}', b"{}")]
    assert json_lines(raw[:1]) == b'{"a": 1.50}\n'
    lines = json_lines(raw).decode().splitlines()
    assert [json.loads(line) for line in lines] == [{"a": 1.5}, {"a": "x\ny"}, {}]
    assert "1.50" in lines[0]
    assert json_lines([]) == b""
