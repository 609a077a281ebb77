"""Archives that every unzip opens: written client to back, of any size, or by the administrator's own command."""

import contextlib
import io
import os
import stat
import struct
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest
from support.entries import ENTRIES, NOW, read, write

from ckanpackager.archives import writer, zip64
from ckanpackager.archives.writer import create
from ckanpackager.archives.zip64 import DeflatedBuffer, ZipArchive
from ckanpackager.config.settings import Archives
from ckanpackager.errors import TemporaryFailure

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


def test_only_isal_deflates_pages_elsewhere(tmp_path):
    with create(tmp_path / "a.zip", Archives(compression_level=6), NOW) as writing:
        assert writing.deflated_buffer is None


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
    with create(tmp_path / "a.zip", Archives(), NOW) as writing:
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


@pytest.mark.parametrize("failing", ["outer", "inner"])
def test_an_entry_that_fails_leaves_nothing_and_stops_nothing(failing, tmp_path):
    with create(tmp_path / "a.zip", Archives(), NOW) as writing:
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
    assert set(read(tmp_path / "a.zip")) == {"before", "after"} | ({"outer"} if failing == "inner" else set())


def test_a_full_disk_is_a_temporary_failure_that_says_so():
    with pytest.raises(TemporaryFailure, match="No space left on device; make sure that there is room"):
        write(Path("/dev/full"), {"a": os.urandom(1_000_000)})


def test_a_missing_directory_is_a_temporary_failure_that_names_it(tmp_path):
    with pytest.raises(TemporaryFailure, match=f"archive {tmp_path}/no/a.zip: No such file"):
        write(tmp_path / "no" / "a.zip", ENTRIES)
    (tmp_path / "file").touch()
    with pytest.raises(TemporaryFailure, match=f"archive {tmp_path}/file/no: Not a directory"):
        write(tmp_path / "a.zip", ENTRIES, temp_directory=str(tmp_path / "file" / "no"))


def test_deflated_data_ends_where_its_entry_ends(tmp_path):
    write(tmp_path / "a.zip", {"a": b"x" * 1000})
    data = (tmp_path / "a.zip").read_bytes()
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    assert decompressor.decompress(data[30 + 1 + 20 :]) == b"x" * 1000
    assert decompressor.unused_data.startswith(b"PK\1\2")
