"""Measure packaging as CSV: wall and CPU seconds, peak memory, ZIP size; beside a plain client and the floor.

    python -m bench.packaging [ROWS ...]        default: 100000 1000000 3000000

Everything runs in this one go against the same fake CKAN; trust the ratios, not the digits.
"""

import compileall
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

CONFIGURATION = """\
download_url: https://data.example.org/downloads
mail_transport: maildir
"""


class Measured(NamedTuple):
    """One run of a process."""

    way: str
    rows: int
    wall: float
    cpu: float
    peak: float
    zip: float | None


def main(sizes: list[int]) -> None:
    compileall.compile_dir("ckanpackager", quiet=1)  # an installation has bytecode
    measured = []
    for rows in sizes:
        measured += measure(rows)
    headers = ["way", "rows", "wall s", "CPU s", "peak MB", "ZIP MB"]
    print(tabulate([(*m[:2], *m[2:]) for m in measured], headers=headers, floatfmt=".1f", intfmt=","))
    print()
    for rows in sizes:
        ours, plain, floor = (next((m.cpu for m in measured if m.rows == rows and m.way == way), 0) for way in WAYS)
        ratio = f"{plain / ours:.1f} times less CPU than the plain client, " if plain else ""
        print(f"{rows:,} rows: {ratio}{ours / floor:.1f} times the floor")


WAYS = ("ckanpackager", "plain client", "floor")
PLAIN_UP_TO = 1_000_000  # rows: beyond that the plain client only costs patience


def measure(rows: int) -> list[Measured]:
    """Every way, against a server of that many rows."""
    with (
        tempfile.TemporaryDirectory(prefix="ckanpackager-bench-") as directory,
        subprocess.Popen([sys.executable, "-m", "bench.fake_ckan", str(rows)], stdout=subprocess.PIPE) as server,
    ):
        assert server.stdout
        try:
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/api/3/action/datastore_search"
            return _ways(Path(directory), url, rows)
        finally:
            server.kill()


def _ways(directory: Path, url: str, rows: int) -> list[Measured]:
    (directory / "ckanpackager.yaml").write_text(CONFIGURATION)
    command = [sys.executable, "-m", "ckanpackager", "--config", str(directory / "ckanpackager.yaml")]
    words = [f"api_url:{url}", "resource_id:bench", "email:bench@example.org"]
    subprocess.run([*command, "-q", "queue", "package_datastore", *words], check=True)
    measured = [run("ckanpackager", rows, [*command, "process"])]
    (archive,) = (directory / "store").rglob("*.zip")
    measured[0] = measured[0]._replace(zip=archive.stat().st_size / 1e6)
    if rows <= PLAIN_UP_TO:
        plain = directory / "plain.zip"
        measured.append(run("plain client", rows, [sys.executable, "-m", "bench.plain_client", url, "x", str(plain)]))
        measured[-1] = measured[-1]._replace(zip=plain.stat().st_size / 1e6)
    measured.append(run("floor", rows, [sys.executable, "-m", "bench.floor", url, "x"]))
    return measured


def run(way: str, rows: int, command: list[str]) -> Measured:
    """Run a process to its end and ask the kernel what it took."""
    began = time.monotonic()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{way} failed with exit code {process.returncode}")
    return Measured(way, rows, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, None)


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [100_000, 1_000_000, 3_000_000])
