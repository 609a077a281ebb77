"""How long the dashboard takes when there is much to tell, in SQLite and in PostgreSQL.

    python -m bench.dashboard [ROWS]        default: 1000000

A year of requests, one error in a hundred of them, 10,000 waiting and 1,000 failed jobs, 1,000 archives.
PostgreSQL is Debian's, started on a free port for as long as this runs.
"""

import base64
import cProfile
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import yaml
from sqlalchemy import create_engine, text
from support.servers import postgresql
from support.wsgi_client import call

from ckanpackager.config.load import load_settings
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.parameters import request_from
from ckanpackager.receiver.application import make_application
from ckanpackager.spool.queue import Spool
from ckanpackager.statistics import open_statistics

WAITING, FAILED, ARCHIVES = 10_000, 1_000, 1_000
YEAR = 365 * 86400
_SERIES = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) ",
    "postgresql": "",
}
_FROM = {"sqlite": "n", "postgresql": "generate_series(CAST(1 AS bigint), {rows}) AS i"}
REQUESTS = (
    "INSERT INTO requests (timestamp, resource_id, email, domain, count, format, bytes, task, job) SELECT "
    "{now} - (i * 7919) % {year}, 'resource-' || ((i * 31) % 5000), 'p' || ((i * 17) % 100000) || '@x.org', "
    "'domain-' || ((i * 13) % 300) || '.example', i % 100000, CASE i % 3 WHEN 0 THEN 'csv' WHEN 1 THEN 'xlsx' "
    "ELSE 'dwca' END, 100 * (i % 100000), 'package_datastore', 'job-' || i FROM {source}"
)
ERRORS = (
    "INSERT INTO errors (timestamp, resource_id, email, domain, message, kind, job) SELECT "
    "{now} - (i * 7919) % {year}, 'resource-' || ((i * 31) % 5000), 'p@x.org', 'x.org', 'm', "
    "CASE i % 2 WHEN 0 THEN 'site' ELSE 'refused' END, "
    "'error-' || i FROM {source}"
)


def fill_spool(spool: Spool) -> None:
    spool.prepare()
    parameters = {"api_url": "https://x.org/api/3/action/datastore_search", "resource_id": "r", "email": "a@x.org"}
    request, now = request_from("package_datastore", parameters), time.time()
    for number in range(WAITING + FAILED):
        failed = number >= WAITING
        job = Job(request=request, created=now - number, queue="slow", failure="the site failed" if failed else None)
        id = spool.enqueue(job)
        if failed:
            spool.files.path("slow", id).rename(spool.files.path("failed", id))


def fill_store(store: Path) -> None:
    for number in range(ARCHIVES):
        folder = store / f"{number:032x}-{number:032x}"
        folder.mkdir(parents=True)
        (folder / "x.zip").write_bytes(b"x" * 100)


def fill_statistics(url: str, rows: int) -> None:
    dialect = url.partition(":")[0].partition("+")[0]
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement, number in ((REQUESTS, rows), (ERRORS, rows // 100)):
            source = _FROM[dialect].format(rows=number)
            values = {"now": int(time.time()), "year": YEAR, "source": source}
            connection.execute(text(_SERIES[dialect].format(rows=number) + statement.format(**values)))
    engine.dispose()


def measure(url: str, rows: int, directory: Path) -> None:
    file = directory / "ckanpackager.yaml"
    values = {"stats_db": url, "secret": "bench", "mail_transport": "maildir", "download_url": "http://x"}
    file.write_text(yaml.safe_dump(values))
    settings = load_settings(file, {})
    open_statistics(settings.statistics).close()
    fill_statistics(url, rows)
    application = make_application(settings)
    password = base64.b64encode(b"x:bench").decode()

    def dashboard() -> None:
        answer = call(application, "/dashboard", validate=False, HTTP_AUTHORIZATION=f"Basic {password}")
        assert answer.status == 200 and "Not known" not in answer.text, answer.text[:3000]

    taken = []
    for _ in range(15):
        began = time.perf_counter()
        dashboard()
        taken.append((time.perf_counter() - began) * 1000)
    shown = f"first {taken[0]:.0f} ms, median {median(taken):.0f} ms, most later {max(taken[1:]):.0f} ms"
    print(f"{url.partition(':')[0]}: {rows:,} requests: {shown}", flush=True)
    if "--profile" in sys.argv:
        cProfile.runctx("dashboard()", {}, {"dashboard": dashboard}, sort="cumulative")


def main() -> None:
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    rows = numbers[0] if numbers else 1_000_000
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        fill_spool(Spool(place / "spool"))
        fill_store(place / "store")
        print(f"{WAITING:,} waiting, {FAILED:,} failed jobs, {ARCHIVES:,} archives", flush=True)
        measure(f"sqlite:///{directory}/stats.db", rows, place)
        with postgresql() as url:
            measure(f"{url}postgres", rows, place)


if __name__ == "__main__":
    main()
