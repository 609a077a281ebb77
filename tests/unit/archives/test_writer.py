"""Archives that every unzip opens: written client to back, of any size, or by the administrator's own command."""

import contextlib
import io
import os
import signal
import stat
import struct
import tempfile
import threading
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest
from support.zip_command import ZIP_COMMAND

from ckanpackager.archives import writer, zip64
from ckanpackager.archives.writer import create
from ckanpackager.archives.zip64 import DeflatedBuffer, ZipArchive
from ckanpackager.config.settings import Archives
from ckanpackager.errors import PermanentFailure, TemporaryFailure
from ckanpackager.worker.signals import Stopped

NOW = 1_790_000_000.0
ENTRIES = {
    "resource.csv": b"a,b\n" * 50_000,
    "empty.csv": b"",
    "Forêt 東京 🦋.csv": os.urandom(300_000),
    "x" * 200 + ".csv": b"x",
}


def write(path: Path, entries: dict[str, bytes], **settings: object) -> None:
    with create(path, Archives(**settings), NOW) as writing:  # type: ignore[arg-type]
        for name, content in entries.items():
            with writing.open(name) as entry:
                for start in range(0, len(content), 70_000):
                    entry.write(content[start : start + 70_000])


def read(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as zip:
        assert zip.testzip() is None
        return {info.filename: zip.read(info) for info in zip.infolist()}


# --- streamed


@pytest.mark.parametrize("level", range(10))
def test_an_archive_holds_what_was_written_at_every_level(level, tmp_path):
    write(tmp_path / "a.zip", ENTRIES, compression_level=level)
    assert read(tmp_path / "a.zip") == ENTRIES


@pytest.mark.parametrize("level", [0, 2, 6])
def test_without_isal_zlib_does_the_same(level, tmp_path, monkeypatch):
    monkeypatch.setattr(zip64, "isal_zlib", None)
    write(tmp_path / "a.zip", ENTRIES, compression_level=level)
    assert read(tmp_path / "a.zip") == ENTRIES
    assert not zip64.isal_installed()


@pytest.mark.parametrize("level", range(4))
def test_pages_deflated_elsewhere_follow_each_other_and_what_is_written_between(level, tmp_path):
    """Their texts are alike, so that a page which referred to another would come out wrong."""
    texts = [b"number,name\n", *(b"%d,the same name\n" % number * 3000 for number in range(9)), b"", b"the same name\n"]
    with create(tmp_path / "a.zip", Archives(compression_level=level), NOW) as writing:
        with writing.open("resource.csv") as entry:
            for number, text in enumerate(texts):
                if number % 3 == 0:
                    entry.write(text)
                else:
                    deflated(writing, text).write_to(entry)
    assert read(tmp_path / "a.zip") == {"resource.csv": b"".join(texts)}


def deflated(writing: writer.Archive, text: bytes) -> DeflatedBuffer:
    assert writing.deflated_buffer
    made = writing.deflated_buffer()
    for start in range(0, len(text), 10_000):
        made.write(text[start : start + 10_000])
    made.close()
    return made


@pytest.mark.parametrize("settings", [{"compression_level": 6}, {"zip_command": ZIP_COMMAND}], ids=["level", "command"])
def test_only_isal_deflates_pages_elsewhere(settings, tmp_path):
    with create(tmp_path / "a.zip", Archives(**settings), NOW) as writing:
        assert writing.deflated_buffer is None
        with writing.open("a") as entry:
            entry.write(b"a")


def test_an_archive_of_nothing_is_one(tmp_path):
    write(tmp_path / "a.zip", {})
    assert read(tmp_path / "a.zip") == {}


def test_a_small_archive_has_nothing_of_zip64(tmp_path):
    """busybox and funzip refuse it, and the Finder unpacks the first file alone."""
    write(tmp_path / "a.zip", ENTRIES)
    data = (tmp_path / "a.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as zip:
        for info in zip.infolist():
            assert (info.extract_version, info.extra) == (20, b"")
            local = data[info.header_offset :]
            assert struct.unpack("<H", local[4:6]) == (20,)
            assert struct.unpack("<3I", local[14:26]) == (info.CRC, info.compress_size, info.file_size)
            name = struct.unpack("<H", local[26:28])[0]
            assert struct.unpack("<2H", local[30 + name : 34 + name]) == (0xA11E, 16)  # padding
    assert data[-22:-18] == b"PK\5\6"
    assert data[-42:-38] != b"PK\6\7"


def test_a_large_entry_has_the_fields_of_zip64_and_a_small_one_beside_it_none(tmp_path):
    more = 2**32 - 1
    with (tmp_path / "a.zip").open("wb") as file:
        zip = ZipArchive(file, 2, NOW)
        with zip.open("small") as entry:
            entry.write(b"a")
        with zip.open("large") as entry:
            entry.size += more  # as if it had been written
        zip.finish()
    data = (tmp_path / "a.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as zip_file:
        small, large = zip_file.infolist()
    assert (small.extract_version, large.extract_version) == (20, 45)
    local = data[large.header_offset :]
    assert struct.unpack("<2I", local[18:26]) == (0xFFFFFFFF, 0xFFFFFFFF)
    assert struct.unpack("<2H2Q", local[35:55]) == (1, 16, more, large.compress_size)


def test_a_file_that_must_stay_small_is_refused_if_it_does_not(tmp_path):
    with (tmp_path / "a.zip").open("wb") as file:
        zip = ZipArchive(file, 2, NOW, zip64=False)
        with pytest.raises(ValueError, match="too large for a ZIP without ZIP64"), zip.open("large") as entry:
            entry.size += 2**32


def test_the_sizes_of_complete_files_are_known(tmp_path):
    for zip_command in (None, ZIP_COMMAND):
        with create(tmp_path / "a.zip", Archives(zip_command=zip_command), NOW) as writing:
            for name, content in ENTRIES.items():
                with writing.open(name) as entry:
                    entry.write(content)
            assert writing.sizes == {name: len(content) for name, content in ENTRIES.items()}


def test_names_are_utf8_modes_are_plain_and_the_time_is_now(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    write(tmp_path / "a.zip", ENTRIES)
    with zipfile.ZipFile(tmp_path / "a.zip") as zip:
        for info in zip.infolist():
            assert info.flag_bits == (0 if info.filename.isascii() else 0x800)
            assert stat.filemode(info.external_attr >> 16) == "-rw-r--r--"
            assert info.date_time == (*time.gmtime(NOW)[:5], time.gmtime(NOW)[5] // 2 * 2)


def test_a_clock_before_1980_is_no_reason_to_fail(tmp_path):
    with create(tmp_path / "a.zip", Archives(), 0.0) as writing, writing.open("a") as entry:
        entry.write(b"a")
    assert read(tmp_path / "a.zip") == {"a": b"a"}


def test_an_archive_may_begin_and_end_beyond_4_gib(tmp_path):
    start = 5 * 2**30
    with (tmp_path / "a.zip").open("wb") as file:
        file.seek(start)  # a hole that takes no room
        zip = ZipArchive(file, 2, NOW)
        for name, content in ENTRIES.items():
            with zip.open(name) as entry:
                entry.write(content)
        zip.finish()
    assert read(tmp_path / "a.zip") == ENTRIES
    with zipfile.ZipFile(tmp_path / "a.zip") as zip_file:
        assert min(info.header_offset for info in zip_file.infolist()) == start


def test_an_entry_may_have_more_than_4_gib(tmp_path):
    more = 5 * 2**30
    with (tmp_path / "a.zip").open("wb") as file:
        zip = ZipArchive(file, 2, NOW)
        with zip.open("large.csv") as entry:
            entry.write(b"a")
            entry.size += more  # as if it had been written
            entry.packed += more
        zip.finish()
    with zipfile.ZipFile(tmp_path / "a.zip") as zip_file:
        (info,) = zip_file.infolist()
        assert info.file_size == more + 1
        assert info.compress_size > more


@pytest.mark.parametrize("count", [65_534, 65_535, 65_536])
def test_an_archive_may_have_more_entries_than_zip_could_count(count):
    file = io.BytesIO()
    zip = ZipArchive(file, 2, NOW)
    with zip.open("a"):
        pass
    zip._members *= count
    zip.finish()
    with zipfile.ZipFile(file) as zip_file:
        assert len(zip_file.infolist()) == count


def test_memory_does_not_grow_with_what_is_written(tmp_path):
    block = os.urandom(1_000_000)
    tracemalloc.start()
    try:
        with create(tmp_path / "a.zip", Archives(), NOW) as writing, writing.open("a") as entry:
            for _ in range(60):
                entry.write(block)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000
    assert (tmp_path / "a.zip").stat().st_size > 60_000_000


def test_bytearrays_are_taken_and_not_kept(tmp_path):
    with create(tmp_path / "a.zip", Archives(), NOW) as writing, writing.open("a") as entry:
        block = bytearray(b"first")
        entry.write(block)
        block[:] = b"other"
        entry.write(block)
    assert read(tmp_path / "a.zip") == {"a": b"firstother"}


# --- entries within entries, and entries that fail


def test_a_deferred_entry_follows_the_open_one(tmp_path):
    with create(tmp_path / "a.zip", Archives(temp_directory=str(tmp_path)), NOW) as writing:
        with writing.open("core") as core:
            core.write(b"1")
            with writing.open_deferred("extension") as extension:
                core.write(b"2")
                extension.write(b"3" * 600_000)
            core.write(b"4")
        with writing.open("last") as last:
            last.write(b"5")
    entries = read(tmp_path / "a.zip")
    assert entries == {"core": b"124", "extension": b"3" * 600_000, "last": b"5"}
    assert list(entries) == ["core", "extension", "last"]
    assert os.listdir(tmp_path) == ["a.zip"]


def test_a_second_open_entry_and_a_deferred_one_without_an_open_one_are_refused(tmp_path):
    with create(tmp_path / "a.zip", Archives(), NOW) as writing:
        with pytest.raises(RuntimeError, match="use open"), writing.open_deferred("a"):
            pass
        with writing.open("a"), pytest.raises(RuntimeError, match="use open_deferred"), writing.open("b"):
            pass


@pytest.mark.parametrize("zip_command", [None, ZIP_COMMAND], ids=["streamed", "zip_command"])
@pytest.mark.parametrize("failing", ["outer", "inner"])
def test_an_entry_that_fails_leaves_nothing_and_stops_nothing(failing, zip_command, tmp_path):
    with create(tmp_path / "a.zip", Archives(zip_command=zip_command), NOW) as writing:
        with writing.open("before") as entry:
            entry.write(b"1")
        with contextlib.suppress(TemporaryFailure), writing.open("outer") as outer:
            outer.write(os.urandom(1_000_000))
            with contextlib.suppress(TemporaryFailure), writing.open_deferred("inner") as inner:
                inner.write(b"2")
                if failing == "inner":
                    raise TemporaryFailure("it broke off")
            if failing == "outer":
                raise TemporaryFailure("it broke off")
        with writing.open("after") as entry:
            entry.write(b"3")
    names = {"before", "after"} | ({"outer"} if failing == "inner" else {"inner"} if zip_command else set())
    assert set(read(tmp_path / "a.zip")) == names


def test_a_full_disk_is_a_temporary_failure_that_says_so():
    with pytest.raises(TemporaryFailure, match="No space left on device; make sure that there is room"):
        write(Path("/dev/full"), {"a": os.urandom(1_000_000)})


def test_a_missing_directory_is_a_temporary_failure_that_names_it(tmp_path):
    with pytest.raises(TemporaryFailure, match=f"archive {tmp_path}/no/a.zip: No such file"):
        write(tmp_path / "no" / "a.zip", ENTRIES)
    (tmp_path / "file").touch()
    with pytest.raises(TemporaryFailure, match=f"archive {tmp_path}/file/no: Not a directory"):
        write(tmp_path / "a.zip", ENTRIES, temp_directory=str(tmp_path / "file" / "no"))


def test_a_missing_temporary_directory_is_made(tmp_path):
    write(tmp_path / "a.zip", ENTRIES, temp_directory=str(tmp_path / "new" / "temp"), zip_command=ZIP_COMMAND)
    assert (tmp_path / "new" / "temp").is_dir() and zipfile.ZipFile(tmp_path / "a.zip").testzip() is None


# --- zip_command


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
]
NAMES += ["{output}.csv", "{input}{output}", "[a-z]*?.csv", "@.csv", "a\\b.csv"]


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

    started, output = threading.Event(), writer._output

    def observed(*arguments: object) -> bytes:
        started.set()
        return output(*arguments)  # type: ignore[arg-type]

    def signal_me() -> None:
        started.wait(60)
        while not pid.exists():
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    monkeypatch.setattr(writer, "_output", observed)
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


def test_deflated_data_ends_where_its_entry_ends(tmp_path):
    write(tmp_path / "a.zip", {"a": b"x" * 1000})
    data = (tmp_path / "a.zip").read_bytes()
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    assert decompressor.decompress(data[30 + 1 + 20 :]) == b"x" * 1000
    assert decompressor.unused_data.startswith(b"PK\1\2")
