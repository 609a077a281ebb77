"""A year of made-up statistics, the same each time: for pictures, and to look at charts and reports.

python tests/support/sample_statistics.py sqlite:////tmp/stats.db [END]     END: a day as 2026-11-25
"""

import random
import sys
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import create_engine, insert

from ckanpackager.config.settings import Statistics
from ckanpackager.statistics import open_statistics
from ckanpackager.statistics.schema import ERRORS, REQUESTS

DAY = 86400
DAYS = 365
DOMAINS = ("mail.example.com", "example.ac.uk", "museum.example.org", "example.edu", "uni.example.de", "example.gov.br")
FORMATS = {"csv": 60, "xlsx": 18, "dwca": 10, None: 6, "tsv": 4, "ndjson": 1, "parquet": 1}
KINDS = {"refused": 40, "site": 20, "network": 12, "data": 8, "bounds": 8, "mail": 8, "storage": 3, "internal": 1}


def fill(url: str, end: date, seed: int = 1) -> None:
    """Put the year before a day, and that day, into a new database."""
    chance = random.Random(seed)
    first = datetime(end.year, end.month, end.day, tzinfo=UTC).timestamp() - (DAYS - 1) * DAY
    resources = [str(UUID(int=chance.getrandbits(128), version=4)) for _ in range(60)]
    requests: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for day in range(DAYS):
        start = int(first) + day * DAY
        busy = (0.35 if datetime.fromtimestamp(start, UTC).weekday() > 4 else 1) * (0.6 + day / DAYS)
        for _ in range(chance.randrange(5, int(60 * busy) + 6)):
            common = _common(chance, start, resources)
            if chance.random() < 0.04:
                kind = chance.choices([*KINDS], [*KINDS.values()])[0]
                errors.append({**common, "message": "made up", "kind": kind, "job": f"e{len(errors)}"})
            else:
                requests.append({**common, **_request(chance), "job": f"r{len(requests)}"})
    with open_statistics(Statistics(stats_db=url)):
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(insert(REQUESTS), requests)
            connection.execute(insert(ERRORS), errors)
        engine.dispose()


def _common(chance: random.Random, start: int, resources: list[str]) -> dict[str, Any]:
    domain = chance.choices(DOMAINS, [40, 20, 12, 8, 6, 3])[0]
    if chance.random() < 0.2:
        domain = f"institute{chance.randrange(40)}.example.net"
    resource = resources[min(int(chance.expovariate(0.12)), len(resources) - 1)]
    when = start + chance.randrange(DAY)
    return {"timestamp": when, "resource_id": resource, "email": f"p{chance.randrange(900)}@{domain}", "domain": domain}


def _request(chance: random.Random) -> dict[str, Any]:
    format = chance.choices([*FORMATS], [*FORMATS.values()])[0]
    task = {"dwca": "package_dwc_archive", None: "package_url"}.get(format, "package_datastore")
    rows = None if task == "package_url" else int(chance.lognormvariate(9, 2.2))
    return {"format": format, "task": task, "count": rows, "bytes": (rows or chance.randrange(10**6)) * 31 + 900}


if __name__ == "__main__":
    fill(sys.argv[1], date.fromisoformat(sys.argv[2]) if sys.argv[2:] else datetime.now(UTC).date())
