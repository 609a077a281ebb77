"""A packager of the tests' own: a real HTTP server that records what CKAN sends and answers as it is told to."""

import html
import json
import re
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import ckan.plugins.toolkit as tk
import pytest
from ckan import plugins
from ckan.tests import factories, helpers

SECRET = "the-secret-of-the-tests"
JOB = "20261124T120000-0123456789abcdef"


@pytest.fixture(scope="session", autouse=True)
def app():
    """One CKAN for all tests; pytest-ckan's own fixture makes one for each, which takes seconds."""
    plugins.load_all()
    return helpers._get_test_app()


class FakePackager:
    """Answers by path; what was asked is in `calls`, a list of (path, parameters)."""

    def __init__(self):
        self.calls = []
        self.answers = {}
        self.answer_status()
        for task in ("datastore", "url", "dwc_archive", "dataset"):
            self.answer(f"/package_{task}", msg="Queued: you will get a mail.", job=JOB)

    def answer(self, path, status=200, body=None, headers=None, **members):
        success = status == 200
        known = {"success": success, "status": "success" if success else "failed", **members}
        self.answers[path] = (status, json.dumps(known).encode() if body is None else body, headers or {})

    def answer_status(self, **members):
        """Without members, as a packager before 2.0 does."""
        self.answer("/status", **{"worker_count": 1, "queue_length": 0, "processed_requests": 7, **members})

    def reply(self, path, parameters):
        self.calls.append((path, parameters))
        if parameters.get("secret") != SECRET:
            return 401, b'{"success": false, "msg": "the secret is wrong"}', {}
        missing = (404, b'{"success": false, "msg": "unknown path"}', {})
        return self.answers.get(path, missing)

    def requests(self):
        return [call for call in self.calls if call[0].startswith("/package_")]


@pytest.fixture
def packager(ckan_config, monkeypatch):
    fake = FakePackager()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, data, headers = fake.reply(self.path, json.loads(body))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setitem(ckan_config, "ckanext.packager.url", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setitem(ckan_config, "ckanext.packager.secret", SECRET)
    monkeypatch.setitem(ckan_config, "ckanext.packager.rate_limit", 0)
    yield fake
    server.shutdown()
    server.server_close()


RECORDS = [
    {"Name": "Aloe ferox", "Country": "Kenya", "Year": 1901},
    {"Name": "Aloe vera", "Country": "Japan", "Year": 1902},
    {"Name": "Panthera leo", "Country": "Kenya", "Year": 1903},
]


def action(called, user="", /, **data):
    return tk.get_action(called)({"user": user}, data)


def trusted(called, /, **data):
    site = tk.get_action("get_site_user")({"ignore_auth": True}, {})["name"]
    return tk.get_action(called)({"ignore_auth": True, "user": site}, data)


def make_user(**data):
    """A user whose name and address are nobody else's; those that the factory invents may be taken."""
    name = f"user-{uuid.uuid4()}"
    return factories.User(name=name, email=f"{name}@ckan.example.com", **data)


def make_table(package_id, name="Specimens"):
    """A resource with rows in the DataStore."""
    fields = [{"id": "Name", "type": "text"}, {"id": "Country", "type": "text"}, {"id": "Year", "type": "int"}]
    resource = {"package_id": package_id, "name": name, "format": "CSV"}
    made = trusted("datastore_create", resource=resource, fields=fields, records=RECORDS, force=True)
    return trusted("resource_show", id=made["resource_id"])


@pytest.fixture
def organization():
    """With `member`, who may read what is private in it, `editor` and `admin`."""
    people = {role: make_user() for role in ("member", "editor", "admin")}
    users = [{"name": user["name"], "capacity": role} for role, user in people.items()]
    return {**factories.Organization(users=users), **people}


@pytest.fixture
def dataset(organization):
    return factories.Dataset(owner_org=organization["id"], title="Made-up specimens")


@pytest.fixture
def table(dataset):
    return make_table(dataset["id"])


@pytest.fixture
def private_table(organization):
    package = factories.Dataset(owner_org=organization["id"], title="Embargoed", private=True)
    return make_table(package["id"], "Embargoed specimens")


@pytest.fixture
def client(app):
    """Reads pages as a browser without JavaScript does; `user` logs somebody in."""
    return Client(app)


PEER = {"REMOTE_ADDR": "127.0.0.1"}


class Client:
    def __init__(self, app):
        self.browser = app.test_client()
        self.headers = {}

    def log_in(self, user):
        token = trusted("api_token_create", user=user["name"], name="tests")["token"]
        self.headers = {"Authorization": token}
        return self

    def get(self, url, status=200, **options):
        return Page(
            self.browser.get(
                url, headers=self.headers, environ_overrides=PEER, status=status, follow_redirects=False, **options
            )
        )

    def post(self, url, data, status=200, headers=None):
        headers = {**self.headers, **(headers or {})}
        return Page(self._post(url, data=data, headers=headers, status=status))

    def _post(self, url, **options):
        return self.browser.post(url, environ_overrides=PEER, follow_redirects=False, **options)


class Page:
    def __init__(self, response):
        self.response = response
        self.html = response.body
        self.location = response.headers.get("Location", "")
        self.words = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", self.html)).split())

    def field(self, name):
        """The value of a form's field."""
        tag = re.search(rf'<(?:input|button)[^>]*\bname="{name}"[^>]*>', self.html, re.DOTALL).group()
        return html.unescape(re.search(r'\bvalue="([^"]*)"', tag).group(1))
