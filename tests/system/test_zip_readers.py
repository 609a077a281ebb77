"""Archives open in the programs that people have."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.programs import needs

from ckanpackager.archives.writer import create
from ckanpackager.config.settings import Archives

ENTRIES = {
    "resource.csv": b"a,b\n" * 50_000,
    "empty.csv": b"",
    "For\u00eat \u6771\u4eac.csv": os.urandom(300_000),
    "README.txt": b"About the data",
}
JAVA = """
import java.io.*; import java.nio.file.*; import java.util.zip.*;
public class Unpack { public static void main(String[] a) throws Exception {
  try (ZipInputStream zip = new ZipInputStream(new FileInputStream(a[0]))) {
    for (ZipEntry e; (e = zip.getNextEntry()) != null; ) Files.copy(zip, Paths.get(a[1], e.getName())); } } }
"""


@pytest.fixture(params=["one go", "pages"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "a.zip"
    with create(path, Archives(), 1_790_000_000.0) as writing:
        for name, content in ENTRIES.items():
            with writing.open(name) as entry:
                if request.param == "pages" and writing.deflated_buffer:
                    for start in range(0, len(content), 100_000):
                        page = writing.deflated_buffer()
                        page.write(content[start : start + 100_000])
                        page.close()
                        page.write_to(entry)  # type: ignore[arg-type]
                else:
                    entry.write(content)
    return path


def unpack(command: list[str | Path], directory: Path) -> dict[str, bytes]:
    done = subprocess.run(
        command, cwd=directory, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.name: path.read_bytes() for path in directory.iterdir()}


COMMANDS: dict[str, Callable[[str, Path], list[str | Path]]] = {
    "unzip": lambda program, path: [program, "-q", path],
    "busybox": lambda program, path: [program, "unzip", "-q", path],
    "7z": lambda program, path: [program, "x", "-y", path],
    "bsdtar": lambda program, path: [program, "-xf", path],
    "python3": lambda program, path: [program, "-m", "zipfile", "-e", path, "."],
}


ONE = pytest.mark.parametrize("archive", ["pages"], indirect=True)
PACKAGES = {"unzip": "unzip", "funzip": "unzip", "busybox": "busybox", "7z": "p7zip-full", "bsdtar": "libarchive-tools"}


@pytest.mark.parametrize("name", PACKAGES)
def test_every_program_is_tried_here(name: str) -> None:
    assert needs(name, debian=PACKAGES[name])


@pytest.mark.parametrize("name", list(filter(shutil.which, COMMANDS)))
def test_every_file_comes_out_as_it_was(name: str, archive: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert unpack(COMMANDS[name](name, archive), tmp_path / "out") == ENTRIES


@ONE
def test_a_program_that_reads_a_stream_gets_every_file(archive: Path, tmp_path: Path) -> None:
    bsdtar = needs("bsdtar", debian="libarchive-tools")
    (tmp_path / "out").mkdir()
    with archive.open("rb") as file:
        subprocess.run([bsdtar, "-xf", "-"], cwd=tmp_path / "out", stdin=file, check=True, capture_output=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == ENTRIES


@ONE
def test_a_program_that_reads_the_first_file_alone_gets_the_data(archive: Path) -> None:
    funzip = needs("funzip", debian="unzip")
    with archive.open("rb") as file:
        done = subprocess.run([funzip], stdin=file, capture_output=True, check=False)
    assert done.stdout == ENTRIES["resource.csv"]


@pytest.mark.skipif(not shutil.which("javac"), reason="javac is not installed")  # large, and seldom there
@ONE
def test_java_unpacks_every_file_from_a_stream(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "Unpack.java").write_text(JAVA)
    command: list[str | Path] = ["java", "-Dfile.encoding=UTF-8", tmp_path / "Unpack.java", archive, "."]
    assert unpack(command, tmp_path / "out") == ENTRIES
