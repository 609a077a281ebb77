"""Info-ZIP opens our archives, and is a `zip_command`, as it was for the original."""

import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from support.entries import ENTRIES, NOW
from support.programs import needs

from ckanpackager.archives.writer import create
from ckanpackager.config.settings import Archives

ZIP, UNZIP = needs("zip", debian="zip unzip"), needs("unzip", debian="zip unzip")


def write(path: Path, **settings: Any) -> None:
    with create(path, Archives(**settings), NOW) as writing:
        for name, content in ENTRIES.items():
            with writing.open(name) as entry:
                entry.write(content)


@pytest.mark.parametrize("level", range(10))
def test_unzip_finds_an_archive_of_every_level_in_order(level: int, tmp_path: Path) -> None:
    write(tmp_path / "a.zip", compression_level=level)
    done = subprocess.run([UNZIP, "-t", tmp_path / "a.zip"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"No errors detected" in done.stdout
    for name, content in ENTRIES.items():
        assert (
            subprocess.run([UNZIP, "-p", tmp_path / "a.zip", name], capture_output=True, check=True).stdout == content
        )


def test_zip_is_a_zip_command(tmp_path: Path) -> None:
    write(tmp_path / "a.zip", zip_command=f"{ZIP} -q -j {{output}} {{input}}")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert {as_utf8(info): archive.read(info) for info in archive.infolist()} == ENTRIES


def as_utf8(info: zipfile.ZipInfo) -> str:
    """Info-ZIP's zip writes names in UTF-8, but says so only where the locale en_US.UTF-8 is installed."""
    return info.filename if info.flag_bits & 0x800 else info.filename.encode("cp437").decode()
