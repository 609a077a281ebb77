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


def test_the_files_that_contributing_names_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    words = {first or second for first, second in re.findall(r"`([\w./-]+)`|\]\(([\w./-]+)\)", text)}
    paths = {word for word in words if re.search(r"/|\.(py|md|toml|txt|yaml|example)$", word)}
    made = {"ckanpackager.yaml", "dist/", "mail/new/", "claimed/", "ckanpackager/a/b.py", "tests/unit/a/test_b.py"}
    assert len(paths) > 25
    assert {path for path in paths - made if not (ROOT / path).exists()} == set()


def test_the_names_that_contributing_promises_are_in_their_files() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    promised = re.findall(r"`(ckanpackager/[\w/]+\.py|tests/[\w/]+\.py)`: [^`\n]*`(\w+)[`(]", text)
    promised += [("ckanpackager/jobs/request.py", "TASKS"), ("ckanpackager/receiver/handlers.py", "HANDLERS")]
    assert len(promised) > 5
    for path, name in promised:
        assert re.search(rf"\b{name}\b", (ROOT / path).read_text()), f"{path} has no {name}"


def test_the_architecture_names_every_folder_and_every_module_beside_them() -> None:
    table = re.findall(r"^\| (`.+?) \|", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
    named = {name for row in table for name in re.findall(r"`([\w./]+)`", row)}
    package = ROOT / "ckanpackager"
    folders = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert named == folders | {path.name for path in package.glob("*.py") if not path.name.startswith("__")}


def test_the_modules_that_the_architecture_names_exist() -> None:
    rows = re.findall(r"^\| `(\w+/)` \| (.+) \|", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
    named = [(folder, name) for folder, text in rows for name in re.findall(r"`(\w+\.py)`", text)]
    assert len(named) > 30
    assert [(folder, name) for folder, name in named if not (ROOT / "ckanpackager" / folder / name).exists()] == []


def test_the_documentation_names_every_file_for_web_servers() -> None:
    text = (ROOT / "docs" / "deployment.md").read_text()
    for folder in ("apache", "cgi", "logrotate", "nginx", "systemd"):
        assert [file.name for file in (ROOT / "contrib" / folder).iterdir() if file.name not in text] == []
