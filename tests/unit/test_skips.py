"""Tests that are skipped say what would run them."""

import pytest
from support.programs import how_to_run, needs, needs_library


def test_a_missing_program_names_its_debian_packages() -> None:
    with pytest.raises(pytest.skip.Exception, match=r"no-such-zip is not installed \(Debian: zip unzip\)"):
        needs("no-such-zip", debian="zip unzip")


def test_a_missing_library_names_its_extra() -> None:
    with pytest.raises(pytest.skip.Exception, match=r"no_such_library is not installed \(extra: judges\)"):
        needs_library("no_such_library", extra="judges")


def test_the_summary_names_each_package_and_extra_once() -> None:
    reasons = [
        "unzip is not installed (Debian: zip unzip)",
        "x (Debian: nginx)",
        "y (Debian: nginx)",
        "needs two users",
    ]
    assert how_to_run(reasons) == ["apt-get install nginx unzip zip"]
    assert how_to_run(["x (extra: judges)", "y (extra: judges)"]) == ['.venv/bin/pip install -e ".[judges]"']
    assert how_to_run(["needs two users"]) == []
