"""Measure what becomes of records on their way into a Darwin Core Archive: rows a second, without fetching and zipping.

    python -m bench.darwin_core [ROWS]        default: 100000

The records are the demo's specimens, as they come from CKAN: 27 fields, 23 of them terms, three that go into
dynamicProperties as JSON, and one that lists media.
"""

import sys
import time
from decimal import Decimal
from typing import Any

from ckanpackager.config.settings import DarwinCore
from ckanpackager.darwin_core import compile_plan, encode_records
from ckanpackager.demo import sample
from ckanpackager.formats.json_values import Number

RUNS = 5
MEDIA = {
    "extension": "multimedia",
    "fields": {"type": "StillImage", "format": None, "identifier": None, "title": None, "license": None},
}


def main(count: int) -> None:
    names = [field["id"] for field in sample.FIELDS]
    records = [[arrived(value) for value in row] for row in sample.rows(count)]
    terms = [
        workspace
        for workspace, name in enumerate(names)
        if name not in ("Associated Media", "Cabinet", "Drawer", "Image Checked")
    ]
    measure(
        "terms only",
        [names[workspace] for workspace in terms],
        [[row[workspace] for workspace in terms] for row in records],
    )
    measure("with JSON and media", names, records)


def measure(what: str, names: list[str], records: list[list[Any]]) -> None:
    plan = compile_plan(names, DarwinCore(dwc_extension_fields={"Associated Media": MEDIA}))
    times = []
    for _ in range(RUNS):
        began = time.process_time()
        size = sum(len(content) for _, content in encode_records(plan, records))
        times.append(time.process_time() - began)
    seconds = sorted(times)[RUNS // 2]
    print(f"{what}: {len(names)} fields, {len(records) / seconds:,.0f} rows/s, {size / seconds / 1e6:.0f} MB/s")


def arrived(value: Any) -> Any:
    """A value as it comes out of an answer of CKAN's."""
    return Number(str(value)) if isinstance(value, Decimal | float) else value


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 100_000)
