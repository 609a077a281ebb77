"""Make the pictures of the README from the running program:  python docs/images/make.py [DIRECTORY]

A small CKAN, a receiver and a worker run on this machine, for one request; Chromium takes the pictures of its job page,
of the dashboard, and of a report, for which a year of statistics, failures and workers are made up.
"""

import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode
from urllib.request import urlopen

from PIL import Image

from ckanpackager.config.load import load_settings
from ckanpackager.demo import sample
from ckanpackager.demo.ckan_api import CkanApi, Resource
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.parameters import request_from
from ckanpackager.spool import worker_slots
from ckanpackager.spool.queue import Spool
from ckanpackager.statistics import open_statistics

JOB_PAGE = ("720,415", 2)  # the size of the window, and device pixels per pixel
DASHBOARD = ("1180,1185", 1)
REPORT = ("1180,1050", 1)
SCHEMES = {"dark": 0, "light": 1}  # Chromium's numbers of the preferred colour scheme
COLOURS = 64  # of a picture: text on one ground needs no more, and the file is small
SECRET = "a secret of the pictures"  # of a server that ends in a moment
SITE, RESOURCE = "http://data.example.org", "b3f1d6a0-6d5f-4d0e-9a59-4e36c1f0a9d4"
RESOURCES = ("specimens", "index-lots", "artefacts", RESOURCE, "sound-recordings")
DOMAINS = ("uni.example.edu", "museum.example.org", "uni.example.edu", "agency.example", "mail.example.com")
FORMATS = ("csv", "xlsx", "csv", "ndjson")
FAILURES = (
    "data.example.org answered 502 Bad Gateway for 2 days; ask its administrators",
    "data.example.org: there is no such resource",
)
CONFIGURATION = f"""\
secret: {SECRET}
download_url: https://packager.example.org/archives
mail_transport: maildir
"""


def make(directory: Path) -> None:
    """Write job-page-light.png, job-page-dark.png, and the same of the dashboard and of the report."""
    with tempfile.TemporaryDirectory(prefix="ckanpackager-pictures-") as name:
        place = Path(name)
        (place / "ckanpackager.yaml").write_text(CONFIGURATION)
        table = Resource(sample.FIELDS, list(sample.rows(5000)))
        with CkanApi({RESOURCE: table}) as api, receiver(place) as address:
            job = request(address)
            proxied = {**os.environ, "http_proxy": api.url}  # so that this CKAN is the one at SITE
            subprocess.run(command(place, "process"), cwd=place, env=proxied, check=True)
            for scheme in SCHEMES:
                picture = photograph(f"{address}/jobs/{job}", scheme, place, *JOB_PAGE)
                picture.save(directory / f"job-page-{scheme}.png", optimize=True)
            with busy(place):
                url = f"{address}/dashboard".replace("//", f"//admin:{quote(SECRET)}@")
                for scheme in SCHEMES:
                    picture = photograph(url, scheme, place, *DASHBOARD)
                    picture.save(directory / f"dashboard-{scheme}.png", optimize=True)
                (place / "ckanpackager.yaml").write_text(f"{CONFIGURATION}portal_name: Museum Data Portal\n")
                first = f"{date.today() - timedelta(days=364)}"
                subprocess.run(command(place, "-q", "report", "report.html", "--since", first), cwd=place, check=True)
                for scheme in SCHEMES:
                    picture = photograph((place / "report.html").as_uri(), scheme, place, *REPORT)
                    picture.save(directory / f"report-{scheme}.png", optimize=True)


def command(place: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "ckanpackager", "--config", str(place / "ckanpackager.yaml"), *words]


@contextmanager
def receiver(place: Path) -> Iterator[str]:
    """A running `ckanpackager serve`; its address."""
    words = command(place, "serve", "--port", "0")
    with subprocess.Popen(words, cwd=place, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        said = process.stderr.readline()
        try:
            found = re.search(r"http://[^\s/]+", said)
            if found is None:
                raise RuntimeError(f"the receiver did not start: {said}")
            yield found[0]
        finally:
            process.terminate()


def request(address: str) -> str:
    """Queue a job as a portal does; its id."""
    asked = {"secret": SECRET, "resource_id": RESOURCE, "email": "ann@example.org"}
    asked["api_url"] = f"{SITE}/api/3/action/datastore_search"
    with urlopen(f"{address}/package_datastore", urlencode(asked).encode(), timeout=30) as response:
        return str(json.load(response)["job"])


@contextmanager
def busy(place: Path) -> Iterator[None]:
    """Make up a year of statistics, jobs that wait, workers at work, and failures."""
    settings = load_settings(place / "ckanpackager.yaml", {})
    spool, now, chance = Spool(Path(settings.spool.spool_directory)), time.time(), random.Random(7)
    with open_statistics(settings.statistics) as statistics:
        for day in range(365):
            for number in range(chance.randrange(2, 6) if (day + 3) % 7 > 1 else 1):
                rows, resource = int(10 ** chance.uniform(2, 6)), RESOURCES[int(chance.triangular(0, 4.99, 0))]
                statistics.record_request(
                    job=f"{day}-{number}",
                    resource_id=resource,
                    email=f"someone@{chance.choice(DOMAINS)}",
                    count=rows,
                    size=rows * 70,
                    format=chance.choice(FORMATS),
                    task="package_datastore",
                    now=now - day * 86400,
                )
            if day % 9 == 2:
                kind = chance.choice(["site", "refused", "site", "network"])
                known = {"resource_id": RESOURCES[0], "email": "someone@uni.example.edu", "message": "x", "kind": kind}
                statistics.record_error(job=f"e{day}", now=now - day * 86400, **known)
    jobs = [enqueue(spool, now - 3000 + 400 * number, number) for number in range(7)]
    claims = [claim for job in jobs[:4] if (claim := spool.claim(job, "slow") or spool.claim(job, "fast"))]
    for claim, reason in zip(claims, FAILURES, strict=False):
        claim.fail(failure=reason)
    for claim, slot, rows in ((claims[2], "fast", 812_000), (claims[3], "slow", 391_500)):
        held = worker_slots.acquire(spool.directory / "workers", "fast" if slot == "fast" else "slow", 1)
        if held is None:
            raise RuntimeError("a worker slot is taken")
        since = now - 95
        held.write_progress(
            worker_slots.Worker(worker="packager:4711", job=claim.job.id, since=since, rows=rows, expected=1_240_000)
        )
    yield


def enqueue(spool: Spool, created: float, number: int) -> str:
    parameters = {"api_url": f"{SITE}/api/3/action/datastore_search", "resource_id": RESOURCES[number % 5]}
    wanted = {"format": FORMATS[number % 3], "limit": 1000 if number % 2 else 0, "email": "ann@example.org"}
    request = request_from("package_datastore", {**parameters, **wanted})
    return spool.enqueue(Job(request=request, created=created, queue=request.queue(50_000)))


def photograph(url: str, scheme: str, place: Path, window: str, scale: int) -> Image.Image:
    """A picture of a page as Chromium shows it to who prefers this colour scheme."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        raise SystemExit("Chromium is not installed: apt-get install chromium")
    shot = place / f"{scheme}.png"
    options = [
        "--headless",
        "--no-sandbox",  # which root has to do without; the page is our own
        "--disable-gpu",
        "--hide-scrollbars",
        "--no-first-run",
        "--disable-background-networking",
        f"--user-data-dir={place / 'profile'}",
        f"--window-size={window}",
        f"--force-device-scale-factor={scale}",
        f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
        f"--screenshot={shot}",
    ]
    environ = {**os.environ, "HOME": str(place)}
    subprocess.run([browser, *options, url], env=environ, capture_output=True, timeout=200, check=True)
    with Image.open(io.BytesIO(shot.read_bytes())) as image:
        return image.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE)


if __name__ == "__main__":
    make(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent)
