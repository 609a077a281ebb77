"""How long totals and /status take when the statistics are large, in SQLite and in PostgreSQL.

    python -m bench.statistics [ROWS]        default: 1000000

PostgreSQL is Debian's, started on a free port for as long as this runs.
The rows are spread over 5,000 resources and 100,000 requesters.
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
from ckanpackager.receiver.application import make_application
from ckanpackager.statistics import open_statistics

ROWS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) "
    "INSERT INTO requests (timestamp, resource_id, email, domain, count, job) SELECT 1600000000 + i, "
    "'resource-' || (abs(random()) % 5000), 'person' || (abs(random()) % 100000) || '@Example.org', 'example.org', i, "
    "'job-' || i FROM n",
    "postgresql": "INSERT INTO requests (timestamp, resource_id, email, domain, count, job) SELECT 1600000000 + i, "
    "'resource-' || (random() * 5000)::int, 'person' || (random() * 100000)::int || '@Example.org', 'example.org', i, "
    "'job-' || i FROM generate_series(1, {rows}) AS i",
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


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as directory:
        measure(f"sqlite:///{directory}/stats.db", rows, Path(directory))
        with postgresql() as url:
            measure(f"{url}postgres", rows, Path(directory))


if __name__ == "__main__":
    main()
