"""anonymize, forget, keep_statistics, and what check says of addresses."""

import time
from collections.abc import Callable

import pytest
from support.workspace import CommandResult, Workspace

from ckanpackager.demo.ckan_api import CkanApi

Run = Callable[..., CommandResult]
KEYED = {"anonymize_emails": True, "anonymize_key": "key"}


def served(workspace: Workspace, api: CkanApi, *emails: str) -> None:
    for email in emails:
        workspace.queue(api, email=email)
    workspace.work()


def test_addresses_are_hashed_once_anonymizing_is_on(workspace: Workspace, run: Run, api: CkanApi) -> None:
    served(workspace, api, "ann@example.org", "bob@example.org")
    assert run("anonymize").err == (
        "ckanpackager: anonymize_emails: false; set it to true first, or new addresses are stored in clear\n"
    )
    workspace.configure(**KEYED)
    assert "WRONG anonymize_emails: 2 rows of the statistics hold an address in clear" in run("check").out
    assert run("anonymize", "--dry-run").out == "2 requests and 0 errors would be anonymized\n"
    assert run("anonymize") == CommandResult(0, "2 requests and 0 errors were anonymized\n", "")
    assert run("anonymize").out == "0 requests and 0 errors were anonymized\n"
    assert "anonymize_emails" not in run("check").out
    served(workspace, api, "Ann@example.org")
    assert workspace.totals() == {"emails": 2, "requests": 3, "errors": 0}
    assert run("stats", "requests", "-e", "ann@example.org", "--format", "csv").out.count("example.org") == 2


def test_bcrypt_without_its_library_names_what_to_install(
    workspace: Workspace, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "bcrypt", None)
    workspace.configure(anonymize_emails=True, anonymize_scheme="bcrypt")
    said = run("stats")
    assert (said.code, "pip install 'ckanpackager[bcrypt]'" in said.err) == (2, True)


def test_forget_removes_a_person_from_statistics_and_ended_jobs(workspace: Workspace, run: Run, api: CkanApi) -> None:
    served(workspace, api, "ann@example.org", "bob@example.org")
    workspace.queue(api, email="Ann@example.org", sort="nofield")
    workspace.work()
    assert workspace.where() == {"done": 2, "failed": 1}
    before = workspace.totals()
    assert run("forget", "ann@example.org") == CommandResult(
        0, "2 rows of the statistics changed, 2 job files removed\n", ""
    )
    assert workspace.where() == {"done": 1} and workspace.totals() == before
    assert run("stats", "requests", "-e", "ann@example.org").out == "no requests\n"
    everything = [path.read_bytes() for path in workspace.spool.directory.rglob("*.json")]
    everything.append((workspace.directory / "stats.db").read_bytes())
    assert not any(b"ann@example.org" in content.lower() for content in everything)


def test_forget_names_open_jobs_and_leaves_them(workspace: Workspace, run: Run, api: CkanApi) -> None:
    id = workspace.queue(api, email="ann@example.org")
    said = run("forget", "ANN@example.org")
    assert (said.code, said.out) == (1, "0 rows of the statistics changed, 0 job files removed\n")
    assert said.err == f"ckanpackager: job {id} of ANN@example.org is still open; when it has ended, do this again\n"
    assert workspace.where() == {"fast": 1}


def test_clean_removes_statistics_after_keep_statistics_days(workspace: Workspace, run: Run) -> None:
    with workspace.statistics() as statistics:
        for job, days in (("old", 3), ("young", 1)):
            now = time.time() - days * 86400
            statistics.record_request(job=job, resource_id="r", email="a@b.org", count=1, now=now)
    assert "requests and errors" not in run("clean").out
    workspace.configure(keep_statistics=2)
    assert run("clean").out.endswith(", 1 requests and errors removed\n")
    assert workspace.totals()["requests"] == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("stats",), 1),
        (("stats", "errors"), 1),
        (("stats", "errors", "-e", "bob@example.org"), 0),
        (("-r", "q", "stats"), 0),
    ],
)
def test_x_looks_at_the_errors_that_are_listed(
    workspace: Workspace, run: Run, words: tuple[str, ...], code: int
) -> None:
    with workspace.statistics() as statistics:
        statistics.record_error(job="1", resource_id="r", email="ann@example.org", message="x", now=1)
    assert run("-x", *words).code == code
    assert run(*words).code == 0
