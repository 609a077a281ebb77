"""One archive being written: `open(name)` gives a binary file in it.

By default the bytes are deflated into the ZIP as they arrive; with `zip_command` they are files first.
"""

import contextlib
import os
import re
import selectors
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from ckanpackager.archives import scratch
from ckanpackager.archives.zip64 import DeflatedBuffer, ZipArchive
from ckanpackager.config.settings import Archives
from ckanpackager.errors import OUR_FAULT, PermanentFailure, TemporaryFailure, one_line
from ckanpackager.formats.registry import Entry

_MAX_SAID = 64 * 1024  # bytes of a command's output that are kept
_GRACE = 5  # seconds that zip_command has to end


class Archive(Protocol):
    """What packagers write to.

    `deflated_buffer`, where there is one, makes a buffer that another thread compresses a page into.  One file is
    `open` at a time; a file that is written beside it is `open_deferred`.  `sizes` has the bytes of each complete file.
    """

    sizes: dict[str, int]

    @property
    def deflated_buffer(self) -> Callable[[], DeflatedBuffer] | None: ...

    def open(self, name: str) -> contextlib.AbstractContextManager[Entry]: ...

    def open_deferred(self, name: str) -> contextlib.AbstractContextManager[Entry]: ...


@contextlib.contextmanager
def create(path: Path, settings: Archives, now: float) -> Iterator[Archive]:
    """Write an archive to `path`; it is complete when the block ends without an error.

    With `zip_command` set, the files are written to a temporary directory first, and zipped by that.  Raises
    TemporaryFailure where the disk is full or the command fails, PermanentFailure if there is no such command.
    """
    try:
        if settings.temp_directory:
            os.makedirs(settings.temp_directory, mode=0o700, exist_ok=True)
        if settings.zip_command is None:
            with path.open("wb") as file:
                zip = ZipArchive(file, settings.compression_level, now, settings.temp_directory)
                yield zip
                zip.finish()
        else:
            with tempfile.TemporaryDirectory(prefix=scratch.prefix(path), dir=settings.temp_directory) as directory:
                files = FilesArchive(Path(directory))
                yield files
                path.unlink(missing_ok=True)  # a dead worker's, which the command might add to
                for name in files.sizes:
                    _run(settings.zip_command, Path(directory) / name, path, settings.zip_timeout)
    except OSError as error:
        place = error.filename or f"{path.parent} or {settings.temp_directory or tempfile.gettempdir()}"
        words = f"archive {place}: {error.strerror}; make sure that there is room"
        raise TemporaryFailure(words, public=OUR_FAULT, kind="storage") from error


class FilesArchive:
    """Files in a directory, for `zip_command`."""

    deflated_buffer = None

    def __init__(self, directory: Path) -> None:
        self.sizes: dict[str, int] = {}
        self._directory = directory

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        path = self._directory / name
        try:
            with path.open("wb") as file:
                yield file
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self.sizes[name] = path.stat().st_size

    open_deferred = open


def _run(command: str, source: Path, target: Path, timeout: float) -> None:
    """Zip one file by the configured command: without a shell, so that no name can be anything but a name."""
    names = {"{input}": str(source), "{output}": str(target)}
    words = [re.sub("{input}|{output}", lambda found: names[found[0]], word) for word in shlex.split(command)]
    pipes: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    try:
        process = subprocess.Popen(  # noqa: S603 - the administrator's own words
            words, start_new_session=True, env=_environment(), **pipes
        )
    except (FileNotFoundError, PermissionError) as error:
        raise PermanentFailure(
            f"zip_command: {words[0]} cannot be run: {error.strerror}; install it or correct zip_command",
            public=OUR_FAULT,
            kind="configuration",
        ) from error
    with process:
        try:
            said = _output(process, timeout)
        except subprocess.TimeoutExpired as error:
            raise _failure(f"{words[0]} did not end within {timeout:g} seconds") from error
        finally:  # also when this worker is told to stop
            _end(process)
    if process.returncode:
        words_said = one_line(said.decode("utf-8", "replace"), 300)
        raise _failure(f"{words[0]} failed with exit code {process.returncode}: {words_said}")
    if not target.exists():
        raise _failure(f"{words[0]} wrote no {{output}}")
    if not target.stat().st_size:
        raise _failure(f"{words[0]} wrote an empty {{output}}")


def _environment() -> dict[str, str]:
    """Our environment without our secrets, which `ps` could show to other users."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CKANPACKAGER_")}


def _output(process: "subprocess.Popen[bytes]", timeout: float) -> bytes:
    """The start of what a command says until it ends: its errors, else its output.  Raises TimeoutExpired."""
    ends = time.monotonic() + timeout
    said: dict[Any, bytes] = {process.stderr: b"", process.stdout: b""}
    with selectors.DefaultSelector() as selector:
        for pipe in said:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            if (left := ends - time.monotonic()) <= 0:
                raise subprocess.TimeoutExpired(process.args, timeout)
            for key, _ in selector.select(left):
                if chunk := os.read(key.fd, _MAX_SAID):
                    said[key.fileobj] = (said[key.fileobj] + chunk)[:_MAX_SAID]
                else:
                    selector.unregister(key.fileobj)
    process.wait(max(0.1, ends - time.monotonic()))
    return next(filter(None, said.values()), b"")


def _failure(words: str) -> TemporaryFailure:
    return TemporaryFailure(f"zip_command: {words}", public=OUR_FAULT, kind="storage")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a command and all that it started: politely first, since it may have temporary files to remove."""
    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(_GRACE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # its children may ignore SIGTERM and outlive it
    process.wait()
