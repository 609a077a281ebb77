"""Fixtures that several files of tests share."""

import logging
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from place import Place, Post, Said, small_ckan

from ckanpackager.cli import main
from ckanpackager.demo.ckan_api import CkanApi


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A configured directory, whose mails go into a maildir."""
    return Place(tmp_path)


@pytest.fixture
def api() -> Iterator[CkanApi]:
    """A CKAN with the resource `r` of three rows."""
    with small_ckan() as api:
        yield api


@pytest.fixture
def post() -> Iterator[Post]:
    """A mail server that takes everything until it is told otherwise."""
    with Post().running() as post:
        yield post


@pytest.fixture
def run(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Said]]:
    """The program in this process: give the words of the command line, get what it said."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level

    def run(*words: str) -> Said:
        monkeypatch.chdir(place.directory)
        monkeypatch.setattr(sys, "argv", ["ckanpackager", "--config", str(place.file), *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return Said(int(ended.value.code or 0), *capsys.readouterr())

    yield run
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that other users may reach, too."""
    directory = Path(tempfile.mkdtemp())
    yield directory
    shutil.rmtree(directory)
