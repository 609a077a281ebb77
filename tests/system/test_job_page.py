"""The page of a job: what it says in each state, what it does not say, and how it looks in a browser."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.html_pages import Reading, served
from support.programs import needs
from support.workspace import PATIENCE
from support.wsgi_client import REQUESTS, Answer, WsgiClient

from ckanpackager.jobs.job import Archive, Attempt
from ckanpackager.spool import worker_slots
from ckanpackager.spool.claim import Claim

XSS = "<script>alert(1)</script>\"'&{title}%s"
NAME = "0" * 32 + "-" + "1" * 32 + ".zip"
SECURITY = ("Content-Security-Policy", "X-Frame-Options", "Referrer-Policy")


@pytest.fixture
def client(tmp_path: Path) -> WsgiClient:
    return WsgiClient(tmp_path, keep_archives=2)


def queue(client: WsgiClient, **parameters: Any) -> str:
    """A waiting job."""
    answer = client.post("/package_datastore", **{**REQUESTS["package_datastore"], "limit": 1, **parameters})
    id: str = answer.json["job"]
    return id


def claim(client: WsgiClient, id: str) -> Claim:
    found = client.workspace.spool.claim(id, "fast")
    assert found
    return found


def finish(client: WsgiClient, id: str, *, published: float | None = None, **archive: Any) -> None:
    known = {"name": NAME, "size": 1234567, "rows": 4321, "published": published or time.time(), **archive}
    claim(client, id).finish(archive=Archive(**known))


def page(answer: Answer, status: int = 200) -> Reading:
    assert (answer.status, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert "ann@example.org" not in answer.text
    assert all(answer.headers[name] for name in SECURITY)
    assert answer.headers["Vary"] == "Accept"
    return Reading(answer.text)


def both(client: WsgiClient, id: str) -> tuple[Reading, dict[str, Any]]:
    """The page and the JSON of a job."""
    answer = client.get(f"/jobs/{id}", "application/json")
    assert "ann@example.org" not in answer.text
    known: dict[str, Any] = answer.json
    assert (answer.status, known["success"], known["status"], known["job"]) == (200, True, "success", id)
    assert known["message"] == known["msg"]
    assert known["resource_id"] == "r"
    assert known["host"] == "ckan.example.org"
    assert abs(known["requested"] - time.time()) < 60
    return page(client.get(f"/jobs/{id}")), known


def test_waiting(client: WsgiClient) -> None:
    ids = [queue(client) for _ in range(3)]
    for id, ahead in zip(ids, ("", "1 request is ahead of yours.", "2 requests are ahead of yours."), strict=True):
        html, known = both(client, id)
        assert (known["state"], known["position"]) == ("waiting", ids.index(id))
        assert "Your request is waiting" in html.text
        assert ahead in html.text


def test_waiting_for_the_next_attempt(client: WsgiClient) -> None:
    id, until = queue(client), time.time() + 1000
    claim(client, id).release(until, attempts=(Attempt(started=1, worker="w", error="no", step="fetch"),))
    html, known = both(client, id)
    assert (known["state"], "position" in known) == ("waiting", False)
    assert abs(known["next_attempt"] - until) < 1
    assert "did not work yet" in html.text
    assert time.strftime("%H:%M UTC", time.gmtime(until)) in html.text


def test_running(client: WsgiClient) -> None:
    id = queue(client)
    slot = worker_slots.acquire(client.spool / "workers", "fast", 1)
    held = claim(client, id)
    assert slot
    html, known = both(client, id)  # nothing said yet
    assert (known["state"], "No rows so far" in html.text, html.found["progress"]) == ("running", True, 0)
    slot.write_progress(worker_slots.Worker(worker="w", job="another", since=0, rows=7))
    assert "rows" not in both(client, id)[1]
    slot.write_progress(worker_slots.Worker(worker="w", job=id, since=0, rows=1500))
    html, known = both(client, id)
    assert (known["rows"], known["expected"], "1,500 rows so far" in html.text) == (1500, None, True)
    slot.write_progress(worker_slots.Worker(worker="w", job=id, since=0, rows=1500, expected=6000))
    html, known = both(client, id)
    assert (known["rows"], known["expected"], "1,500 of 6,000 rows" in html.text) == (1500, 6000, True)
    assert {("progress", "value", "1500"), ("progress", "max", "6000")} <= set(html.attributes)
    slot.close()
    held.close()


def test_a_page_reloads_only_when_that_is_asked_for(client: WsgiClient) -> None:
    """WCAG 2.2.1: slow readers get the time that they need."""
    id = queue(client)
    html = page(client.get(f"/jobs/{id}"))
    assert ("meta", "http-equiv", "refresh") not in html.attributes
    assert ("a", "href", "?reload=yes") in html.attributes
    html = page(client.get(f"/jobs/{id}?reload=yes"))
    assert ("meta", "http-equiv", "refresh") in html.attributes
    assert ("a", "href", "?") in html.attributes


def test_done(client: WsgiClient) -> None:
    id = queue(client)
    finish(client, id, published=time.time(), notes=("One & all.",))
    html, known = both(client, id)
    url = f"https://data.example.org/dl/{NAME}"
    assert (known["state"], known["rows"], known["size"], known["download_url"]) == ("done", 4321, 1234567, url)
    assert abs(known["expires"] - time.time() - 2 * 86400) < 60
    assert known["notes"] == ["One & all."]
    assert ("a", "href", url) in html.attributes
    assert "4,321 rows, 1.2 MB" in html.text
    assert "One & all." in html.text
    assert time.strftime("%Y, %H:%M UTC", time.gmtime(known["expires"])) in html.text
    assert ("meta", "http-equiv", "refresh") not in html.attributes


@pytest.mark.parametrize(
    ("size", "rows", "words"),
    [(0, None, "0 bytes"), (999, 0, "0 rows, 999 bytes"), (1000, 1, "1 row, 1.0 kB"), (5e9, None, "5.0 GB")],
)
def test_sizes(client: WsgiClient, size: float, rows: int | None, words: str) -> None:
    id = queue(client)
    finish(client, id, size=int(size), rows=rows)
    assert words in both(client, id)[0].text


def test_expired(client: WsgiClient) -> None:
    id = queue(client)
    finish(client, id, published=time.time() - 2 * 86400 - 1)
    html, known = both(client, id)
    assert (known["state"], "download_url" in known, html.found["a"]) == ("expired", False, 0)
    assert "no longer available" in html.text


def test_failed(client: WsgiClient) -> None:
    id = queue(client)
    claim(client, id).fail(failure=f"CKAN said: {XSS}", archive=Archive(name=NAME, size=1, published=time.time()))
    html, known = both(client, id)
    assert (known["state"], known["message"], "download_url" in known) == ("failed", f"CKAN said: {XSS}", False)
    assert f"CKAN said: {XSS}" in html.text
    assert "has failed" in html.text


def test_failed_without_words(client: WsgiClient) -> None:
    id = queue(client)
    claim(client, id).fail()
    assert both(client, id)[1]["state"] == "failed"


def test_cancelled(client: WsgiClient) -> None:
    id = queue(client)
    claim(client, id).fail(cancelled=True)
    html, known = both(client, id)
    assert (known["state"], "was cancelled" in html.text) == ("cancelled", True)


STRANGE = ("../fast/readable", "..", "a/b", "%2e%2e", "\0", "\xff", "x" * 5000, "*", "<b>", "x\r\nSet-Cookie: a=b")


@pytest.mark.parametrize(
    "id", ["20261124T025758123456-5d41402abc4b2a76b9719d911017c592", "x", "x.json", "../../../etc/passwd", *STRANGE]
)
def test_unknown(client: WsgiClient, id: str) -> None:
    (client.spool / "fast" / "readable.json").write_text("{}")
    html = page(client.get(f"/jobs/{id}"), 404)
    assert "Unknown request" in html.text
    assert html.found["b"] == 0
    answer = client.get(f"/jobs/{id}", "application/json")
    assert (answer.status, answer.json["status"], answer.json["success"]) == (404, "failed", False)
    assert answer.json["state"] == "unknown"


PORTAL = {
    "portal_name": "Data <Portal>",
    "portal_url": "https://portal.example.org/search",
    "portal_logo": "https://static.example.org/logo.png",
    "contact": "data@example.org",
}


def test_the_page_shows_the_portals_name_logo_link_and_contact(tmp_path: Path) -> None:
    client = WsgiClient(tmp_path, **PORTAL)
    answer = client.get(f"/jobs/{queue(client)}")
    attributes = page(answer).attributes
    assert ("a", "href", "https://portal.example.org/search") in attributes
    assert ("img", "src", "https://static.example.org/logo.png") in attributes
    assert ("a", "href", "mailto:data@example.org") in attributes
    assert "Data &lt;Portal&gt;" in answer.text
    assert "img-src https://static.example.org;" in answer.headers["Content-Security-Policy"]


def test_an_expired_archive_can_be_requested_again_at_the_portal_only(tmp_path: Path) -> None:
    client = WsgiClient(tmp_path, keep_archives=2, **PORTAL)
    id = queue(client)
    finish(client, id, published=time.time() - 3 * 86400)
    answer = client.get(f"/jobs/{id}")
    assert '<a class="button" href="https://portal.example.org/search">Request it again</a>' in answer.text
    assert "<form" not in answer.text
    assert client.jobs() == {}


def test_a_failed_request_says_what_its_requester_can_do(tmp_path: Path) -> None:
    client = WsgiClient(tmp_path, **PORTAL)
    id = queue(client)
    claim(client, id).fail(failure="no such field")
    assert "You can change your request and try again, or write to" in client.get(f"/jobs/{id}").text


def test_a_page_tells_format_selection_and_checksum(client: WsgiClient) -> None:
    id = queue(client, filters=json.dumps({"Country": "Kenya"}), format="xlsx")
    finish(client, id, sha256="ab" * 32)
    text = client.get(f"/jobs/{id}").text
    assert "Excel (XLSX)" in text and "Country is &quot;Kenya&quot;" in text and "ab" * 32 in text
    known = client.get(f"/jobs/{id}", accept="application/json").json
    assert (known["format"], known["sha256"]) == ("Excel (XLSX)", "ab" * 32)


def test_what_is_no_job_is_unknown(client: WsgiClient) -> None:
    (client.spool / "fast" / "readable.json").write_text('{"secret": "hush"}')
    assert "hush" not in client.get("/jobs/readable").text
    page(client.get("/jobs/readable"), 404)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/html"),
        ("*/*", "text/html"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("application/json;q=0.1, text/html", "text/html"),
        ("application/json", "application/json"),
        ("Application/JSON; charset=utf-8", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("nonsense;;,,", "text/html"),
    ],
)
def test_html_or_json(client: WsgiClient, accept: str, kind: str) -> None:
    assert client.get(f"/jobs/{queue(client)}", accept).headers["Content-Type"].startswith(kind)


def test_head(client: WsgiClient) -> None:
    path = f"/jobs/{queue(client)}"
    whole, head = client.get(path), client.get(path, REQUEST_METHOD="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers == whole.headers


def test_nothing_of_a_request_is_markup(client: WsgiClient) -> None:
    id = queue(client, resource_id=XSS, api_url="https://a'<img src=x onerror=alert(1)>/x".replace(" ", "/"))
    html = page(client.get(f"/jobs/{id}"))
    assert (html.found["script"], html.found["img"]) == (0, 0)
    assert XSS in html.text
    finish(client, id, notes=(XSS,))
    html = page(client.get(f"/jobs/{id}"))
    assert html.found["script"] == 0
    assert html.text.count(XSS) == 2


def test_the_policy_allows_this_style_and_nothing_else(client: WsgiClient) -> None:
    answer = client.get(f"/jobs/{queue(client)}")
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert (answer.headers["X-Frame-Options"], answer.headers["Referrer-Policy"]) == ("DENY", "no-referrer")
    assert "style=" not in answer.text


def test_tidy_finds_nothing(client: WsgiClient) -> None:
    tidy = needs("tidy", debian="tidy")
    ids = [queue(client) for _ in range(2)]
    finish(client, ids[0])
    for path in (*ids, "unknown"):
        html = client.get(f"/jobs/{path}").body
        run = subprocess.run([tidy, "-q", "-e", "-utf8"], input=html, capture_output=True, check=False)
        assert (run.returncode, run.stderr) == (0, b"")


# --- in a browser

WIDTH, HEIGHT = 600, 500
LOOKS = {  # Chromium's number of a preferred colour scheme; the colours of the page's paper and its button
    "dark": (0, (0x14, 0x18, 0x1D), (0x6C, 0xB6, 0xFF)),
    "light": (1, (0xFF, 0xFF, 0xFF), (0x0A, 0x5F, 0xB4)),
}


@pytest.mark.parametrize("scheme", LOOKS)
def test_in_a_browser(client: WsgiClient, tmp_path: Path, scheme: str) -> None:
    """The style passes the policy, in light and dark.  $CKANPACKAGER_SCREENSHOTS keeps the pictures."""
    chromium = needs("chromium", debian="chromium")
    number, paper, accent = LOOKS[scheme]
    id = queue(client, resource_id=XSS)
    finish(client, id)
    picture = tmp_path / f"done-{scheme}.png"
    with served(client.application) as address:
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += ["--no-first-run", "--disable-background-networking"]  # no look for updates
        command += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={WIDTH},{HEIGHT}"]
        command += [f"--blink-settings=preferredColorScheme={number}", f"--screenshot={picture}"]
        subprocess.run([*command, f"{address}/jobs/{id}"], capture_output=True, timeout=PATIENCE, check=True)
    if keep := os.environ.get("CKANPACKAGER_SCREENSHOTS"):
        shutil.copy(picture, keep)
    with Image.open(picture) as image:
        pixels = {color: number for number, color in image.convert("RGB").getcolors(WIDTH * HEIGHT)}
    assert max(pixels, key=pixels.__getitem__) == paper
    assert pixels[accent] > 2000  # the button
