"""Tests that are skipped say what would run them."""

import re
from pathlib import Path

import pytest
from support.programs import how_to_run, needs, needs_library

ROOT = Path(__file__).parents[2]


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


def test_the_ci_script_installs_all_that_a_skipped_test_can_name() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__))
    packages = re.findall(r"debian=\"(.+?)\"|\(Debian: ([\w .+-]+)\)", tests)
    names = {name for pair in packages for names in pair for name in names.split()}
    assert {name for name in names if not re.search(rf"[=(]{re.escape(name)}\b", script)} == set()
    extras = set(re.findall(r"extra=\"(\w+)\"", tests))
    assert {extra for extra in extras - {"test"} if f".venv/installed-{extra} " not in script} == set()
