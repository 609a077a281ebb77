"""The dashboard: who may see it, what it shows of whatever requesters wrote, and its buttons."""

import base64
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from support.html_pages import Reading
from support.wsgi_client import REQUESTS, SECRET, Answer, WsgiClient

from ckanpackager.jobs.job import Archive, Attempt
from ckanpackager.receiver.dashboard_actions import make_token
from ckanpackager.spool import worker_slots
from ckanpackager.spool.claim import Claim
from ckanpackager.worker import room

XSS = "<script>alert(1)</script>\"'&{title}%s`x`"
PASSWORD = "a pass:word of this test"
DAY = 86400


def basic(password: str = PASSWORD, user: str = "ann") -> dict[str, str]:
    return {"HTTP_AUTHORIZATION": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def client(tmp_path: Path) -> WsgiClient:
    return WsgiClient(tmp_path, dashboard_password=PASSWORD)


def dashboard(client: WsgiClient, query: str = "", **environ: Any) -> Answer:
    return client.get(f"/dashboard{query}", **{**basic(), **environ})


def read(client: WsgiClient, query: str = "") -> Reading:
    answer = dashboard(client, query)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    return Reading(answer.text)


def queue(client: WsgiClient, **parameters: Any) -> str:
    asked = {**REQUESTS["package_datastore"], "email": "ann@hush.example", "limit": 1, **parameters}
    id: str = client.post("/package_datastore", **asked).json["job"]
    return id


def claim(client: WsgiClient, id: str) -> Claim:
    found = client.workspace.spool.claim(id, "fast")
    assert found
    return found


def fail(client: WsgiClient, reason: str = "no such field", **changes: Any) -> str:
    id = queue(client)
    claim(client, id).fail(failure=reason, **changes)
    return id


def press(client: WsgiClient, form: dict[str, str | None], **environ: Any) -> Answer:
    """Send a form of the page as a browser does."""
    path = f"/{form['action']}"
    body = urlencode({name: value for name, value in form.items() if name != "action"}).encode()
    return client.send(path, body, **{"HTTP_ACCEPT": "text/html", **basic(), **environ})


def where(client: WsgiClient, id: str) -> str:
    return client.workspace.find(id)[0]


# Who may see it


def test_any_user_with_the_password_sees_it(client: WsgiClient) -> None:
    for user in ("", "ann", "ä b"):
        assert client.get("/dashboard", **basic(user=user)).status == 200


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"a:").decode(),
        "Basic " + base64.b64encode(f"a:{PASSWORD} ".encode()).decode(),
        "Basic " + base64.b64encode(f"a:{SECRET}".encode()).decode(),
        "Bearer " + base64.b64encode(f"a:{PASSWORD}".encode()).decode(),
        f"Basic a:{PASSWORD}",
        "Basic \xff\xfe",
    ],
)
def test_without_the_password_the_browser_asks_for_it(client: WsgiClient, header: str | None) -> None:
    fail(client, "a reason")
    for path, method in (("/dashboard", "GET"), ("/dashboard/", "GET"), ("/dashboard/retry", "POST")):
        answer = client.get(path, REQUEST_METHOD=method, HTTP_AUTHORIZATION=header)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="ckanpackager", charset="UTF-8"'
        assert "a reason" not in answer.text and "password" in answer.text
        assert answer.log.startswith(f"ckanpackager: 401 {method} {path.rstrip('/')}") and answer.log.count("\n") == 1


def test_the_secret_is_the_password_where_none_is_set(tmp_path: Path) -> None:
    client = WsgiClient(tmp_path)
    assert client.get("/dashboard", **basic(SECRET)).status == 200
    assert client.get("/dashboard", **basic("wrong")).status == 401


@pytest.mark.parametrize("path", ["/dashboard", "/dashboard/", "/dashboard/retry", "/dashboard/cancel"])
def test_it_can_be_switched_off(tmp_path: Path, path: str) -> None:
    client = WsgiClient(tmp_path, dashboard=False)
    for method in ("GET", "POST"):
        assert client.get(path, REQUEST_METHOD=method, **basic(SECRET)).status == 404


def test_a_slash_at_the_end_leads_to_the_page(client: WsgiClient) -> None:
    answer = client.get("/dashboard/", **basic())
    assert (answer.status, answer.headers["Location"]) == (301, "../dashboard")


def test_a_look_at_it_is_not_logged_and_not_kept(client: WsgiClient) -> None:
    answer = dashboard(client)
    assert (answer.log, answer.headers["Cache-Control"]) == ("", "no-store")


def test_the_page_loads_nothing_and_its_forms_go_nowhere_else(client: WsgiClient) -> None:
    headers = dashboard(client).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy.pop("style-src").count("'sha256-") == len(policy.get("style-src", "x"))
    assert policy == {
        "default-src": "'none'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
    }
    assert (headers["X-Frame-Options"], headers["Referrer-Policy"]) == ("DENY", "same-origin")


# What it shows


def test_an_empty_service_has_a_page_too(client: WsgiClient) -> None:
    text = read(client).text
    assert "No worker is active" in text and "No job waits" in text and "Failed in the last 24 hours None" in text


def test_it_shows_who_works_on_what_with_a_bar(client: WsgiClient) -> None:
    id = queue(client, resource_id="beetles")
    slot, held = worker_slots.acquire(client.spool / "workers", "fast", 1), claim(client, id)
    assert slot
    began = time.time() - 130
    slot.write_progress(worker_slots.Worker(worker="host:1", job=id, since=began, rows=1500, expected=6000))
    html = read(client)
    assert "1,500 of 6,000 rows" in html.text and "fast-1, for 2 minutes, host:1" in html.text
    assert {("progress", "value", "1500"), ("progress", "max", "6000"), ("a", "href", f"jobs/{id}")} <= set(
        html.attributes
    )
    slot.close()
    held.close()


def test_a_failure_has_its_reason_and_a_link_to_the_job(client: WsgiClient) -> None:
    id, old = fail(client, "the site is gone"), fail(client, "long ago")
    os.utime(client.spool / "failed" / f"{old}.json", (1, time.time() - 2 * DAY))
    html = read(client)
    assert "the site is gone" in html.text and "long ago" not in html.text
    assert ("a", "href", f"jobs/{id}") in html.attributes
    assert [form["action"] for form in html.forms] == ["dashboard/retry"]


def test_a_waiting_job_says_why_it_waits(client: WsgiClient) -> None:
    id = queue(client)
    attempt = Attempt(started=1, ended=2, worker="w", error="the mail server is away", step="mail", outcome="retry")
    claim(client, id).release(time.time() + 1900, attempts=(attempt,))
    text = read(client).text
    assert "the mail server is away" in text and "next attempt in 31 minutes" in text


def test_jobs_that_no_worker_takes_are_an_alert(client: WsgiClient) -> None:
    id = queue(client)
    assert "cron or systemd" not in read(client).text
    os.utime(client.spool / "fast" / f"{id}.json", (1, time.time() - 601))
    assert "Jobs wait, and no worker is active: see whether cron or systemd" in read(client).text


def test_an_outage_is_an_alert(client: WsgiClient) -> None:
    (client.spool / "alerts" / "mail").touch()
    assert "Mail has failed for more than an hour" in read(client).text


def test_that_jobs_wait_for_room_is_an_alert_in_words(client: WsgiClient) -> None:
    (client.spool / "alerts" / room.ALERT).touch()
    assert "There is no room for archives, and jobs wait for it" in read(client).text


def test_statistics_that_another_process_holds_do_not_hold_up_the_dashboard(client: WsgiClient) -> None:
    """As a backup that locks the file; nor are they read while they are being changed."""
    with client.workspace.statistics():
        pass
    with closing(sqlite3.connect(client.workspace.directory / "stats.db", isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        begun = time.monotonic()
        assert "Not known: statistics: " in (text := read(client).text) and "is locked" in text
        assert time.monotonic() - begun < 20
    assert "Not known: statistics" not in read(client).text


def test_what_cannot_be_read_is_said_and_the_rest_is_shown(client: WsgiClient) -> None:
    store = client.workspace.directory / "store"
    store.write_text("no directory")
    (client.workspace.directory / "stats.db").write_text("no database")
    fail(client, "the site is gone")
    html = read(client)
    assert "Not known: store" in html.text and "Not known: statistics" in html.text and "the site is gone" in html.text
    assert html.found["svg"] == 0


def test_a_file_that_is_no_job_is_shown_with_the_reason(client: WsgiClient) -> None:
    (client.spool / "fast" / f"{XSS.replace('/', '')}.json").write_text("{}")
    client.workspace.work()
    html = read(client)
    assert "no valid job" in html.text and html.found["script"] == 0 and html.forms == []


def test_nothing_of_a_request_is_markup_and_no_address_is_shown(client: WsgiClient) -> None:
    waiting, running = queue(client, resource_id=XSS, q=XSS), queue(client, resource_id=XSS)
    failed = queue(client, resource_id=XSS)
    claim(client, failed).fail(failure=XSS)
    claim(client, waiting).release(0, attempts=(Attempt(started=1, worker=XSS, error=XSS, outcome="retry"),))
    slot, held = worker_slots.acquire(client.spool / "workers", "fast", 1), claim(client, running)
    assert slot
    slot.write_progress(worker_slots.Worker(worker=XSS[:100], job=running, since=1))
    html = read(client)
    assert html.text.count(XSS) >= 5
    assert html.found["script"] == 0 and not any(name.startswith("on") for _, name, _ in html.attributes)
    assert "hush" not in dashboard(client).text
    slot.close()
    held.close()


def test_only_the_first_jobs_are_read_however_many_there_are(client: WsgiClient, monkeypatch: Any) -> None:
    from ckanpackager.spool import listing, recent

    ids = [queue(client) for _ in range(60)]
    for id in ids[:30]:
        claim(client, id).fail(failure="x")
    seen = []
    for module in (listing, recent):
        monkeypatch.setattr(module, "content", lambda path, read=module.content: seen.append(path) or read(path))
    text = read(client).text
    assert "25 more wait." in text and "20 more have failed" in text
    assert len(seen) < 20


def test_the_page_reloads_only_when_that_is_asked_for(client: WsgiClient) -> None:
    """WCAG 2.2.1 and 2.2.4: slow readers get the time that they need."""
    html = read(client)
    assert ("meta", "http-equiv", "refresh") not in html.attributes and ("a", "href", "?reload=yes") in html.attributes
    html = read(client, "?reload=yes")
    assert ("meta", "http-equiv", "refresh") in html.attributes and ("a", "href", "?") in html.attributes


# Its buttons


@pytest.mark.parametrize("action", ["retry", "cancel"])
def test_a_button_does_what_the_command_does_and_leads_back(client: WsgiClient, action: str) -> None:
    id = fail(client) if action == "retry" else queue(client)
    (form,) = read(client).forms
    answer = press(client, form, REMOTE_ADDR="192.0.2.7", HTTP_SEC_FETCH_SITE="same-origin")
    assert (answer.status, answer.headers["Location"]) == (303, f"../dashboard?{action}={id}")
    done = "retried from the dashboard, waiting in fast" if action == "retry" else "cancelled from the dashboard"
    assert answer.log == f"ckanpackager: 303 POST /dashboard/{action} from 192.0.2.7: job {id}: {done}\n"
    folder, job = client.workspace.find(id)
    assert (folder, job.cancelled, job.failure is None) == ("fast", action == "cancel", action == "retry")
    words = {"retry": f"Job {id} waits again.", "cancel": f"Job {id} is cancelled"}
    assert words[action] in read(client, f"?{action}={id}").text


@pytest.mark.parametrize("query", ["?retry=<b>x</b>", "?retry=", "?cancel=your+password", "?other=x", "?a&b&c", "?%ff"])
def test_a_link_puts_no_words_of_its_own_onto_the_page(client: WsgiClient, query: str) -> None:
    html = read(client, query)
    assert ("p", "role", "status") not in html.attributes and "your password" not in html.text


def test_a_token_is_good_for_one_job_one_action_and_two_days(client: WsgiClient) -> None:
    id, other = fail(client), fail(client)
    settings, now = client.workspace.settings.receiver, time.time()
    wrong = [
        "",
        "x",
        "é",
        make_token(settings, "retry", other, now),
        make_token(settings, "cancel", id, now),
        make_token(settings, "retry", id, now - 2 * DAY),
        make_token(settings, "retry", id, now + DAY),
    ]
    for token in wrong:
        answer = press(client, {"action": "dashboard/retry", "job": id, "token": token})
        assert (answer.status, where(client, id)) == (403, "failed")
        assert "load the dashboard again" in Reading(answer.text).text
        assert answer.log.startswith("ckanpackager: 403 POST /dashboard/retry") and answer.log.count("\n") == 1
    yesterday = make_token(settings, "retry", id, now - DAY)
    assert press(client, {"action": "dashboard/retry", "job": id, "token": yesterday}).status == 303


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"HTTP_SEC_FETCH_SITE": "cross-site"}, 403),
        ({"HTTP_SEC_FETCH_SITE": "same-site"}, 403),
        ({"HTTP_SEC_FETCH_SITE": "none"}, 303),
        ({"HTTP_ORIGIN": "https://evil.example"}, 403),
        ({"HTTP_ORIGIN": "null"}, 403),
        ({"HTTP_ORIGIN": "http://["}, 403),
        ({"HTTP_ORIGIN": "https://packager.example.org", "HTTP_HOST": "packager.example.org"}, 303),
        ({"HTTP_ORIGIN": "https://public.example.org", "HTTP_HOST": "127.0.0.1:8765"}, 303),
        ({"HTTP_ORIGIN": "https://public.example.org.evil.example", "HTTP_HOST": "127.0.0.1:8765"}, 403),
    ],
)
def test_a_form_that_another_site_sends_is_refused(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    client = WsgiClient(tmp_path, dashboard_password=PASSWORD, public_url="https://public.example.org")
    id = fail(client)
    (form,) = read(client).forms
    assert press(client, form, **headers).status == status
    assert where(client, id) == ("fast" if status == 303 else "failed")


def test_a_job_without_its_key_has_a_button_only_if_its_archive_is_there(client: WsgiClient) -> None:
    archive = Archive(name="a/b.zip", size=1, rows=1, published=time.time())
    fail(client, key_removed=True)
    packaged = fail(client, key_removed=True, archive=archive)
    page = read(client)
    assert page.text.count("Needs its API key") == 1
    assert [form["job"] for form in page.forms if form["action"] == "dashboard/retry"] == [packaged]
    assert press(client, page.forms[0]).status == 303
    assert where(client, packaged) == "fast"


def test_what_cannot_be_done_is_said_in_words(client: WsgiClient) -> None:
    ids = {"retry": fail(client, key_removed=True), "cancel": queue(client)}
    claim(client, ids["cancel"]).finish(link_mailed_at=time.time())
    said = {"retry": "its API key was removed", "cancel": "it is not waiting: it is done"}
    for action, id in ids.items():
        token = make_token(client.workspace.settings.receiver, action, id, time.time())
        form: dict[str, str | None] = {"action": f"dashboard/{action}", "job": id, "token": token}
        answer = press(client, form)
        assert (answer.status, said[action] in Reading(answer.text).text) == (409, True)
        assert said[action] in press(client, form, HTTP_ACCEPT="*/*").json["message"]
    assert read(client).forms == []
    assert f"ckanpackager retry {ids['retry']} --key KEY" in read(client).text


@pytest.mark.parametrize("id", ["", "x", "../fast/x", "x\r\nSet-Cookie: a=b", "é", "\ud800", "9" * 100_000])
def test_a_job_that_is_none_is_refused(client: WsgiClient, id: str) -> None:
    token = make_token(client.workspace.settings.receiver, "retry", id, time.time())
    body = urlencode({"job": id, "token": token}, errors="surrogatepass").encode()
    answer = client.send("/dashboard/retry", body, HTTP_ACCEPT="text/html", **basic())
    assert answer.status in (400, 403, 409) and "Set-Cookie" not in answer.headers


def test_a_form_that_is_too_large_is_refused_as_elsewhere(tmp_path: Path) -> None:
    client = WsgiClient(tmp_path, dashboard_password=PASSWORD, max_request_size=1024)
    assert client.send("/dashboard/retry", b"x" * 1025, **basic()).status == 413


@pytest.mark.parametrize("path", ["/dashboard/retry", "/dashboard/cancel"])
def test_a_button_takes_post_alone(client: WsgiClient, path: str) -> None:
    answer = client.get(path, **basic())
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


def test_a_cgi_process_imports_nothing_of_the_dashboard_unless_it_is_asked_for() -> None:
    code = (
        "import sys\nimport ckanpackager.receiver.application, ckanpackager.receiver.handlers\n"
        "print([name for name in sys.modules if 'dashboard' in name or 'basic_auth' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
