"""Text that arrives piece by piece: rows are counted, split, kept apart and turned round without being parsed."""

import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckanpackager.ckan import csv_parser, csv_text, page_buffer, row_reading
from ckanpackager.ckan.csv_parser import StreamingCsvParser
from ckanpackager.ckan.page_buffer import MemoryBuffer
from ckanpackager.ckan.pages import Page
from ckanpackager.ckan.responses import ResponseParser
from ckanpackager.ckan.row_reading import Reading, text_reader
from ckanpackager.errors import PermanentFailure, TemporaryFailure

CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9) | st.text(
    '"\n\r,\\n\t{}: records', max_size=9
)
TABLES = st.lists(st.lists(CELL, min_size=2, max_size=3), max_size=12)
SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=6)


def as_csv(table: list[list[str]]) -> str:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\n").writerows(table)
    return file.getvalue()


def numbered(table: list[list[str]]) -> list[list[str]]:
    return [[str(number), *row] for number, row in enumerate(table)]


def split(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    number = 0
    while data:
        size = sizes[number % len(sizes)]
        yield data[:size]
        data, number = data[size:], number + 1


def text_of(page: Page) -> str:
    assert page.text is not None
    file = io.BytesIO()
    page.text.write_to(file)
    return file.getvalue().decode()


def streaming(reading: Reading = Reading()) -> StreamingCsvParser:  # noqa: B008 - it cannot change
    return StreamingCsvParser(reading, MemoryBuffer)


# --- rows


@given(table=TABLES, sizes=SIZES)
def test_rows_are_counted_whatever_their_cells_hold_and_wherever_they_are_cut(table, sizes):
    counter = csv_text.RowCounter()
    for piece in split(as_csv(table).encode(), sizes):
        counter.count(piece)
    assert counter.rows == len(table)


@given(table=TABLES)
def test_a_text_is_split_into_its_rows_and_joined_again(table):
    rows = csv_text.split_rows(as_csv(table).encode())
    assert len(rows) == len(table)
    assert csv_text.join_rows(rows).decode() == as_csv(table)
    if table:
        assert csv_text.last_row(as_csv(table).encode()).decode() == as_csv(table[-1:])


@given(table=TABLES)
def test_the_first_cell_is_read_and_left_out(table):
    for row, whole in zip(csv_text.split_rows(as_csv(numbered(table)).encode()), numbered(table), strict=True):
        assert csv_text.id_of(row) == int(whole[0])
        assert csv_text.without_first_cell(row).decode() + "\n" == as_csv([whole[1:]])


# --- ways of reading


def read(table: list[list[str]], reading: Reading, cuts: list[int]) -> Page:
    """A page of these rows, which arrive some at a time."""
    reader = text_reader(reading, MemoryBuffer)
    rows = [as_csv([row]).encode() for row in table]
    number = 0
    while rows:
        count = cuts[number % len(cuts)]
        reader.write(b"".join(rows[:count]))
        rows, number = rows[count:], number + 1
    return reader.finish(len(table))


@given(table=TABLES, head=st.integers(0, 14), cuts=SIZES, reverse=st.booleans(), block=st.integers(1, 60))
def test_the_head_is_kept_apart_and_ids_are_noted_in_either_direction(table, head, cuts, reverse, block):
    table = numbered(table)
    arriving = table[::-1] if reverse else table
    with mock.patch.object(row_reading, "BLOCK", block), mock.patch.object(page_buffer, "BLOCK", 50):
        page = read(arriving, Reading(ids=True, head=head, reverse=reverse), cuts)
    body = table[head:]
    assert csv_text.join_rows(list(map(bytes, page.head))).decode() == as_csv(table[:head])
    assert text_of(page) == as_csv(body)
    assert (page.rows, page.received) == (len(body), len(table))
    assert (page.first_id, page.last_id) == ((int(body[0][0]), int(body[-1][0])) if body else (None, None))
    assert text_of(page.after(page.head)) == as_csv(table)


@given(table=TABLES, cuts=SIZES)
def test_rows_are_chosen_one_by_one(table, cuts):
    table = numbered(table)
    page = read(table, Reading(chooser=lambda: lambda row: row if csv_text.id_of(bytes(row)) % 3 else None), cuts)
    assert text_of(page) == as_csv([row for row in table if int(row[0]) % 3])


# --- answers


@given(
    table=TABLES,
    sizes=SIZES,
    piece=st.integers(1, 60),
    block=st.integers(1, 50),
    ascii=st.booleans(),
    spaces=st.booleans(),
    before=st.dictionaries(st.sampled_from(["records", "x", "records\n"]), CELL, max_size=2),
    after=st.dictionaries(st.sampled_from(["records", "label", "notes"]), CELL, max_size=2),
)
def test_a_text_read_in_pieces_is_the_text_read_as_a_whole(table, sizes, piece, block, ascii, spaces, before, after):
    text = as_csv(table)
    result = {
        "filters": before,
        "limit": 100,
        "records": text,
        "fields": [{"id": "a", "type": "text", "info": after}],
        "total": len(table),
    }
    separators = (", ", ": ") if spaces else (",", ":")
    body = json.dumps({"help": "h", "success": True, "result": result}, ensure_ascii=ascii, separators=separators)
    with mock.patch.object(csv_parser, "_PIECE", piece), mock.patch.object(page_buffer, "BLOCK", block):
        parsers = (streaming(), ResponseParser(Reading()))
        for chunk in split(body.encode(), sizes):
            for parser in parsers:
                parser.feed(chunk)
        for got, page in (parser.finish("h") for parser in parsers):
            assert text_of(page) == text
            assert page.rows == len(table)
            assert (got.total, got.limit, got.fields[0].info) == (len(table), 100, after)


@given(table=TABLES, cut=st.integers(1, 400), piece=st.integers(1, 60))
def test_a_text_that_is_cut_is_never_taken_for_a_whole_one(table, cut, piece):
    body = json.dumps({"success": True, "result": {"records": as_csv(table), "total": 1}}).encode()
    with mock.patch.object(csv_parser, "_PIECE", piece):
        parser = streaming()
        for chunk in split(body[:-cut], [7]):
            parser.feed(chunk)
        with pytest.raises((TemporaryFailure, PermanentFailure)):
            parser.finish("h")


def test_what_follows_the_rows_is_bounded_and_decoded_once():
    """A hostile server may send lines without end behind the text, each of which could be the end of a row."""
    parser = streaming()
    parser.feed(b'{"success": true, "result": {"records": "1,a\\n", "notes": "')
    tail = rb"and so on\n" * 90_000
    with mock.patch.object(csv_parser, "_utf8", wraps=csv_parser._utf8) as decoded:
        for _ in range(csv_parser.MAX_BYTES // len(tail)):
            parser.feed(tail)
        assert decoded.call_count == 1
        with pytest.raises(TemporaryFailure, match="25,165,824 bytes behind them"):
            for _ in range(3):
                parser.feed(tail)


def test_a_page_is_not_held_twice():
    line = '12345,Forêt de Val-d\'Aulne,"two\nlines",70.4300\n' * 100
    escaped, times = json.dumps(line)[1:-1].encode(), 2000
    size = len(line.encode()) * times
    tracemalloc.start()
    try:
        parser = streaming()
        parser.feed(b'{"success": true, "result": {"records": "')
        for _ in range(times):
            parser.feed(escaped)
        parser.feed(b'", "total": 1}}')
        _, page = parser.finish("h")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert page.rows == 100 * times
    assert len(text_of(page).encode()) == size
    assert peak < size * 1.3
