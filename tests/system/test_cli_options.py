"""-v and -q: on either side of the command, alone or with other letters, and never taken from another option."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from support.workspace import CommandResult, Workspace, small_ckan

from ckanpackager.cli.commands import COMMANDS, command
from ckanpackager.demo.ckan_api import CkanApi

Run = Callable[..., CommandResult]


def every_command() -> Iterator[tuple[str, ...]]:
    for name in sorted(COMMANDS):
        yield (name,)
        found = command(name)
        if isinstance(found, click.Group):
            yield from ((name, inner) for inner in found.commands)


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_the_help_of_every_command_shows_both(run: Run, words: tuple[str, ...]) -> None:
    said = run(*words, "--help")
    assert said.code == 0
    assert re.search(r"^  -v, --verbose +Log what happens, on standard error", said.out, re.MULTILINE)
    assert re.search(r"^  -q, --quiet +Print nothing but errors", said.out, re.MULTILINE)


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
@pytest.mark.parametrize("given", [["-v"], ["-q"], ["-qv"], ["--verbose", "--quiet"]], ids=" ".join)
def test_every_command_takes_both_before_and_after_it(run: Run, words: tuple[str, ...], given: list[str]) -> None:
    for line in ([*given, *words, "--help"], [*words, *given, "--help"]):
        said = run(*line)
        assert (said.code, said.err) == (0, "") and said.out.startswith("Usage: ")


@pytest.mark.parametrize("line", ["process -v", "-v process", "process --verbose", "process -qv", "-vq process"])
def test_v_logs_what_happens(workspace: Workspace, api: CkanApi, line: str) -> None:
    workspace.queue(api)
    done = workspace.run(*line.split())
    assert done.returncode == 0 and "packaging done" in done.stderr


@pytest.mark.parametrize(
    "line", ["status -q", "-q status", "status --quiet", "jobs -q", "stats -q", "cc -q", "-q clean"]
)
def test_q_prints_nothing(run: Run, line: str) -> None:
    assert run(*line.split()) == (0, "", "")


@pytest.mark.parametrize("line", ["stats -qx", "-qx stats", "-xq stats", "stats errors -xql5", "-xql5 stats errors"])
def test_letters_of_one_word_are_heeded_one_by_one(workspace: Workspace, run: Run, line: str) -> None:
    with workspace.statistics() as statistics:
        statistics.record_error(job="j", resource_id="r", email="a@example.org", message="no", now=1000)
    assert run(*line.split()) == (1, "", "")


@pytest.mark.parametrize("before", [True, False])
def test_the_value_of_another_option_is_not_taken_for_one(workspace: Workspace, run: Run, before: bool) -> None:
    api = "https://data.example.org/api/3/action/datastore_search"
    (workspace.directory / "-q").write_text(f'{{"api_url": "{api}", "email": "a@example.org"}}')
    words = ["queue", "package_datastore", "resource_id:r"]
    said = run("-d", "-q", *words) if before else run(*words, "-d", "-q")
    assert said.code == 0 and said.out.strip() == workspace.spool.ids("slow")[0]


def test_after_two_hyphens_they_are_words(run: Run, workspace: Workspace) -> None:
    said = run("queue", "--", "package_datastore", "-q")
    assert said.code == 2 and "'-q': expected PARAM:VALUE" in said.err


def test_with_an_idle_process_q_and_v_say_nothing(workspace: Workspace, tmp_path: Path) -> None:
    for line in ("process -q", "process -v", "process"):
        done = workspace.run(*line.split())
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_errors_are_said_with_q(run: Run) -> None:
    said = run("status", "-q", "20261124T025758123456-5d41402abc4b2a76b9719d911017c592")
    assert said.code == 2 and "there is no such job" in said.err


def test_a_served_job_is_silent_without_v(workspace: Workspace) -> None:
    with small_ckan() as api:
        workspace.queue(api)
        done = workspace.run("process")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
