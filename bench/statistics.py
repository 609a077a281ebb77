"""How long totals, figures, a report and /status take when the statistics are large, in SQLite and in PostgreSQL.

    python -m bench.statistics [ROWS]        default: 1000000

PostgreSQL is Debian's, started on a free port for as long as this runs.
The rows are spread over a year, 5,000 resources, 500 domains and 100,000 requesters.
"""

import io
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from sqlalchemy import create_engine, text
from support.servers import postgresql

from ckanpackager.config.load import load_settings
from ckanpackager.config.settings import Portal
from ckanpackager.receiver.application import make_application
from ckanpackager.report.contents import read
from ckanpackager.report.page import page
from ckanpackager.statistics import StatisticsDatabase, open_statistics
from ckanpackager.statistics.periods import last_days, last_months, period_of

END = 1_795_600_000  # seconds since 1970: 25 November 2026
YEAR = 365 * 86400  # seconds
COLUMNS = "timestamp, resource_id, email, domain, count, bytes, format, task, job"
VALUES = (
    f"{END} - CAST(i * {YEAR}.0 / {{rows}} AS BIGINT), 'resource-' || ({{chance}} % 5000), "
    "'person' || ({chance} % 100000) || '@x.org', 'domain-' || ({chance} % 500) || '.example', i, i * 50, "
    "CASE {chance} % 3 WHEN 0 THEN 'csv' WHEN 1 THEN 'xlsx' END, 'package_datastore', 'job-' || i"
)
ROWS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) "
    f"INSERT INTO requests ({COLUMNS}) SELECT {VALUES} FROM n".replace("{chance}", "abs(random())"),
    "postgresql": f"INSERT INTO requests ({COLUMNS}) SELECT {VALUES} FROM generate_series(1, {{rows}}) AS i".replace(
        "{chance}", "(random() * 1000000000)::int"
    ),
}


def milliseconds(work: Callable[[], Any], times: int = 15) -> str:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1000)
    return f"median {median(taken):.1f} ms, least {min(taken):.1f} ms"


def measure(url: str, rows: int, directory: Path) -> None:
    file = directory / "ckanpackager.yaml"
    file.write_text(
        yaml.safe_dump({"stats_db": url, "secret": "bench", "mail_transport": "maildir", "download_url": "http://x"})
    )
    settings = load_settings(file, {})
    dialect = url.partition(":")[0].partition("+")[0]
    open_statistics(settings.statistics).close()
    engine = create_engine(url)
    began = time.perf_counter()
    with engine.begin() as connection:
        connection.execute(text(ROWS[dialect].format(rows=rows)))
    print(f"{dialect}: {rows:,} rows written in {time.perf_counter() - began:.1f} s, totals kept meanwhile")
    with open_statistics(settings.statistics) as statistics:
        number = iter(range(10**9))

        def insert() -> None:
            statistics.record_request(job=f"j{next(number)}", resource_id="r", email="a@b.org", count=1, now=1)

        print(f"  totals of all resources    {milliseconds(statistics.totals)}")
        print(f"  totals of one resource     {milliseconds(lambda: statistics.totals('resource-7'))}")
        print(f"  a request recorded         {milliseconds(insert)}")
        measure_figures(statistics)
    application = make_application(settings)

    def status() -> None:
        body = b"secret=bench"
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/status",
            "CONTENT_TYPE": "application/x-www-form-urlencoded",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        }
        answer = json.loads(b"".join(application(environ, lambda *_: lambda _: None)))
        assert answer["processed_requests"] >= rows, answer

    print(f"  /status, database opened   {milliseconds(status)}")
    began = time.perf_counter()
    with engine.begin() as connection:
        connection.execute(text("SELECT resource_id, count(*), count(DISTINCT lower(email)) FROM requests GROUP BY 1"))
    print(f"  counted from the rows      {(time.perf_counter() - began) * 1000:.0f} ms (by resource alone)")
    engine.dispose()


def measure_figures(statistics: StatisticsDatabase) -> None:
    days, months = last_days(90, END), last_months(3, END)
    year = period_of("2026-01-01", None)
    print(f"  by day, 90 days            {milliseconds(lambda: statistics.figures(by='day', period=days))}")
    print(f"  by resource, 3 months      {milliseconds(lambda: statistics.figures('resource', period=months))}")
    print(f"  by resource, all           {milliseconds(lambda: statistics.figures('resource'))}")
    print(f"  by domain, 3 months        {milliseconds(lambda: statistics.figures('domain', period=months))}")
    print(f"  by format, 3 months        {milliseconds(lambda: statistics.figures('format', period=months))}")
    print(f"  the newest 100 requests    {milliseconds(statistics.requests)}")
    print("with different requesters, from the rows:")
    print(f"  all since January          {milliseconds(lambda: statistics.figures(period=year, emails=True), 3)}")
    by_resource = milliseconds(lambda: statistics.figures("resource", period=year, emails=True), 3)
    print(f"  by resource since January  {by_resource}")
    print(f"  a report since January     {milliseconds(lambda: page(read(statistics, year, END), Portal(), END), 3)}")


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as directory:
        measure(f"sqlite:///{directory}/stats.db", rows, Path(directory))
        with postgresql() as url:
            measure(f"{url}postgres", rows, Path(directory))


if __name__ == "__main__":
    main()
