"""What users can get wrong: each fault gives its exit code and one line that says what to do."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from support.workspace import CommandResult, FakeSmtpServer, Workspace

from ckanpackager.demo.ckan_api import CkanApi, Handler

Run = Callable[..., CommandResult]
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Case(NamedTuple):
    """Words of the command line (`{api}` stands for the API's URL), what is so before, and what is to be said.

    `said` stands in the one line on standard error, or, where nothing is said, is empty.
    """

    name: str
    words: str
    code: int
    said: str
    settings: Mapping[str, Any] = NOTHING
    files: Mapping[str, str | None] = NOTHING  # by name in the directory: contents; None: a directory
    ckan: tuple[int, str] | None = None  # a status and a body for everything that is asked
    ckan_headers: Mapping[str, str] = MappingProxyType({"Retry-After": "0"})
    mail: str = ""  # the mail server's reply to an address
    job: dict[str, str] | None = None  # parameters of a job that waits; None: there is none


DATASTORE = "queue -D package_datastore api_url:{api} resource_id:r email:a@b.org"
URL = "queue -D package_url resource_url:https://c.example.org/ resource_id:r email:a@b.org"
PROCESS = "process"
INTERNAL = "<html><h1>Internal Server Error</h1></html>"

USAGE = [
    Case("no such command", "prozess", 2, "No such command 'prozess'"),
    Case("no such option", "process --fast", 2, "No such option"),
    Case("no such option of the program", "--fast process", 2, "No such option"),
    Case(
        "an argument too many",
        "process now",
        2,
        "Got unexpected extra argument (now); try: ckanpackager process --help",
    ),
    Case("an argument missing", "queue", 2, "Missing argument 'TASK'; try: ckanpackager queue --help"),
    Case("no job to cancel", "cancel", 2, "Missing argument 'JOB'"),
    Case("no job to retry", "retry", 2, "name the jobs, or give --all"),
    Case("both jobs and all", "retry x --all", 2, "name the jobs, or give --all"),
    Case("no such queue", "process --queue urgent", 2, "'urgent' is not one of 'fast', 'slow'"),
    Case("no jobs at most", "process --max-jobs 0", 2, "0 is not in the range x>=1"),
    Case("no number", "process --max-jobs many", 2, "'many' is not a valid integer"),
    Case("no time at most", "process --max-time 0", 2, "0.0 is not in the range x>0"),
    Case("no such table", "stats moon", 2, "'moon' is not one of 'totals', 'requests', 'errors'"),
    Case("no such format", "stats --format xml", 2, "'xml' is not one of 'table', 'json', 'csv'"),
    Case("a negative offset", "stats requests -o -1", 2, "-1 is not in the range x>=0"),
    Case("no rows at all", "stats requests -l 0", 2, "0 is not in the range x>=1"),
    Case("a demo without rows", "demo --rows 0", 2, "0 is not in the range x>=1"),
]

CONFIGURATION = [
    Case("no such file", "--config nothing.yaml status", 2, "nothing.yaml"),
    Case("a directory for a file", "--config dir status", 2, "dir", files={"dir": None}),
    Case("no YAML", "status", 2, "ckanpackager.yaml:2: not YAML", files={"ckanpackager.yaml": "a: [\n"}),
    Case("no mapping", "status", 2, "ckanpackager.yaml", files={"ckanpackager.yaml": "- a\n"}),
    Case("an empty file", "status", 2, "download_url", files={"ckanpackager.yaml": ""}),
    Case("an unknown key", "status", 2, "ckanpackager.yaml:", settings={"spool_dir": "x"}),
    Case("an ill-typed key", "status", 2, "max_attempts", settings={"max_attempts": "five"}),
    Case("a number out of range", "process", 2, "max_attempts", settings={"max_attempts": 0}),
    Case("a queue that is none", "process", 2, "workers", settings={"workers": {"urgent": 1}}),
    Case("a template with a wrong placeholder", "process", 2, "{name}", settings={"email_body": "{name}"}),
    Case("no link", "process", 2, "download_url", settings={"download_url": None}),
    Case("a link that is none", "process", 2, "download_url", settings={"download_url": "data.example.org"}),
    Case("a delay above its limit", "process", 2, "retry_delay", settings={"retry_delay": 9, "retry_delay_max": 5}),
    Case("no database URL", "stats", 2, "stats_db", settings={"stats_db": "stats.db"}),
    Case("a database of an unknown kind", "stats", 2, "stats_db", settings={"stats_db": "moon://x/y"}),
    Case("a zip_command without output", "process", 2, "zip_command", settings={"zip_command": "zip {input}"}),
]

TASKS = [
    Case("an unknown task", "queue -D package_moon x:y", 2, "unknown task 'package_moon': expected one of"),
    Case("a misspelt task", "queue -D package_datastor x:y", 2, "did you mean package_datastore?"),
    Case("no parameters", "queue -D package_url", 2, "resource_url: missing; package_url requires it"),
    Case("a word without a colon", f"{DATASTORE} limit", 2, "'limit': expected PARAM:VALUE"),
    Case("a word without a name", f"{DATASTORE} :5", 2, "':5': expected PARAM:VALUE"),
    Case("a parameter twice", f"{DATASTORE} limit:1 limit:2", 2, "limit: given twice"),
    Case("an unknown parameter", f"{DATASTORE} moon:1", 2, "moon: package_datastore has no such parameter; it takes"),
    Case("a misspelt parameter", f"{DATASTORE} filter:1", 2, "did you mean filters?"),
    Case("another task's parameter", f"{URL} limit:1", 2, "limit: package_url has no such parameter"),
    Case("an empty address", f"{DATASTORE}".replace("a@b.org", ""), 2, "email: missing; package_datastore requires it"),
    Case("no address", DATASTORE.replace("a@b.org", "me"), 2, "email: expected one e-mail address, as in"),
    Case("two addresses", DATASTORE.replace("a@b.org", "a@b.org,c@d.org"), 2, "email: expected one e-mail address"),
    Case("no URL", DATASTORE.replace("{api}", "c.example.org"), 2, "api_url: expected a URL that starts with http://"),
    Case(
        "a URL of a file",
        URL.replace("https://c.example.org/", "file:///etc/passwd"),
        2,
        "resource_url: expected a URL",
    ),
    Case("a broken URL", DATASTORE.replace("{api}", "http://["), 2, "api_url: expected a URL"),
    Case("a broken filter", f"{DATASTORE} filters:{{a:1}}", 2, "filters: no valid JSON"),
    Case("a filter that is none", f"{DATASTORE} filters:5", 2, "filters: expected an object"),
    Case("a deep filter", f"{DATASTORE} filters:" + "[" * 60 + "]" * 60, 2, "filters: nested more than 50 deep"),
    Case("a deeper filter", f"{DATASTORE} filters:" + "[" * 9999, 2, "filters: no valid JSON"),
    Case("a limit that is no number", f"{DATASTORE} limit:all", 2, "limit: expected a whole number, got text 'all'"),
    Case("a negative limit", f"{DATASTORE} limit:-1", 2, "limit: expected a whole number of at least 0"),
    Case(
        "an enormous limit",
        f"{DATASTORE} limit:{10**30}",
        2,
        "limit: expected a whole number of at most 9223372036854775807",
    ),
    Case("a yes that is none", f"{DATASTORE} plain:yes", 2, "plain: expected true or false"),
    Case("an unknown format", f"{DATASTORE} format:pdf", 2, "format: expected csv or tsv or xlsx"),
    Case("a key that no header holds", f"{DATASTORE} key:ключ", 2, "key: expected an API key in printable ASCII"),
    Case("bytes that are no text", f"{DATASTORE} q:\udcff", 2, "cannot be written as JSON"),
    Case(
        "several at once",
        f"{DATASTORE} limit:x plain:y",
        2,
        "plain: expected true or false, got text",
    ),
    Case(
        "a host that is not allowed",
        DATASTORE,
        2,
        "is not one of the allowed_hosts",
        settings={"allowed_hosts": ["data.example.org"]},
    ),
]

DEFAULTS = "queue -d d.json package_url resource_url:https://c.example.org/ resource_id:r"
FILES = [
    Case("no file of defaults", DEFAULTS, 2, "d.json: there is no such file"),
    Case("defaults that are a directory", DEFAULTS, 2, "d.json: Is a directory", files={"d.json": None}),
    Case("defaults that are no JSON", DEFAULTS, 2, "d.json: no valid JSON: ", files={"d.json": "{email: x}"}),
    Case("defaults that are empty", DEFAULTS, 2, "d.json: no valid JSON: ", files={"d.json": ""}),
    Case("defaults too deep", DEFAULTS, 2, "d.json: no valid JSON: ", files={"d.json": "[" * 100_000}),
    Case("defaults that are no object", DEFAULTS, 2, "d.json: expected a JSON object, as in", files={"d.json": "[]"}),
    Case("a wrong default", DEFAULTS, 2, "email: expected one", files={"d.json": json.dumps({"email": "x"})}),
    Case(
        "an unknown default", DEFAULTS, 2, "e_mail: package_url has no such", files={"d.json": '{"e_mail": "a@b.org"}'}
    ),
    Case("an unknown job", "status x", 2, "x: there is no such job; finished ones are kept for keep_done days"),
    Case("an unknown job to retry", "retry x", 1, "x: there is no such job; `ckanpackager status` shows what there is"),
    Case("an unknown job to cancel", "cancel x", 1, "x: there is no such job; `ckanpackager status`"),
    Case("a way out, for status", "status ../x", 2, "../x: there is no such job"),
    Case("a way out, for retry", "retry ../x", 1, "../x: there is no such job"),
    Case("a way out, for cancel", "cancel ../../etc/passwd", 1, "../../etc/passwd: there is no such job"),
    Case("a file for the spool", "status", 1, "file: File exists", settings={"spool_directory": "file"}),
    Case("a spool below a file", URL, 1, "Not a directory; make sure", settings={"spool_directory": "file/spool"}),
    Case("a file for a queue", URL, 1, "fast: File exists; make sure", files={"spool/fast": "x"}),
    Case("a file for the store", PROCESS, 1, "File exists; make sure that", settings={"store_directory": "file"}),
    Case("a file for the slots", PROCESS, 1, "workers: File exists", files={"spool/workers": "x"}),
    Case("a file for the slots, seen", "status", 1, "workers: File exists", files={"spool/workers": "x"}),
    Case(
        "a directory that is no database", "stats", 1, "is it there, may this", settings={"stats_db": "sqlite:///dir"}
    ),
    Case("a file that is no database", "stats", 1, "file is not a database", settings={"stats_db": "sqlite:///file"}),
    Case("a file to clean up in", "clean", 1, "File exists", settings={"store_directory": "file"}),
    Case(
        "a file for the demo's directory",
        "demo --directory file",
        1,
        "file: File exists; name a directory with --directory",
    ),
]

CKAN = [
    Case("no server there", PROCESS, 1, "no connection: ", job={"api_url": "http://127.0.0.1:1/"}),
    Case("no such resource", PROCESS, 1, "404 Not Found: Not found: Resource", job={"resource_id": "x"}),
    Case("a wrong filter", PROCESS, 1, "409 Conflict: filters: Unknown field: y", job={"filters": '{"y": 1}'}),
    Case("a wrong sort", PROCESS, 1, "409 Conflict: ", job={"sort": "y"}),
    Case("a site that is no CKAN", PROCESS, 1, "did not answer as CKAN's API does, but: '<p>", ckan=(200, "<p>Hello")),
    Case("JSON that is no answer", PROCESS, 1, "did not answer as CKAN's API does", ckan=(200, "[]")),
    Case("an empty answer", PROCESS, 1, "did not answer as CKAN's API does", ckan=(200, "")),
    Case("a failure that is a success", PROCESS, 1, "refused the search", ckan=(200, '{"success": false}')),
    Case(
        "not authorized",
        PROCESS,
        1,
        "403 Forbidden: Access denied",
        ckan=(403, '{"error": {"message": "Access denied"}}'),
    ),
    Case("not found as a page", PROCESS, 1, "404 Not Found", ckan=(404, "<h1>Not found</h1>")),
    Case("a server error", PROCESS, 1, "500 Internal Server Error", ckan=(500, INTERNAL)),
    Case("a gateway error", PROCESS, 1, "502 Bad Gateway", ckan=(502, INTERNAL)),
    Case("too many requests", PROCESS, 1, "429 Too Many Requests", ckan=(429, "{}")),
    Case(
        "a redirect to a file",
        PROCESS,
        1,
        "only http and https are fetched",
        ckan=(302, ""),
        ckan_headers={"Location": "file:///etc/passwd"},
    ),
    Case("a redirect in circles", PROCESS, 1, "redirected too often", ckan=(302, ""), ckan_headers={"Location": "x"}),
    Case("a server error, for now", PROCESS, 0, "", ckan=(503, INTERNAL)),
    Case(
        "a zip_command that fails",
        PROCESS,
        1,
        "false failed with exit code 1",
        settings={"zip_command": "false {input} {output}"},
    ),
    Case(
        "a zip_command that is not there",
        PROCESS,
        1,
        "moon cannot be run",
        settings={"zip_command": "moon {input} {output}"},
    ),
]

MAIL = [
    Case("an unknown recipient", PROCESS, 1, "refused the recipient: 550 5.1.1 who?", mail="550 5.1.1 who?"),
    Case("a full mailbox, for now", PROCESS, 0, "", mail="452 4.2.2 full"),
    Case("a full mailbox, to the end", PROCESS, 1, "452 4.2.2 full", mail="452 4.2.2 full"),
    Case(
        "no mail server",
        PROCESS,
        1,
        "127.0.0.1:1: Connection refused; check smtp_host, smtp_port",
        settings={"mail_transport": "smtp", "smtp_host": "127.0.0.1", "smtp_port": 1},
    ),
    Case("TLS where there is none", PROCESS, 1, "smtp_security", mail="250 OK", settings={"smtp_security": "tls"}),
    Case(
        "STARTTLS where there is none",
        PROCESS,
        1,
        "smtp_security",
        mail="250 OK",
        settings={"smtp_security": "starttls"},
    ),
    Case(
        "a login where there is none",
        PROCESS,
        1,
        "smtp_login",
        mail="250 OK",
        settings={"smtp_login": "a", "smtp_password": "b"},
    ),
    Case("a file for the maildir", PROCESS, 1, "check mail_directory", settings={"mail_directory": "file"}),
    Case(
        "no statistics", PROCESS, 1, "is it there, may this user write", settings={"stats_db": "sqlite:///missing/x.db"}
    ),
]

CASES = [*USAGE, *CONFIGURATION, *TASKS, *FILES, *CKAN, *MAIL]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_whatever_is_wrong_is_said_in_one_line(
    workspace: Workspace, run: Run, api: CkanApi, smtp: FakeSmtpServer, monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    monkeypatch.delenv("CKANPACKAGER_CONFIG", raising=False)
    monkeypatch.setattr("ckanpackager.http_client.client.TRIES", 1)  # or its patience would be ours
    monkeypatch.setattr("ckanpackager.worker.retry.DAY", 0)  # what fails for now twice has failed for good
    (workspace.directory / "file").write_text("rubbish " * 1000)
    (workspace.directory / "dir").mkdir()
    waits = case.words == PROCESS and case.code != 2 and not any(name.startswith("spool/") for name in case.files)
    if case.job is not None or waits:
        workspace.queue(api, **(case.job or {}))
    mail = smtp.settings if case.mail else {}
    workspace.configure(**{**mail, **case.settings})
    smtp.answer = lambda address: case.mail
    prepare(workspace.directory, case.files)
    if case.ckan:
        status, body = case.ckan

        def fault(handler: Handler, *_: object) -> bool:
            handler.reply(status, body, **case.ckan_headers)
            return True

        api.fault = fault
    words = [word.replace("{api}", api.api_url) for word in case.words.split()]
    said = run(*words)
    if case.words == PROCESS and (said.code, case.code) == (0, 1):  # the job waits: its next attempt is its last
        workspace.make_due()
        said = run(*words)
    assert (said.code, said.out) == (case.code, "")
    lines = said.err.splitlines()
    if not case.said:
        assert lines == []
        return
    assert "Traceback" not in said.err
    assert "internal error" not in said.err
    if PROCESS in case.words and not said.err:  # the request was wrong: its requester reads why, cron need not
        (job,) = workspace.spool.jobs("failed")
        assert case.said in run("status", job.id).out
        return
    if PROCESS in case.words and said.err[0].isdigit():  # the log: the job, and what became of its failure mail
        assert all(" ERROR job " in line for line in lines), said.err
        assert case.said in lines[0]
        return
    (line,) = lines
    assert line.startswith("ckanpackager: ")
    assert case.said in line


def prepare(directory: Path, files: Mapping[str, str | None]) -> None:
    for name, content in files.items():
        path = directory / name
        if name.startswith("spool/"):
            os.rename(path, directory / "moved")
        if content is None:
            path.mkdir(exist_ok=True)
        else:
            path.write_text(content)


def test_the_names_of_the_cases_are_different() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
