"""Archives that the administrator's own command makes: `zip_command`."""

import contextlib
import os
import signal
import stat
import subprocess
import tempfile
import threading
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from support.entries import ENTRIES, NOW, read, write
from support.zip_command import ZIP_COMMAND

from ckanpackager.archives import writer
from ckanpackager.archives.writer import create
from ckanpackager.config.settings import Archives
from ckanpackager.errors import PermanentFailure, TemporaryFailure
from ckanpackager.worker.signals import Stopped


def test_its_archive_has_no_pages_that_were_deflated_elsewhere_and_known_sizes(tmp_path):
    with create(tmp_path / "a.zip", Archives(zip_command=ZIP_COMMAND), NOW) as writing:
        assert writing.deflated_buffer is None
        for name, content in ENTRIES.items():
            with writing.open(name) as entry:
                entry.write(content)
        assert writing.sizes == {name: len(content) for name, content in ENTRIES.items()}


@pytest.mark.parametrize(("failing", "rest"), [("outer", {"inner"}), ("inner", {"outer"})])
def test_an_entry_that_fails_leaves_nothing_and_stops_nothing(failing, rest, tmp_path):
    with create(tmp_path / "a.zip", Archives(zip_command=ZIP_COMMAND), NOW) as writing:
        with writing.open("before") as entry:
            entry.write(b"1")
        with contextlib.suppress(TemporaryFailure), writing.open("outer") as outer:
            outer.write(b"2")
            with contextlib.suppress(TemporaryFailure), writing.open_deferred("inner") as inner:
                inner.write(b"3")
                if failing == "inner":
                    raise TemporaryFailure("it broke off")
            if failing == "outer":
                raise TemporaryFailure("it broke off")
        with writing.open("after") as entry:
            entry.write(b"4")
    assert set(read(tmp_path / "a.zip")) == {"before", "after"} | rest


def test_a_missing_temporary_directory_is_made(tmp_path):
    write(tmp_path / "a.zip", ENTRIES, temp_directory=str(tmp_path / "new" / "temp"), zip_command=ZIP_COMMAND)
    assert (tmp_path / "new" / "temp").is_dir() and zipfile.ZipFile(tmp_path / "a.zip").testzip() is None


def command(directory: Path, name: str, script: str) -> Path:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def scratch(tmp_path: Path) -> str:
    (tmp_path / "scratch").mkdir()
    return str(tmp_path / "scratch")


def test_a_zip_command_zips_every_file(tmp_path, scratch):
    write(tmp_path / "a.zip", ENTRIES, zip_command=ZIP_COMMAND, temp_directory=scratch)
    assert read(tmp_path / "a.zip") == ENTRIES
    assert os.listdir(scratch) == []


def test_an_endless_output_of_a_zip_command_takes_no_memory(tmp_path):
    program = command(tmp_path, "chatty", "yes out & yes err >&2")
    tracemalloc.start()
    try:
        with pytest.raises(TemporaryFailure, match=r"did not end within 0\.5 seconds"):
            write(tmp_path / "a.zip", ENTRIES, zip_command=f"{program} {{output}} {{input}}", zip_timeout=0.5)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


def test_a_zip_command_learns_no_secret_of_ours(tmp_path, monkeypatch):
    monkeypatch.setenv("CKANPACKAGER_SECRET", "hunter2")
    monkeypatch.setenv("ZIPOPT", "-9")
    program = command(tmp_path, "environment", 'env > "$1"')
    write(tmp_path / "a.zip", {"x": b""}, zip_command=f"{program} {{output}} {{input}}")
    assert b"hunter2" not in (tmp_path / "a.zip").read_bytes()
    assert b"ZIPOPT=-9" in (tmp_path / "a.zip").read_bytes()


def test_a_zip_command_adds_nothing_to_what_a_dead_worker_left(tmp_path):
    write(tmp_path / "a.zip", {"old": b"old"})
    write(tmp_path / "a.zip", {"new": b"new"}, zip_command=ZIP_COMMAND)
    assert read(tmp_path / "a.zip") == {"new": b"new"}
    (tmp_path / "a.zip").write_bytes(b"half an archive")
    write(tmp_path / "a.zip", {"new": b"new"}, zip_command=ZIP_COMMAND)
    assert read(tmp_path / "a.zip") == {"new": b"new"}


NAMES = [
    "a b.csv",
    "it's.csv",
    'say "a".csv',
    "$(touch pwned).csv",
    "`touch pwned`;touch pwned.csv",
    "-rm.csv",
    "a&b|c>d",
    "{output}.csv",
    "{input}{output}",
    "[a-z]*?.csv",
    "@.csv",
    "a\\b.csv",
]


@pytest.mark.parametrize("name", NAMES)
def test_no_name_is_anything_but_a_name_to_a_zip_command(name, tmp_path, scratch, monkeypatch):
    monkeypatch.chdir(scratch)
    write(tmp_path / "a b'\"$.zip", {name: b"1", "z": b"2"}, zip_command=ZIP_COMMAND)
    assert read(tmp_path / "a b'\"$.zip") == {name: b"1", "z": b"2"}
    assert os.listdir(scratch) == []


def test_the_words_of_a_zip_command_are_split_as_a_shell_does_and_run_by_none(tmp_path):
    program = command(tmp_path, "my zip", f'printf "%s\\n" "$@" > "{tmp_path}/words"; echo PK > "$2"')
    write(tmp_path / "a.zip", {"x": b""}, zip_command=f"'{program}' --out={{output}} {{output}} 'a  b' \"c;d\" $HOME *")
    words = (tmp_path / "words").read_text().splitlines()
    assert words == [f"--out={tmp_path}/a.zip", f"{tmp_path}/a.zip", "a  b", "c;d", "$HOME", "*"]


@pytest.mark.parametrize("problem", ["missing", "not executable"])
def test_a_program_that_cannot_be_run_is_a_permanent_failure(problem, tmp_path, scratch):
    program = tmp_path / "program"
    if problem == "not executable":
        program.write_text("")
    with pytest.raises(PermanentFailure, match=f"zip_command: {program} cannot be run: .*; install it or correct"):
        write(tmp_path / "a.zip", ENTRIES, zip_command=f"{program} {{output}} {{input}}", temp_directory=scratch)
    assert os.listdir(scratch) == []


def test_an_exit_code_is_a_temporary_failure_with_the_commands_words(tmp_path, scratch):
    program = command(tmp_path, "program", "echo 'disk on\nfire' >&2; exit 7")
    with pytest.raises(TemporaryFailure, match=r"program failed with exit code 7: disk on fire$"):
        write(tmp_path / "a.zip", ENTRIES, zip_command=f"{program} {{output}} {{input}}", temp_directory=scratch)
    assert os.listdir(scratch) == []


def test_a_command_that_is_killed_is_a_temporary_failure(tmp_path):
    program = command(tmp_path, "program", "kill -9 $$")
    with pytest.raises(TemporaryFailure, match="program failed with exit code -9"):
        write(tmp_path / "a.zip", ENTRIES, zip_command=f"{program} {{output}} {{input}}")


def test_a_command_that_writes_nothing_is_a_temporary_failure(tmp_path):
    with pytest.raises(TemporaryFailure, match=r"true wrote no \{output\}"):
        write(tmp_path / "a.zip", ENTRIES, zip_command="true {output} {input}")


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path, scratch):
    pids = tmp_path / "pids"
    program = command(tmp_path, "program", f"sleep 60 & echo $$ $! > {pids}; wait; sleep 60")
    began = time.monotonic()
    with pytest.raises(TemporaryFailure, match=r"program did not end within 0\.3 seconds"):
        write(
            tmp_path / "a.zip",
            ENTRIES,
            zip_command=f"{program} {{output}} {{input}}",
            zip_timeout=0.3,
            temp_directory=scratch,
        )
    assert time.monotonic() - began < 5
    assert os.listdir(scratch) == []
    for pid in pids.read_text().split():
        assert gone(int(pid))


def gone(pid: int) -> bool:
    """Whether a process has ended, though perhaps nobody has asked how."""
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


def test_a_command_may_clean_up_when_it_is_ended(tmp_path):
    program = command(tmp_path, "program", f"trap 'touch {tmp_path}/cleaned; exit 1' TERM; sleep 60 & wait")
    with pytest.raises(TemporaryFailure, match="did not end"):
        write(tmp_path / "a.zip", ENTRIES, zip_command=f"{program} {{output}} {{input}}", zip_timeout=0.3)
    assert (tmp_path / "cleaned").exists()


def test_a_command_that_will_not_end_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "_GRACE", 0.1)
    program = command(tmp_path, "program", "trap '' TERM; while :; do sleep 0.05; done")
    with pytest.raises(TemporaryFailure, match="did not end"):
        write(tmp_path / "a.zip", ENTRIES, zip_command=f"{program} {{output}} {{input}}", zip_timeout=0.3)


def test_a_worker_that_is_told_to_stop_ends_its_command(tmp_path, scratch, monkeypatch):
    pid = tmp_path / "pid"
    program = command(tmp_path, "program", f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 60")

    def stop(number: int, frame: object) -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # a worker, too, is interrupted once
        raise Stopped

    waiting, communicate = threading.Event(), subprocess.Popen.communicate

    def communicating(*words, **options):
        waiting.set()
        return communicate(*words, **options)

    monkeypatch.setattr(subprocess.Popen, "communicate", communicating)

    def signal_me() -> None:
        waiting.wait(30)
        while not pid.exists():
            time.sleep(0.01)
        signal.raise_signal(signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, stop)
    thread = threading.Thread(target=signal_me)
    try:
        thread.start()
        with pytest.raises(Stopped):
            write(tmp_path / "a.zip", ENTRIES, zip_command=f"{program} {{output}} {{input}}", temp_directory=scratch)
        thread.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert gone(int(pid.read_text()))
    assert os.listdir(scratch) == []


def test_children_of_a_command_that_ignore_sigterm_are_ended(tmp_path, scratch, monkeypatch):
    monkeypatch.setattr(writer, "_GRACE", 0.5)
    pid = tmp_path / "pid"
    child = f"trap '' TERM; echo $$ > {pid}.new; mv {pid}.new {pid}; while :; do sleep 60; done"
    program = command(tmp_path, "program", f'sh -c "{child}" & while [ ! -e {pid} ]; do sleep 0.01; done; wait')
    settings = {"zip_command": f"{program} {{output}} {{input}}", "temp_directory": scratch}
    with pytest.raises(TemporaryFailure, match=r"did not end within 2 seconds$"):
        write(tmp_path / "a.zip", ENTRIES, zip_timeout=2, **settings)
    assert gone(int(pid.read_text()))


def test_an_empty_output_of_a_command_is_a_temporary_failure(tmp_path, scratch):
    program = command(tmp_path, "program", 'touch "$1"')
    with pytest.raises(TemporaryFailure, match=r"zip_command: .*program wrote an empty {output}$"):
        write(tmp_path / "a.zip", ENTRIES, zip_command=f"{program} {{output}} {{input}}", temp_directory=scratch)
    assert os.listdir(scratch) == []


def test_the_scratch_directory_is_nobody_elses(tmp_path, scratch):
    seen: list[tuple[str, str]] = []
    (tmp_path / ".key-x.part").mkdir()
    with create(
        tmp_path / ".key-x.part" / "archive.zip",
        Archives(zip_command=ZIP_COMMAND, temp_directory=scratch),
        NOW,
    ) as writing:
        with writing.open("a"):
            pass
        (directory,) = Path(scratch).iterdir()
        seen.append((directory.name, stat.filemode(directory.stat().st_mode)))
    assert seen[0][0].startswith("ckanpackager-key-x.part-")
    assert seen[0][1] == "drwx------"
    assert tempfile.gettempdir() != scratch
