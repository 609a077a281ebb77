"""`ckanpackager config`: generate, validate, show and convert."""

import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from support.workspace import CommandResult, Workspace

from ckanpackager.config.load import PUBLISHED_SECRETS, load_settings

Run = Callable[..., CommandResult]


def test_generate_writes_every_key_and_a_secret_of_its_own(run: Run, workspace: Workspace) -> None:
    texts = [run("config", "generate").out for _ in range(2)]
    found = [yaml.safe_load(text)["secret"] for text in texts]
    assert found[0] != found[1] and PUBLISHED_SECRETS.isdisjoint(found)
    path = workspace.directory / "new.yaml"
    assert run("config", "generate", "-o", str(path)) == CommandResult(0, "", "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_settings(path, {}).receiver.secret


def test_a_file_that_is_there_is_never_overwritten(run: Run, workspace: Workspace) -> None:
    said = run("config", "generate", "-o", str(workspace.file))
    assert (said.code, "is there already" in said.err) == (1, True)
    assert run("config", "generate", "-o", "/nowhere/x.yaml").err.endswith(
        "/nowhere/x.yaml: No such file or directory\n"
    )


def test_validate_names_every_fault_with_its_line(run: Run, workspace: Workspace) -> None:
    assert run("config", "validate") == CommandResult(0, f"{workspace.file}: nothing is wrong\n", "")
    workspace.file.write_text("prot: 80\ndownload_url: x\n")
    said = run("config", "validate")
    assert said.code == 2
    assert re.search(r"ckanpackager\.yaml:1: prot: unknown key; did you mean port\?\n.*:2: download_url: ", said.err)


def test_validate_checks_named_packages(run: Run, workspace: Workspace) -> None:
    workspace.configure(named_packages={"rows": {"task": "package_datastore"}})
    assert "named_packages.rows: resource_id: missing" in run("config", "validate").err


def test_show_prints_what_takes_effect_and_no_secret(workspace: Workspace) -> None:
    secrets = {"secret": "hush-1", "smtp_login": "portal", "smtp_password": "hush-2", "anonymize_key": "hush-3"}
    secrets |= {"stats_db": "postgresql://user:hush-4@db.example.org/stats", "celery_broker": "redis://:hush-5@r/0"}
    package = {"task": "package_url", "resource_id": "r", "resource_url": "https://x.example.org/a", "key": "hush-6"}
    workspace.configure(**secrets, named_packages={"file": package}, keep_archives=3)
    said = workspace.run("config", "show", CKANPACKAGER_SECRET="hush-7")
    assert said.returncode == 0 and "hush" not in said.stdout
    shown = yaml.safe_load(said.stdout)
    assert shown["keep_archives"] == 3 and shown["spool_directory"] == str(workspace.directory / "spool")
    assert shown["stats_db"] == "postgresql://user:(hidden)@db.example.org/stats"
    assert shown["secret"] == shown["named_packages"]["file"]["key"] == "(hidden)"
    assert shown["doi_body"] and shown["named_packages"]["file"]["resource_url"] == "https://x.example.org/a"


def test_convert_writes_yaml_and_says_what_to_look_at(run: Run, workspace: Workspace, tmp_path: Path) -> None:
    source = tmp_path / "ckanpackager_settings.py"
    source.write_text("PORT = 80\nWORKERS = 3\nEMAIL_BODY = 'http://x.example.org/dl/{zip_file_name}'\n")
    said = run("config", "convert", str(source))
    assert (said.code, yaml.safe_load(said.out)["port"]) == (0, 80)
    assert said.err.startswith(f"{source}:2: WORKERS: not carried over")
    path = tmp_path / "converted.yaml"
    assert run("-q", "config", "convert", str(source), "-o", str(path)) == CommandResult(0, "", "")
    assert load_settings(path, {}).mail.download_url == "http://x.example.org/dl"


@pytest.mark.parametrize(("content", "words"), [(None, "No such file"), ("PORT = ", ":1: Python 3 cannot read this")])
def test_a_file_that_cannot_be_converted_is_one_line(run: Run, tmp_path: Path, content: str | None, words: str) -> None:
    source = tmp_path / "settings.py"
    if content is not None:
        source.write_text(content)
    said = run("config", "convert", str(source))
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1) and words in said.err
