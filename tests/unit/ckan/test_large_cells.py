"""A cell of any size costs in proportion to its size."""

import json
import time

import pytest

from ckanpackager.ckan.csv_parser import StreamingCsvParser
from ckanpackager.ckan.page_buffer import MemoryBuffer
from ckanpackager.ckan.row_reading import Reading

CELLS = {"of letters": "x", "of lines": "x\n", "of quotes": '""', "not ASCII": "é"}
MEGABYTE = 1_000_000


def cpu_seconds(cell: str) -> float:
    """What it costs to parse a page with that cell, which must arrive whole."""
    text = f'1,"{cell}"\n'
    body = json.dumps({"success": True, "result": {"fields": [], "records": text, "limit": 1}}).encode()
    pieces = [body[start : start + 128 * 1024] for start in range(0, len(body), 128 * 1024)]
    began = time.process_time()
    parser = StreamingCsvParser(Reading(), MemoryBuffer)
    for piece in pieces:
        parser.feed(piece)
    _, page = parser.finish("data.example.org")
    seconds = time.process_time() - began
    written: list[bytes] = []
    entry = type("Entry", (), {"write": lambda _, content: written.append(bytes(content))})()
    assert page.text is not None
    page.text.write_to(entry)
    assert b"".join(written) == text.encode()
    return seconds


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_four_times_as_large_costs_no_more_than_in_proportion(kind: str) -> None:
    small, large = (
        min(cpu_seconds(CELLS[kind] * (size // len(CELLS[kind]))) for _ in range(2))
        for size in (4 * MEGABYTE, 16 * MEGABYTE)
    )
    assert large < 9 * small + 0.2  # 16 times if it were quadratic
