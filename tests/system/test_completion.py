"""Completion, by the shells themselves: commands, tasks, parameters, formats, job ids."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.programs import needs
from support.workspace import PATIENCE, CommandResult, Workspace, environment

URL = "https://data.example.org/api/3/action/datastore_search"
Complete = Callable[[str], list[str]]
SHELLS = ("bash", "zsh", "fish")


@pytest.fixture
def home(workspace: Workspace) -> Workspace:
    """A workspace with the program on the path, and the scripts of all shells."""
    (workspace.directory / "bin").mkdir()
    program = workspace.directory / "bin" / "ckanpackager"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ckanpackager "$@"\n')
    program.chmod(0o755)
    for shell in SHELLS:
        done = workspace.run("completion", shell)
        assert (done.returncode, done.stderr) == (0, "")
        (workspace.directory / f"script.{shell}").write_text(done.stdout)
    return workspace


def surroundings(home: Workspace, **more: str) -> dict[str, str]:
    path = f"{home.directory / 'bin'}:{os.environ['PATH']}"
    known = {"PATH": path, "HOME": str(home.directory), "TERM": "dumb", "CKANPACKAGER_CONFIG": str(home.file)}
    return environment({**known, **more})


def by_bash(home: Workspace, line: str, **more: str) -> list[str]:
    """What bash would put behind what it takes for the last word."""
    bash = needs("bash", debian="bash")
    program = f"source '{home.directory}/script.bash'; COMP_LINE=$1 COMP_POINT=${{#1}}; "
    program += "_ckanpackager_completion ckanpackager; printf '%s\\n' \"${COMPREPLY[@]}\""
    command = [bash, "--norc", "-c", program, "bash", line]
    done = subprocess.run(
        command, env=surroundings(home, **more), cwd=home.directory, capture_output=True, text=True, check=False
    )
    assert [line for line in done.stderr.splitlines() if "compopt" not in line] == []  # no line editor is there
    return done.stdout.split("\n")[:-1] if done.stdout != "\n" else []


def by_fish(home: Workspace, line: str) -> list[str]:
    fish = needs("fish", debian="fish")
    program = f"source '{home.directory}/script.fish'; complete -C '{line}'"
    done = subprocess.run(
        [fish, "--no-config", "-c", program], env=surroundings(home), capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return [line.partition("\t")[0] for line in done.stdout.splitlines()]


def typed(home: Workspace, command: list[str], before: str, keys: str, wanted: str) -> bool:
    """Whether a terminal shows what is wanted when keys are pressed in a shell that is prepared."""
    process, master = pty.fork()
    if not process:
        os.chdir(home.directory)
        os.execvpe(command[0], command, surroundings(home, PS1="ready> ", COLUMNS="300"))
    try:
        return shows(master, f"{before}; echo pre''pared\n", "prepared\nready> ") and shows(master, keys, wanted)
    finally:
        os.kill(process, 9)
        os.waitpid(process, 0)
        os.close(master)


def shows(master: int, keys: str, wanted: str) -> bool:
    os.write(master, keys.encode())
    deadline, shown = time.monotonic() + PATIENCE, ""
    while wanted not in (screen := as_a_terminal_shows_it(shown)) and time.monotonic() < deadline:
        if select.select([master], [], [], 1)[0]:
            shown += os.read(master, 65536).decode(errors="replace")
    assert wanted in screen, screen
    return True


def as_a_terminal_shows_it(text: str) -> str:
    """Without bells, colours and modes, and without what is erased by a backspace, or at the end of a line."""
    text = re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]|\a", "", text)
    text = re.sub(r"[%#] *\r \r", "", text)  # zsh's mark of a line without an end
    return re.sub(r".\x08", "", text).replace("\r", "")


def queue(home: Workspace, resource_id: str, state: str) -> str:
    id = home.queue(URL, resource_id=resource_id)
    if state == "failed":
        claim = home.spool.claim(id, "fast")
        assert claim
        claim.fail()
    return id


def test_bash_completes_commands_tasks_parameters_and_formats(home: Workspace) -> None:
    assert by_bash(home, "ckanpackager pro") == ["process"]
    found = by_bash(home, "ckanpackager -v queue package_d")
    assert sorted(found) == ["package_dataset", "package_datastore", "package_dwc_archive"]
    assert by_bash(home, "ckanpackager queue package_datastore re") == ["resource_id:"]
    assert by_bash(home, "ckanpackager queue package_url re") == ["resource_id:", "resource_url:"]
    assert by_bash(home, "ckanpackager queue package_url resource_id:1 re") == ["resource_url:"]
    assert by_bash(home, "ckanpackager queue package_datastore resource_id:1 format:x") == ["xlsx"]
    assert by_bash(home, "ckanpackager queue package_datastore plain:") == ["true", "false"]
    assert by_bash(home, "ckanpackager stats err") == ["errors"]
    assert by_bash(home, "ckanpackager jobs --format ") == ["table", "json", "csv"]
    assert "--wait" in by_bash(home, "ckanpackager queue --")


def test_bash_completes_the_ids_of_jobs_that_a_command_is_for(home: Workspace) -> None:
    waiting, failed = queue(home, "r1", "fast"), queue(home, "r2", "failed")
    assert by_bash(home, "ckanpackager status ") == [failed, waiting]
    assert by_bash(home, f"ckanpackager status {waiting[:-1]}") == [waiting]
    assert by_bash(home, "ckanpackager retry ") == [failed]
    assert by_bash(home, f"ckanpackager retry {failed} ") == []
    assert by_bash(home, "ckanpackager cancel ") == [waiting]
    assert by_bash(home, "ckanpackager status -p elsewhere ") == []
    file = home.file.rename(home.directory / "other.yaml")
    assert by_bash(home, f"ckanpackager --config {file} cancel ") == [waiting]


@pytest.mark.parametrize("content", [None, "port: x", "spool_directory: nowhere", "spool_directory: /dev/null"])
def test_without_a_usable_configuration_no_id_is_offered_and_nothing_is_said(
    home: Workspace, content: str | None
) -> None:
    home.file.unlink()
    if content:
        home.file.write_text(f"download_url: https://data.example.org\n{content}\n")
    before = set(home.directory.rglob("*"))
    assert by_bash(home, "ckanpackager status ") == []
    assert set(home.directory.rglob("*")) == before


def test_a_tab_in_bash_finishes_a_format_behind_its_colon(home: Workspace) -> None:
    bash = needs("bash", debian="bash")
    before = f"source '{home.directory}/script.bash'"
    keys = "ckanpackager queue package_datastore format:xl\t#"
    wanted = "ckanpackager queue package_datastore format:xlsx #"
    assert typed(home, [bash, "--norc", "--noprofile", "-i"], before, keys, wanted)


def test_a_tab_in_bash_leaves_no_blank_behind_a_parameters_name(home: Workspace) -> None:
    bash = needs("bash", debian="bash")
    before = f"source '{home.directory}/script.bash'"
    keys = "ckanpackager queue package_datastore resource_i\t#"
    wanted = "ckanpackager queue package_datastore resource_id:#"
    assert typed(home, [bash, "--norc", "--noprofile", "-i"], before, keys, wanted)


def test_a_tab_in_zsh_finishes_words(home: Workspace) -> None:
    zsh = needs("zsh", debian="zsh")
    before = f"autoload -Uz compinit; compinit -u -D; source '{home.directory}/script.zsh'"
    for keys, wanted in (
        ("ckanpackager proc\t#", "ckanpackager process #"),
        ("ckanpackager queue package_datast\t#", "queue package_datastore #"),
        ("ckanpackager queue package_datastore resource_i\t#", "package_datastore resource_id:#"),
        ("ckanpackager queue package_datastore format:xl\t#", "package_datastore format:xlsx #"),
    ):
        assert typed(home, [zsh, "-f", "-i"], before, keys, wanted)


def test_zsh_completes_the_id_of_a_job(home: Workspace) -> None:
    zsh, id = needs("zsh", debian="zsh"), queue(home, "r1", "fast")
    before = f"autoload -Uz compinit; compinit -u -D; source '{home.directory}/script.zsh'"
    assert typed(home, [zsh, "-f", "-i"], before, "ckanpackager cancel 2\t#", f"cancel {id} #")


def test_fish_completes_commands_parameters_formats_and_job_ids(home: Workspace) -> None:
    id = queue(home, "r1", "fast")
    assert by_fish(home, "ckanpackager proc") == ["process"]
    assert by_fish(home, "ckanpackager queue package_datastore resource_i") == ["resource_id:"]
    assert by_fish(home, "ckanpackager queue package_datastore format:xl") == ["format:xlsx"]
    assert by_fish(home, "ckanpackager cancel ") == [id]


def test_another_shell_is_refused_in_words(run: Callable[..., CommandResult], workspace: Workspace) -> None:
    said = run("completion", "tcsh")
    assert said.code == 2 and "'bash', 'zsh', 'fish'" in said.err


def test_printing_a_script_needs_no_configuration_and_no_shell(tmp_path: Path) -> None:
    for shell in SHELLS:
        command = [sys.executable, "-m", "ckanpackager", "completion", shell]
        done = subprocess.run(
            command, cwd=tmp_path, env={"PATH": ""}, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        assert (done.returncode, done.stderr) == (0, "") and "_CKANPACKAGER_COMPLETE" in done.stdout
