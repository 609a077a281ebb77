"""Who may read what, under the usual umask 022; and what reaches a terminal."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.workspace import Workspace

from ckanpackager.demo.ckan_api import CkanApi, Handler

BELL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_no_other_user_may_read_what_is_not_served(workspace: Workspace, api: CkanApi) -> None:
    workspace.configure(log="events.log")
    workspace.queue(api)
    workspace.run("process")
    workspace.run("stats")
    assert [name for name in ("stats.db", "events.log") if (workspace.directory / name).stat().st_mode & 0o007] == []
    for path in (workspace.directory / "spool").rglob("*"):
        assert mode(path) & 0o077 == 0, path


def test_the_store_is_opened_by_name_and_not_listed(workspace: Workspace, api: CkanApi) -> None:
    workspace.queue(api)
    workspace.run("process")
    store = workspace.directory / "store"
    assert mode(store) == 0o711
    (archive,) = store.rglob("*.zip")
    assert (mode(archive.parent), mode(archive)) == (0o711, 0o644)


def test_a_store_that_everybody_could_list_is_closed(workspace: Workspace, api: CkanApi) -> None:
    store = workspace.directory / "store"
    store.mkdir(mode=0o755)
    workspace.queue(api)
    workspace.run("process")
    assert mode(store) == 0o711


def test_a_store_of_a_group_stays_one(workspace: Workspace, api: CkanApi) -> None:
    store = workspace.directory / "store"
    store.mkdir()
    store.chmod(0o2775)
    workspace.queue(api)
    workspace.run("process")
    (archive,) = store.rglob("*.zip")
    assert (mode(store), mode(archive.parent), mode(archive)) == (0o2771, 0o2771, 0o644)


def test_a_store_that_was_closed_further_stays_so(workspace: Workspace, api: CkanApi) -> None:
    store = workspace.directory / "store"
    store.mkdir(mode=0o750)
    workspace.queue(api)
    workspace.run("process")
    assert mode(store) == 0o750


def test_no_control_character_of_ckan_reaches_a_terminal(workspace: Workspace, api: CkanApi) -> None:
    def ring(handler: Handler, action: str, params: dict[str, Any], nth: int) -> bool:
        body = json.dumps({"success": False, "error": {"message": f"no {BELL}"}})
        handler.reply(409, body)
        return True

    api.fault = ring
    workspace.configure(log="events.log")
    id = workspace.queue(api)
    said = [workspace.run(*words) for words in (["-v", "process"], ["status", id], ["stats", "errors"])]
    said.append(workspace.run("stats", "errors", "--format", "csv"))
    texts = [run.stdout + run.stderr for run in said] + [(workspace.directory / "events.log").read_text()]
    for text in texts:
        assert "owned" in text
        assert not set(text) & set("\x1b\x07\x9b\u202e"), text
