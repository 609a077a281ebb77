"""How long a scrape of /metrics takes when there is much to measure.

    python -m bench.metrics [ROWS]        default: 1000000

A year of requests, 100,000 waiting and 1,000 failed jobs, 1,000 archives; statistics in SQLite.
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import yaml
from support.wsgi_client import call

from bench.dashboard import ARCHIVES, fill_statistics, fill_store
from ckanpackager.config.load import load_settings
from ckanpackager.jobs import job as jobs
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.parameters import request_from
from ckanpackager.receiver.application import make_application
from ckanpackager.spool.queue import Spool
from ckanpackager.statistics import open_statistics

WAITING, FAILED = 100_000, 1_000


def fill_spool(spool: Spool) -> None:
    """Job files, without waiting for the disk as `enqueue` does."""
    spool.prepare()
    parameters = {"api_url": "https://x.org/api/3/action/datastore_search", "resource_id": "r", "email": "a@x.org"}
    job = Job(request=request_from("package_datastore", parameters), created=time.time(), queue="slow")
    for folder, number in (("slow", WAITING), ("failed", FAILED)):
        for each in range(number):
            name = f"20261124T000000{each:06d}-{os.urandom(16).hex()}.json"
            (spool.directory / folder / name).write_bytes(jobs.encode(job))


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        directory, url = Path(name), f"sqlite:///{name}/stats.db"
        file = directory / "ckanpackager.yaml"
        file.write_text(yaml.safe_dump({"stats_db": url, "secret": "bench", "download_url": "http://x"}))
        settings = load_settings(file, {})
        fill_spool(Spool(directory / "spool"))
        fill_store(directory / "store")
        open_statistics(settings.statistics).close()
        fill_statistics(url, rows)
        application, wall, cpu = make_application(settings), [], []
        for _ in range(11):
            began, used = time.perf_counter(), time.process_time()
            answer = call(application, "/metrics", validate=False, HTTP_AUTHORIZATION="Bearer bench")
            wall.append((time.perf_counter() - began) * 1000)
            cpu.append((time.process_time() - used) * 1000)
            assert answer.status == 200 and 'queue="slow",state="waiting"} 100000' in answer.text
        print(f"{rows:,} requests, {WAITING:,} waiting, {FAILED:,} failed jobs, {ARCHIVES:,} archives:")
        print(f"median {median(wall):.0f} ms, of which CPU {median(cpu):.0f} ms; first {wall[0]:.0f} ms")


if __name__ == "__main__":
    main()
