"""Archives with files that are large, empty, or have awkward names."""

import os
import zipfile
from pathlib import Path

from ckanpackager.archives.writer import create
from ckanpackager.config.settings import Archives

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
