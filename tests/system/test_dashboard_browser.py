"""The dashboard in Chromium: it fits a phone, it is dark at night, nothing is refused by its own policy, buttons work.

$CKANPACKAGER_SCREENSHOTS keeps the pictures.
"""

import base64
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image
from support.chromium import Browser, chromium
from support.html_pages import served
from support.programs import needs
from support.wsgi_client import WsgiClient

from ckanpackager.jobs.job import Attempt
from ckanpackager.spool import worker_slots

needs("chromium", debian="chromium")
PASSWORD = "pässword"
LONG = "https://data.example.org/" + "a-word-without-end" * 20
PAPER = {"light": (0xFF, 0xFF, 0xFF), "dark": (0x14, 0x18, 0x1D)}


class Shown(NamedTuple):
    """A browser at the dashboard of a service in which much goes on."""

    browser: Browser
    client: WsgiClient
    address: str
    failed: str
    waiting: str

    def open(self, *, width: int, scheme: str = "light", scripts: bool = True, query: str = "") -> None:
        self.browser.look_like(width=width, scheme=scheme, scripts=scripts)
        self.browser.open(f"{self.address}/dashboard{query}")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    directory = tmp_path_factory.mktemp("dashboard")
    client = WsgiClient(directory, dashboard_password=PASSWORD, contact="data@example.org")
    workspace, now = client.workspace, time.time()
    api = "https://data.example.org/api/3/action/datastore_search"
    ids = [workspace.queue(api, resource_id=LONG[:200], limit=1) for _ in range(9)]
    for id in ids[:4]:
        claim = workspace.spool.claim(id, "fast")
        assert claim
        claim.fail(failure=f"<script>alert(1)</script> {LONG}", key_removed=id == ids[0])
    claim = workspace.spool.claim(ids[4], "fast")
    assert claim
    claim.release(now + 5000, attempts=(Attempt(started=1, worker="w", error=LONG, outcome="retry"),))
    slot, held = worker_slots.acquire(client.spool / "workers", "fast", 1), workspace.spool.claim(ids[5], "fast")
    assert slot and held
    slot.write_progress(worker_slots.Worker(worker="w" * 80, job=ids[5], since=now, rows=10**9, expected=10**10))
    (client.spool / "alerts" / "mail").touch()
    with workspace.statistics() as statistics:
        for day in range(100):
            values = {"job": f"r{day}", "resource_id": f"{day % 9}{LONG}", "email": f"a@{day % 7}.example.org"}
            statistics.record_request(**values, count=10**day % 7, size=10**9, format="csv", now=now - day * 86400)
        statistics.record_error(job="e", resource_id="r", email="a@b.org", message="m", kind="site", now=now)
    with served(client.application) as address, chromium(directory) as browser:
        browser.send_header("Authorization", "Basic " + base64.b64encode(f"ann:{PASSWORD}".encode()).decode())
        yield Shown(browser, client, address, ids[3], ids[8])
        slot.close()
        held.close()


@pytest.mark.parametrize("scheme", PAPER)
@pytest.mark.parametrize("width", [360, 820, 1600])
def test_the_page_fits_every_screen_light_and_dark(shown: Shown, tmp_path: Path, width: int, scheme: str) -> None:
    shown.open(width=width, scheme=scheme)
    assert shown.browser.evaluate("document.querySelectorAll('svg.chart').length") == 8
    beyond = (
        "[...document.querySelectorAll('main *')].filter(element => !element.closest('g') && "
        "element.getBoundingClientRect().right > document.documentElement.clientWidth + 1).length"
    )
    assert shown.browser.evaluate("document.documentElement.scrollWidth") == width
    assert shown.browser.evaluate(beyond) == 0
    shown.browser.picture(picture := tmp_path / f"dashboard-{width}-{scheme}.png")
    if keep := os.environ.get("CKANPACKAGER_SCREENSHOTS"):
        (Path(keep) / picture.name).write_bytes(picture.read_bytes())
    with Image.open(picture) as image:
        colours = image.convert("RGB").getcolors(image.width * image.height)
    assert colours and max(colours)[1] == PAPER[scheme]
    assert shown.browser.complaints == []


def test_texts_and_bars_of_the_charts_stand_out_from_the_page(shown: Shown) -> None:
    """WCAG 1.4.3 and 1.4.11, for what programs cannot judge in a drawing: 4.5 for texts, 3 for bars."""
    for scheme, paper in PAPER.items():
        shown.open(width=820, scheme=scheme)
        for part, least in (("text", 4.5), (".bar rect", 3)):
            fill = shown.browser.evaluate(f"getComputedStyle(document.querySelector('.chart {part}')).fill")
            colour = tuple(int(number) for number in fill.removeprefix("rgb(").removesuffix(")").split(","))
            assert contrast(colour, paper) >= least, (scheme, part)


def contrast(*colours: tuple[int, ...]) -> float:
    """Of two colours, as WCAG 2 defines it."""

    def linear(share: float) -> float:
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4

    weights = (0.2126, 0.7152, 0.0722)
    lights = [sum(w * linear(c / 255) for w, c in zip(weights, colour, strict=True)) for colour in colours]
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_retry_works_without_scripts(shown: Shown) -> None:
    shown.open(width=360, scripts=False)
    shown.browser.click(f"form[action='dashboard/retry']:has(input[value='{shown.failed}']) button")
    shown.browser.wait_for("Page.loadEventFired")
    assert shown.browser.evaluate("location.pathname + location.search") == f"/dashboard?retry={shown.failed}"
    said = shown.browser.evaluate("document.querySelector('[role=status]').textContent")
    assert said == f"Job {shown.failed} waits again."
    assert shown.client.workspace.find(shown.failed)[0] == "fast"
    assert shown.browser.complaints == []


def test_cancel_asks_once_more_and_works_without_scripts(shown: Shown) -> None:
    shown.open(width=1600, scripts=False)
    details = f"details:has(input[value='{shown.waiting}'])"
    assert not shown.browser.evaluate(f"document.querySelector(`{details} button`).checkVisibility()")
    shown.browser.click(f"{details} summary")
    assert not shown.client.workspace.find(shown.waiting)[1].cancelled
    shown.browser.click(f"{details} button")
    shown.browser.wait_for("Page.loadEventFired")
    assert "is cancelled" in shown.browser.evaluate("document.querySelector('[role=status]').textContent")
    assert shown.client.workspace.find(shown.waiting)[1].cancelled


def test_what_cannot_be_done_is_a_page_with_a_way_back(shown: Shown) -> None:
    shown.open(width=360)
    shown.browser.evaluate("document.querySelector('[action=\"dashboard/retry\"] [name=token]').value = 'x'")
    shown.browser.click("form[action='dashboard/retry'] button")
    shown.browser.wait_for("Page.loadEventFired")
    assert "load the dashboard again" in shown.browser.evaluate("document.querySelector('main').textContent")
    assert shown.browser.evaluate("document.querySelector('main a').href") == f"{shown.address}/dashboard"
