"""The files that describe the project agree with each other."""

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_lowest_versions_are_the_ones_that_are_tested() -> None:
    tested = dict(re.findall(r"^([\w-]+)==(.+)$", (ROOT / "tests" / "lowest.txt").read_text(), re.MULTILINE))
    allowed = dict(re.match(r"([\w-]+)>=([\d.]+)", text).groups() for text in PROJECT["dependencies"])  # type: ignore[union-attr,misc]
    assert {name: tested.get(name) for name in allowed} == allowed


def test_make_help_names_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    (targets,) = re.findall(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert set(re.findall(r'@echo "make ([\w-]+)', text)) == set(targets.split()) - {"help"}


def test_the_changelog_begins_with_this_version() -> None:
    import ckanpackager

    found = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert found and found[1] == ckanpackager.__version__
