"""A whole portal: CKAN and the packager as processes of their own, a mail server, and Debian's Chromium."""

import email
import email.policy
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path

import pytest

from ..conftest import SECRET, make_user, trusted

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
controller = pytest.importorskip("aiosmtpd.controller", reason="aiosmtpd is not installed")
CHROMIUM = shutil.which("chromium")
CKANPACKAGER = os.environ.get("CKANPACKAGER", "")
PATIENCE = 60  # seconds, for a server, a mail, or what a page will show
playwright.expect.set_options(timeout=PATIENCE * 1000)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


def pytest_collection_modifyitems(items):
    missing = [
        name for name, there in (("chromium", CHROMIUM), ("ckanpackager", Path(CKANPACKAGER).is_file())) if not there
    ]
    if missing:
        here = Path(__file__).parent
        for item in items:
            if here in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=f"{' and '.join(missing)} missing"))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait_for(url, process):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args} ended with {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer")


class Mails:
    """What the mail server was sent, parsed."""

    def __init__(self):
        self.received = queue.Queue()

    async def handle_DATA(self, server, session, envelope):
        self.received.put(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 OK"

    def next(self, address):
        """The next mail to that address; others are those of a test that failed."""
        while (mail := self.received.get(timeout=PATIENCE))["To"] != address:
            pass
        return mail


class Service:
    """A process that can be stopped and started again."""

    def __init__(self, arguments, log, url=None, **options):
        self.arguments, self.log, self.url, self.options = arguments, log, url, options
        self.process = None

    def start(self):
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(self.arguments, stdout=out, stderr=out, **self.options)
        if self.url:
            wait_for(self.url, self.process)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE)


class Portal:
    def __init__(self, url, serve, worker, mails, folder):
        self.url, self.serve, self.worker, self.mails, self.folder = url, serve, worker, mails, folder


@pytest.fixture(scope="session")
def portal(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("portal")
    mails = Mails()
    smtp = controller.Controller(mails, hostname="127.0.0.1", port=free_port())
    smtp.start()
    ckan_port, packager_port = free_port(), free_port()
    url, packager_url = f"http://127.0.0.1:{ckan_port}", f"http://127.0.0.1:{packager_port}"
    token = make_token()
    settings = folder / "ckanpackager.yaml"
    settings.write_text(
        f"""
secret: {SECRET}
host: 127.0.0.1
port: {packager_port}
public_url: {packager_url}
download_url: {packager_url}/archives
store_directory: store
spool_directory: spool
smtp_host: 127.0.0.1
smtp_port: {smtp.port}
email_from: packager@example.org
stats_db: sqlite:///statistics.db
"""
    )
    ini = folder / "ckan.ini"
    text = Path(request.config.getoption("ckan_ini")).read_text()
    changes = {
        "testing": "false",
        "ckan.site_url": url,
        "ckanext.packager.url": packager_url,
        "ckanext.packager.secret": SECRET,
        "ckanext.packager.api_token": token,
        "ckanext.packager.formats": "csv tsv xlsx ndjson dwca",
        "ckanext.packager.rate_limit": "0",
        "ckan.csrf_protection.ignore_extensions": "false",
    }
    for key, value in changes.items():
        text = re.sub(rf"^{re.escape(key)} *=.*$", "", text, flags=re.M)
        text = text.replace("[app:main]", f"[app:main]\n{key} = {value}", 1)
    ini.write_text(text)
    command = [str(Path(sys.executable).with_name("ckan")), "-c", str(ini)]
    command += ["run", "--host", "127.0.0.1", "--port", str(ckan_port), "--disable-reloader"]
    ckan = Service(command, folder / "ckan.log", url + "/api/3/action/status_show")
    serve = Service([CKANPACKAGER, "--config", str(settings), "serve"], folder / "serve.log", packager_url + "/jobs/x")
    worker = Service([CKANPACKAGER, "--config", str(settings), "process", "--loop"], folder / "worker.log")
    services = [ckan, serve, worker]
    try:
        for service in services:
            service.start()
        yield Portal(url, serve, worker, mails, folder)
    finally:
        for service in reversed(services):
            service.stop()
        smtp.stop()


def make_token():
    reader = make_user(sysadmin=True)
    return trusted("api_token_create", user=reader["name"], name="reader")["token"]


@pytest.fixture(scope="session")
def chromium():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(params=["desktop"])
def page(chromium, portal, request):
    options = {"viewport": {"width": 1200, "height": 900}}
    yield from opened(chromium, portal, options)


@pytest.fixture
def phone(chromium, portal):
    yield from opened(
        chromium, portal, {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
    )


@pytest.fixture
def plain_page(chromium, portal):
    """Without JavaScript."""
    yield from opened(chromium, portal, {"java_script_enabled": False})


def opened(chromium, portal, options):
    context = chromium.new_context(base_url=portal.url, **options)
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    page.on("pageerror", lambda error: print("page error:", error))
    yield page
    context.close()


@pytest.fixture
def address():
    """An address of this test's own."""
    return f"{uuid.uuid4()}@example.org"


@pytest.fixture
def picture(request):
    """Take screenshots into the folder that SCREENSHOTS names, if it does."""
    folder = os.environ.get("SCREENSHOTS")

    def take(page, name):
        if folder:
            page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=False)

    return take


def log_in(page, user, password):
    page.goto("/user/login")
    page.fill("#field-login", user)
    page.fill("#field-password", password)
    page.click("form button[type=submit]:has-text('Login')")
    page.wait_for_url("**/d*")
