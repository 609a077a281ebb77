"""Fixtures that several files of tests share."""

import logging
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from support.programs import how_to_run
from support.workspace import CommandResult, FakeSmtpServer, Workspace, small_ckan

from ckanpackager.cli.main import main
from ckanpackager.demo.ckan_api import CkanApi

# No search is too slow: on a busy machine each takes many times as long as on an idle one.
hypothesis.settings.register_profile(
    "ckanpackager", deadline=None, database=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("ckanpackager")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A configured directory, whose mails go into a maildir."""
    return Workspace(tmp_path)


@pytest.fixture
def api() -> Iterator[CkanApi]:
    """A CKAN with the resource `r` of three rows."""
    with small_ckan() as api:
        yield api


@pytest.fixture
def smtp() -> Iterator[FakeSmtpServer]:
    """A mail server that takes everything until it is told otherwise."""
    with FakeSmtpServer().running() as smtp:
        yield smtp


@pytest.fixture
def run(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., CommandResult]]:
    """The program in this process: give the words of the command line, get what it said."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level

    def run(*words: str) -> CommandResult:
        monkeypatch.chdir(workspace.directory)
        monkeypatch.setattr(sys, "argv", ["ckanpackager", "--config", str(workspace.file), *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return CommandResult(int(ended.value.code or 0), *capsys.readouterr())

    yield run
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that other users may reach, too."""
    directory = Path(tempfile.mkdtemp())
    yield directory
    shutil.rmtree(directory)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The last lines: why tests were skipped, and what to install to run them."""
    reasons = [report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])]
    if not reasons:
        return
    terminalreporter.section("skipped tests")
    for reason, number in Counter(reasons).most_common():
        terminalreporter.write_line(f"{number:3} {reason}")
    for command in how_to_run(reasons):
        terminalreporter.write_line(f"To run them: {command}", bold=True)
