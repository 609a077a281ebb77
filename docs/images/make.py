"""Make the pictures of the README from the running program:  python docs/images/make.py [DIRECTORY]

A small CKAN, a receiver and a worker run on this machine, for one request; Chromium takes the pictures of its job page.
"""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

from PIL import Image

from ckanpackager.demo import sample
from ckanpackager.demo.ckan_api import CkanApi, Resource

WIDTH, HEIGHT, SCALE = 720, 415, 2
SCHEMES = {"dark": 0, "light": 1}  # Chromium's numbers of the preferred colour scheme
COLOURS = 64  # of a picture: text on one ground needs no more, and the file is small
SECRET = "a secret of the pictures"  # of a server that ends in a moment
SITE, RESOURCE = "http://data.example.org", "b3f1d6a0-6d5f-4d0e-9a59-4e36c1f0a9d4"
CONFIGURATION = f"""\
secret: {SECRET}
download_url: https://packager.example.org/archives
mail_transport: maildir
"""


def make(directory: Path) -> None:
    """Write job-page-light.png and job-page-dark.png."""
    with tempfile.TemporaryDirectory(prefix="ckanpackager-pictures-") as name:
        place = Path(name)
        (place / "ckanpackager.yaml").write_text(CONFIGURATION)
        table = Resource(sample.FIELDS, list(sample.rows(5000)))
        with CkanApi({RESOURCE: table}) as api, receiver(place) as address:
            job = request(address)
            proxied = {**os.environ, "http_proxy": api.url}  # so that this CKAN is the one at SITE
            subprocess.run(command(place, "process"), cwd=place, env=proxied, check=True)
            for scheme in SCHEMES:
                picture = photograph(f"{address}/jobs/{job}", scheme, place)
                picture.save(directory / f"job-page-{scheme}.png", optimize=True)


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


def photograph(url: str, scheme: str, place: Path) -> Image.Image:
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
        f"--window-size={WIDTH},{HEIGHT}",
        f"--force-device-scale-factor={SCALE}",
        f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
        f"--screenshot={shot}",
    ]
    environ = {**os.environ, "HOME": str(place)}
    subprocess.run([browser, *options, url], env=environ, capture_output=True, timeout=200, check=True)
    with Image.open(io.BytesIO(shot.read_bytes())) as image:
        return image.convert("RGB").quantize(COLOURS)


if __name__ == "__main__":
    make(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent)
