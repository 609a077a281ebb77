"""Measure packaging in every format: rows a second, CPU seconds, peak memory, ZIP size.

    python -m bench.formats [ROWS ...] [FORMAT ...]         default: 100000, all formats

Each is a whole process, `ckanpackager process` with one job, against a fake CKAN that costs nothing; its start, some
0.6 CPU seconds, is in the numbers.  The Darwin Core Archive has the demo's media as an extension.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from tabulate import tabulate

from bench.packaging import CONFIGURATION, Measured, run

PARQUET = ("parquet",) if find_spec("pyarrow") else ()  # an extra
FORMATS = ("csv", "tsv", "ndjson", "xlsx", *PARQUET, "dwca")
MEDIA = """\
dwc_extension_fields:
  Associated Media:
    extension: multimedia
    fields: {type: StillImage, format: null, identifier: null, title: null, license: null}
"""


def main(sizes: Sequence[int], formats: Sequence[str]) -> None:
    measured = [measured for rows in sizes for measured in measure(rows, formats)]
    headers = ["format", "rows", "wall s", "CPU s", "peak MB", "ZIP MB", "rows/s"]
    lines = [(*each, each.rows / each.wall) for each in measured]
    formatted = ("", ",", ".1f", ".1f", ".0f", ".1f", ",.0f")
    print(tabulate(lines, headers=headers, floatfmt=formatted, intfmt=","))


def measure(rows: int, formats: Sequence[str]) -> list[Measured]:
    """Every format, against a server of that many rows."""
    with subprocess.Popen([sys.executable, "-m", "bench.fake_ckan", str(rows)], stdout=subprocess.PIPE) as server:
        assert server.stdout
        try:
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/api/3/action/datastore_search"
            return [_one(format, rows, url) for format in formats]
        finally:
            server.kill()


def _one(format: str, rows: int, url: str) -> Measured:
    with tempfile.TemporaryDirectory(prefix="ckanpackager-bench-") as directory:
        file = Path(directory) / "ckanpackager.yaml"
        file.write_text(CONFIGURATION + MEDIA)
        command = [sys.executable, "-m", "ckanpackager", "-q", "--config", str(file)]
        task = ["package_dwc_archive"] if format == "dwca" else ["package_datastore", f"format:{format}"]
        words = [f"api_url:{url}", "resource_id:bench", "email:bench@example.org"]
        subprocess.run([*command, "queue", "-D", *task, *words], check=True)
        measured = run(format, rows, [*command, "process"])
        (archive,) = (file.parent / "store").rglob("*.zip")
        return measured._replace(zip=archive.stat().st_size / 1e6)


if __name__ == "__main__":
    words = sys.argv[1:]
    main(
        [int(word) for word in words if word.isdecimal()] or [100_000],
        [word for word in words if not word.isdecimal()] or FORMATS,
    )
