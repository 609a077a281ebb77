"""`ckanpackager check`: values that should not stay, an old Python, secrets that all may read."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from support.workspace import Workspace

from ckanpackager.maintenance.check_values import is_example_host, python, readable_secrets, values
from ckanpackager.maintenance.finding import Finding, error, ok, warning, worst


def found(directory: Path, **settings: Any) -> list[str]:
    own = {"download_url": "https://packager.nhm.test/archives", "email_from": "downloads@nhm.test"}
    return [f"{each.level} {each.about}" for each in values(Workspace(directory, **own | settings).settings)]


@pytest.mark.parametrize(
    ("settings", "about"),
    [
        ({}, []),
        ({"secret": "change-me"}, ["error secret"]),
        ({"download_url": "https://data.example.org/downloads"}, ["warning download_url"]),
        ({"public_url": "https://EXAMPLE.com"}, ["warning public_url"]),
        ({"portal_url": "https://portal.example"}, ["warning portal_url"]),
        ({"mail_transport": "smtp", "email_from": "x <nobody@localhost>"}, ["warning email_from"]),
        ({"mail_transport": "smtp", "email_from": "downloads@example.org"}, ["warning email_from"]),
        ({"mail_transport": "smtp", "smtp_host": "mail.example.org"}, ["warning smtp_host"]),
        ({"email_from": "nobody@localhost"}, []),  # into a maildir
        ({"trusted_proxies": ["0.0.0.0/0"]}, ["warning trusted_proxies"]),
        ({"metrics_hosts": ["10.0.0.0/8", "::/0"]}, ["warning metrics_hosts"]),
    ],
)
def test_values_as_in_the_example_are_told_of(tmp_path: Path, settings: dict[str, Any], about: list[str]) -> None:
    assert found(tmp_path, **settings) == about


def test_a_host_that_only_looks_like_an_example_is_none() -> None:
    assert not is_example_host("https://myexample.org") and not is_example_host("https://example.org.nhm.ac.uk")
    assert not is_example_host(None) and is_example_host("https://a.b.example.org./x")


def test_a_python_without_security_fixes_is_told_of() -> None:
    assert list(python((3, 11), date(2027, 10, 31))) == []
    (old,) = python((3, 11), date(2027, 11, 1))
    assert old.level == "warning" and "3.11 has had no security fixes since October 2027" in old.words
    assert list(python((3, 99), date(2099, 1, 1))) == []


def test_secrets_in_a_file_that_every_user_may_read_are_told_of() -> None:
    (told,) = readable_secrets(0o100644, "/etc/x.yaml", ["secret", "smtp_password"])
    assert told.words.startswith("/etc/x.yaml: every user may read it (-rw-r--r--), and secret, smtp_password stands")
    assert list(readable_secrets(0o100640, "/etc/x.yaml", ["secret"])) == []
    assert list(readable_secrets(0o100644, "/etc/x.yaml", [])) == []


def test_the_worst_finding_counts() -> None:
    assert [worst(each) for each in ([], [ok("a: b")], [ok("a: b"), warning("c: d")], [error("e: f"), ok("a: b")])] == [
        "ok",
        "ok",
        "warning",
        "error",
    ]
    assert warning("a: b: c\nd") == Finding("warning", "a: b: c d")
    assert (warning("a: b: c").about, warning("a: b: c").message) == ("a", "b: c")
