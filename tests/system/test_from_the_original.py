"""The switch from the original: its settings, its command line, its statistics, and what its portal sends."""

import json
import re
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.workspace import Workspace, environment, small_ckan
from support.wsgi_client import SECRET, serving

from ckanpackager.demo.ckan_api import CkanApi

SETTINGS = '''# Our packager
DEBUG = False
HOST = '127.0.0.1'
PORT = 8765
SECRET = 'a secret of this site'
STATS_DB = 'sqlite:///{home}/stats.db'
CELERY_BROKER = 'redis://localhost:6379/0'
STORE_DIRECTORY = "{home}/resources"
TEMP_DIRECTORY = "{home}/tmp/packager"
CACHE_TIME = 60*60*24
PAGE_SIZE = 5000
SLOW_REQUEST = 50000
ZIP_COMMAND = "/usr/bin/zip -j {{output}} {{input}}"
EMAIL_SUBJECT = "Resource from {{ckan_host}}"
EMAIL_FROM = "The portal at {{ckan_host}} <nobody@example.org>"
EMAIL_BODY = """Hello,

The link to the resource you requested on {{ckan_host}} is available at:
http://{{ckan_host}}/{{zip_file_name}}

Best Wishes,
The Data Portal Bot
"""
SMTP_HOST = 'localhost'
SMTP_PORT = 25
DWC_EXTENSION_FIELDS = {{
    'associatedMedia': {{
        'extension': '/etc/ckanpackager/gbif_dwca_extensions/extensions/multimedia.xml',
        'fields': {{'type': 'StillImage', 'format': 'image/jpeg', 'identifier': ''}},
        'mappings': {{'format': 'mime'}},
        'formatters': {{'format': lambda v: 'image/{{}}'.format(v) if v else v}}
    }}
}}
'''
ANN = "$2b$12$MDAwMDAwMGV4YW1wbGUubu7BloHSE5oxJ93Sgp0w5ozF3maHVcRrC"
BOB = "$2b$12$MDAwMDAwMGV4YW1wbGUubu1PcAi8eE42zH0L8HYz3bm1PE2disfu6"


def ckanpackager(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ckanpackager", *words]
    options: Any = {"capture_output": True, "text": True, "timeout": 90}
    return subprocess.run(command, check=False, cwd=cwd, env=environment({}), **options)


def test_the_settings_of_the_original_serve_a_request(tmp_path: Path, api: CkanApi) -> None:
    source = tmp_path / "ckanpackager_settings.py"
    source.write_text(SETTINGS.format(home=tmp_path))
    done = ckanpackager("config", "convert", str(source), "-o", "ckanpackager.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "ckanpackager.yaml").open("a") as file:
        file.write("mail_transport: maildir\n")  # there is no mail server here
    assert ckanpackager("config", "validate", cwd=tmp_path).returncode == 0
    words = [f"api_url:{api.api_url}", "resource_id:r", "email:ann@example.org"]
    for task in ("package_datastore", "package_dwc_archive"):
        assert ckanpackager("queue", "-D", task, *words, cwd=tmp_path).returncode == 0
    done = ckanpackager("process", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    workspace = Workspace.__new__(Workspace)
    workspace.directory = tmp_path
    host = api.url.removeprefix("http://")
    links = []
    for mail in workspace.mails:
        assert mail["From"] == f'"The portal at {host}" <nobody@example.org>'
        assert mail.get_content_type() == "text/plain"
        links += re.findall(rf"^http://{re.escape(host)}/(\S+\.zip)$", mail.get_content(), re.MULTILINE)
    contents = [set(zipfile.ZipFile(tmp_path / "resources" / link).namelist()) for link in links]
    assert {"resource.csv"} <= contents[0] and {"occurrence.csv", "meta.xml"} <= contents[1]
    assert (tmp_path / "tmp" / "packager").is_dir()


# The command line


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, str]]:
    """A receiver, and its address; a request for the resource `r` was served, and one for `none` has failed."""
    workspace = Workspace(tmp_path_factory.mktemp("service"), secret=SECRET)
    with small_ckan() as api, serving(workspace) as address:
        workspace.queue(api)
        workspace.queue(api, resource_id="none", email="bob@example.org")
        workspace.work()
        defaults = {"secret": SECRET, "api_url": api.api_url}
        (workspace.directory / "defaults.json").write_text(json.dumps(defaults))
        yield workspace, address


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("-p HOST -d FILE status", 0, r"jobs +number"),
        ("-p HOST -D -s SECRET status", 0, r"jobs +number"),
        ("-p HOST -D -s wrong status", 1, r"^$"),
        ("-q -p HOST -d FILE status", 0, r"^$"),
        ("-p HOST -d FILE stats", 0, r"\* +2 +1 +1|\* +1 +1 +1"),
        ("-p HOST -d FILE statistics", 0, r"\* +\d +1 +1"),
        ("-p HOST -d FILE statistics totals", 0, r"^none +0 +0 +1"),
        ("-x -p HOST -d FILE stats", 1, r"none"),
        ("-p HOST -d FILE -o 0 -l 1 -r r -e ann@example.org stats requests", 0, r"ann@example.org"),
        ("-p HOST -d FILE -o 1 stats requests", 0, r"^no requests$"),
        ("-x -p HOST -d FILE stats errors", 1, r"bob@example.org"),
        ("-x -p HOST -d FILE -e ann@example.org stats errors", 0, r"^no errors$"),
        ("-p HOST -d FILE queue package_datastore resource_id:r email:a@example.org", 0, r"^\d{8}T\d+-[0-9a-f]{32}$"),
        ("-p HOST -d FILE queue package_datastore resource_id:r email:a@example.org secret:wrong", 1, r"^$"),
        ("-p HOST -d FILE queue package_nothing resource_id:r email:a@example.org", 2, r"^$"),
        ("-p HOST -d FILE cc", 0, r"^\d archives removed$"),
        ("-p HOST -d FILE clear-cache", 0, r"^\d archives removed$"),
        ("-p http://127.0.0.1:9 -d FILE status", 1, r"^$"),
        ("-p HOST -d missing.json status", 2, r"^$"),
        ("--version", 0, r"\d\.\d"),
        ("-h", 0, r"Usage"),
        ("--help", 0, r"Usage"),
    ],
)
def test_every_command_of_the_originals_usage_works_against_serve(
    service: tuple[Workspace, str], words: str, code: int, said: str
) -> None:
    workspace, address = service
    places = {"HOST": address, "FILE": "defaults.json", "SECRET": SECRET}
    done = ckanpackager(*(places.get(word, word) for word in words.split()), cwd=workspace.directory)
    assert done.returncode == code, done.stderr
    assert re.search(said, done.stdout.strip(), re.MULTILINE), done.stdout
    assert done.stderr.count("\n") == (code > 0 and said == "^$"), done.stderr


# The statistics


def original_database(path: Path, *, anonymized: bool) -> dict[str, Any]:
    """A database with the tables, rows and totals that the original writes; its totals."""
    ann, bob = (ANN, BOB) if anonymized else ("ann@example.org", "bob@example.org")
    requests = [("r", ann, 10), ("r", ann, None), ("r", bob, 3), ("q", ann, None)]
    totals = {"*": (2, 4, 1), "r": (2, 3, 1), "q": (1, 1, 0)}
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript("""
            CREATE TABLE requests (id INTEGER PRIMARY KEY, count TEXT, domain TEXT, email TEXT, resource_id TEXT,
                                   timestamp INTEGER);
            CREATE TABLE errors (id INTEGER PRIMARY KEY, email TEXT, message TEXT, resource_id TEXT, timestamp INTEGER);
            CREATE TABLE totals (id INTEGER PRIMARY KEY, emails INTEGER, errors INTEGER, requests INTEGER,
                                 resource_id TEXT);
        """)
        for number, (resource, email, count) in enumerate(requests, 1):
            row = (number, count, "example.org", email, resource, 1000 + number)
            database.execute("INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?)", row)
        database.execute("INSERT INTO errors VALUES (1, ?, 'Traceback', 'r', 1500)", (bob,))
        for resource, (emails, asked, errors) in totals.items():
            database.execute(
                "INSERT INTO totals (emails, errors, requests, resource_id) VALUES (?, ?, ?, ?)",
                (emails, errors, asked, resource),
            )
    return {name: dict(zip(("emails", "requests", "errors"), row, strict=True)) for name, row in totals.items()}


@pytest.mark.parametrize("anonymized", [False, True], ids=["plain", "anonymized"])
def test_a_database_of_the_original_goes_on_with_the_same_figures(
    workspace: Workspace, api: CkanApi, anonymized: bool
) -> None:
    if anonymized:
        pytest.importorskip("bcrypt", reason="bcrypt is an extra: pip install 'ckanpackager[bcrypt]'")
        workspace.configure(anonymize_emails=True, anonymize_scheme="bcrypt")
    totals = original_database(workspace.directory / "stats.db", anonymized=anonymized)

    def figures() -> tuple[Any, Any]:
        listed = workspace.run("stats", "requests", "-e", "Ann@example.org", "--format", "json")
        return json.loads(workspace.run("stats", "--format", "json").stdout)["totals"], json.loads(listed.stdout)

    before, of_ann = figures()
    assert before == totals and [row["timestamp"] for row in of_ann["requests"]] == [1004, 1002, 1001]
    workspace.queue(api, email="Ann@example.org")
    workspace.queue(api, email="cas@other.org")
    workspace.work()
    after, of_ann = figures()
    totals["*"] |= {"emails": 3, "requests": 6}  # a person who returns counts once
    totals["r"] |= {"emails": 3, "requests": 5}
    assert after == totals and len(of_ann["requests"]) == 4
    with closing(sqlite3.connect(workspace.directory / "stats.db")) as database:
        stored = {email for (email,) in database.execute("SELECT email FROM requests")}
        kept = database.execute("SELECT emails, errors, requests FROM totals WHERE resource_id = '*'").fetchall()
    assert kept == [(2, 1, 4)]
    assert not anonymized or (ANN in stored and not any("@" in email for email in stored))
