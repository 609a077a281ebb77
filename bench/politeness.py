"""Measure what packaging costs other people: how long a small question to a real CKAN takes meanwhile.

    python -m bench.politeness BASE_URL RESOURCE [--rounds 2]

A second client asks for ten rows, five times a second, while a worker packages the resource with one setting after the
other, and while none does.  Rounds are in turn, so that what else runs on the machine touches all alike.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import requests
from tabulate import tabulate

from bench.packaging import CONFIGURATION

PAUSE = 0.2  # seconds between two questions
WAYS = {
    "nothing": None,
    "two pages at once (the default)": "page_requests: 2",
    "one page at a time": "page_requests: 1",
    "ckan_share: 0.5": "ckan_share: 0.5",
    "ckan_share: 0.25": "ckan_share: 0.25",
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("base_url")
    parser.add_argument("resource")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    latencies: dict[str, list[float]] = {way: [] for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(options.rounds):
        for way, line in WAYS.items():
            took, found = _one(options.base_url, options.resource, line)
            seconds[way].append(took)
            latencies[way] += found
    lines = []
    for way in WAYS:
        found = sorted(latencies[way])
        middle, late = statistics.median(found), found[int(len(found) * 0.95)]
        lines.append((way, statistics.median(seconds[way]), len(found), middle * 1000, late * 1000))
    headers = ["packaging", "wall s", "questions", "median ms", "95 % within ms"]
    print(tabulate(lines, headers=headers, floatfmt=("", ".0f", "", ".0f", ".0f")))


def _one(base_url: str, resource: str, line: str | None) -> tuple[float, list[float]]:
    """The seconds that the packaging took, and each question."""
    url, found, ended = f"{base_url}/api/3/action/datastore_search", [], threading.Event()

    def ask() -> None:
        session = requests.Session()
        while not ended.is_set():
            began = time.monotonic()
            session.post(url, json={"resource_id": resource, "limit": 10, "include_total": False}, timeout=60)
            found.append(time.monotonic() - began)
            ended.wait(PAUSE)

    asking = threading.Thread(target=ask)
    asking.start()
    began = time.monotonic()
    try:
        if line is None:
            time.sleep(15)
        else:
            _package(url, resource, line)
    finally:
        ended.set()
        asking.join()
    return time.monotonic() - began, found


def _package(url: str, resource: str, line: str) -> None:
    with tempfile.TemporaryDirectory(prefix="ckanpackager-bench-") as directory:
        file = Path(directory) / "ckanpackager.yaml"
        file.write_text(f"{CONFIGURATION}{line}\n")
        command = [sys.executable, "-m", "ckanpackager", "-q", "--config", str(file)]
        words = [f"api_url:{url}", f"resource_id:{resource}", "email:bench@example.org"]
        subprocess.run([*command, "queue", "-D", "package_datastore", *words], check=True)
        subprocess.run([*command, "process"], check=True)


if __name__ == "__main__":
    main()
