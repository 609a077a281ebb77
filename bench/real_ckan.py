"""Measure packaging from a real CKAN beside its own dump: wall and CPU seconds, in turn, in the same run.

    python -m bench.real_ckan BASE_URL RESOURCE [RUNS] [PARAM:VALUE ...]

The dump comes by curl and is compressed by zip, both from Debian.  Of the rows, the body is compared with the dump's.
`--postgres PID` adds the CPU seconds of the processes of a PostgreSQL server, whose first process that is.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tabulate import tabulate

from bench.packaging import CONFIGURATION, Measured, run

BLOCK = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("base_url")
    parser.add_argument("resource")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--postgres", type=int)
    parser.add_argument("--compare", action="store_true", help="compare the body with the dump's")
    parser.add_argument("--key", action="append", default=[], help="a line of the configuration")
    options = parser.parse_args()
    ours: list[float] = []
    dumps: list[float] = []
    lines: list[tuple[object, ...]] = []
    with tempfile.TemporaryDirectory(prefix="ckanpackager-bench-") as directory:
        for number in range(options.runs):
            for way, measure, into in (("ckanpackager", _ours, ours), ("curl dump | zip", _dump, dumps)):
                before = _postgres_cpu(options.postgres)
                measured = measure(Path(directory), options, number)
                into.append(measured.wall)
                postgres = _postgres_cpu(options.postgres) - before
                lines.append((way, measured.wall, measured.cpu, measured.peak, measured.zip, postgres))
        print(
            tabulate(lines, headers=["way", "wall s", "CPU s", "peak MB", "ZIP MB", "PostgreSQL CPU s"], floatfmt=".1f")
        )
        ratios = [ours[n] / dumps[n] for n in range(options.runs)]
        print(f"ratios: {', '.join(f'{ratio:.2f}' for ratio in ratios)}; median {statistics.median(ratios):.2f}")
        if options.compare:
            print("the body equals the dump's:", _equal(Path(directory)))


def _ours(directory: Path, options: argparse.Namespace, number: int) -> Measured:
    home = directory / f"ours-{number}"
    home.mkdir()
    (home / "ckanpackager.yaml").write_text(CONFIGURATION + "\n".join(options.key) + "\n")
    command = [sys.executable, "-m", "ckanpackager", "-q", "--config", str(home / "ckanpackager.yaml")]
    url = f"{options.base_url}/api/3/action/datastore_search"
    words = [f"api_url:{url}", f"resource_id:{options.resource}", "email:bench@example.org"]
    subprocess.run([*command, "queue", "-D", "package_datastore", *words], check=True)
    measured = run("ckanpackager", 0, [*command, "process"])
    (archive,) = (home / "store").rglob("*.zip")
    archive.replace(directory / "ours.zip")
    return measured._replace(zip=(directory / "ours.zip").stat().st_size / 1e6)


def _dump(directory: Path, options: argparse.Namespace, number: int) -> Measured:
    target = directory / "dump.zip"
    target.unlink(missing_ok=True)
    script = f"curl -sf {options.base_url}/datastore/dump/{options.resource} | zip -q {target} -"
    measured = run("curl dump | zip", 0, ["/bin/sh", "-c", script])
    return measured._replace(zip=target.stat().st_size / 1e6)


def _equal(directory: Path) -> bool:
    """Whether both tables are the same, but for the line end of the header, which is \\r\\n in the dump."""
    with zipfile.ZipFile(directory / "ours.zip") as ours, zipfile.ZipFile(directory / "dump.zip") as dump:
        name = next(name for name in ours.namelist() if name.endswith("resource.csv"))
        with ours.open(name) as one, dump.open("-") as other:
            if one.readline().rstrip(b"\n") != other.readline().rstrip(b"\r\n").removeprefix(b"\xef\xbb\xbf"):
                return False
            while block := one.read(BLOCK):
                if block != other.read(BLOCK):
                    return False
            return other.read(1) == b""


def _postgres_cpu(first: int | None) -> float:
    """CPU seconds of a PostgreSQL server's processes, those that have ended included."""
    if first is None:
        return 0.0
    ticks = 0
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                fields = (process / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(process.name) == first:
                ticks += sum(map(int, fields[11:15]))
            elif int(fields[1]) == first:
                ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
