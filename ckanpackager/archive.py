"""One archive being written: `open(name)` gives a binary file in it.

By default the bytes are deflated into the ZIP as they arrive, by isal where it is installed.  The format is PKWARE's
APPNOTE.TXT 6.3.10, always with the ZIP64 fields, since the
size of what streams through is known only at its end.
"""

import contextlib
import os
import re
import shlex
import signal
import struct
import subprocess
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from ckanpackager.errors import PermanentFailure, TemporaryFailure
from ckanpackager.settings import Archives

try:
    from isal import isal_zlib
except ImportError:  # no wheel for this machine: zlib does the same, slower
    isal_zlib = None  # type: ignore[assignment]

FASTEST_LEVELS = 3  # isal's highest level; from there on zlib's
_FLAGS = 0x0800  # bit 11: names are UTF-8
_VERSION = 45  # ZIP64
_BLOCK = 256 * 1024
_GRACE = 5  # seconds that zip_command has to end
_MAX32 = 0xFFFFFFFF


class Entry(Protocol):
    """A file in an archive, to be written from start to end."""

    def write(self, content: bytes | bytearray, /) -> Any: ...


class Archive(Protocol):
    """What packagers write to."""

    def open(self, name: str) -> contextlib.AbstractContextManager[Entry]: ...


@contextlib.contextmanager
def create(path: Path, settings: Archives, now: float) -> Iterator[Archive]:
    """Write an archive to `path`; it is complete when the block ends without an error.

    With `zip_command` set, the files are written to a temporary directory first, and zipped by that.  Raises
    TemporaryFailure where the disk is full or the command fails, PermanentFailure if there is no such command.
    """
    try:
        if settings.zip_command is None:
            with path.open("wb") as file:
                zip = ZipArchive(file, settings.compression_level, now, settings.temp_directory)
                yield zip
                zip.finish()
        else:
            prefix = f"ckanpackager-{path.name.strip('.')}-"
            with tempfile.TemporaryDirectory(prefix=prefix, dir=settings.temp_directory) as directory:
                files = FilesArchive(Path(directory))
                yield files
                path.unlink(missing_ok=True)  # a dead worker's, which the command might add to
                for name in files.names:
                    _run(settings.zip_command, Path(directory) / name, path, settings.zip_timeout)
    except OSError as error:
        place = error.filename or f"{path.parent} or {settings.temp_directory or tempfile.gettempdir()}"
        raise TemporaryFailure(f"archive {place}: {error.strerror}; make sure that there is room") from error


class FilesArchive:
    """Files in a directory, for `zip_command`."""

    def __init__(self, directory: Path) -> None:
        self.names: list[str] = []
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
        self.names.append(name)


def isal_installed() -> bool:
    return isal_zlib is not None


class ZipArchive:
    """A ZIP written front to back; an entry's header is completed when its end is known."""

    def __init__(self, file: BinaryIO, level: int, now: float, scratch: str | None = None) -> None:
        self._file = file
        self._level = level
        self._scratch = scratch
        self._open = False
        self._aside: list[tuple[str, BinaryIO]] = []
        self._moment = _dos_time(now)
        self._directory: list[bytes] = []

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[Entry]:
        """A file in the archive; within the block of another one it is written aside, and follows that.

        A block that ends with an error leaves nothing of its file.
        """
        if self._open:
            aside = tempfile.TemporaryFile(dir=self._scratch)  # noqa: SIM115 - it outlives this block
            self._aside.append((name, aside))
            try:
                yield aside
            except BaseException:
                self._aside.remove((name, aside))
                aside.close()
                raise
            return
        start, self._open = self._file.tell(), True
        try:
            self._file.write(self._local_header(name.encode(), 0, 0, 0))
            entry = ZipEntry(self._file, self._level)
            yield entry
            entry.finish()
            self._complete(name, entry, start)
        except BaseException:
            self._file.seek(start)
            self._file.truncate()
            while self._aside:
                self._aside.pop()[1].close()
            raise
        finally:
            self._open = False
        self._append_aside()

    def _complete(self, name: str, entry: "ZipEntry", start: int) -> None:
        end = self._file.tell()
        self._file.seek(start)
        self._file.write(self._local_header(name.encode(), entry.crc, entry.packed, entry.size))
        self._file.seek(end)
        self._directory.append(self._central_header(name.encode(), entry, start))

    def _append_aside(self) -> None:
        waiting, self._aside = self._aside, []
        for name, aside in waiting:
            with aside, self.open(name) as entry:
                aside.seek(0)
                while block := aside.read(_BLOCK):
                    entry.write(block)

    def finish(self) -> None:
        """Write the central directory."""
        start = self._file.tell()
        for header in self._directory:
            self._file.write(header)
        size, count, end = self._file.tell() - start, len(self._directory), self._file.tell()
        record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, _VERSION, _VERSION, 0, 0, count, count, size, start)
        locator = struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
        last = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, min(count, 0xFFFF), min(count, 0xFFFF), _MAX32, _MAX32, 0)
        self._file.write(record + locator + last)

    def _local_header(self, name: bytes, crc: int, packed: int, size: int) -> bytes:
        extra = struct.pack("<2H2Q", 1, 16, size, packed)
        fixed = struct.pack(
            "<4s3H2H3I2H", b"PK\3\4", _VERSION, _FLAGS, zlib.DEFLATED, *self._moment, crc, _MAX32, _MAX32, len(name), 20
        )
        return fixed + name + extra

    def _central_header(self, name: bytes, entry: "ZipEntry", start: int) -> bytes:
        extra = struct.pack("<2H3Q", 1, 24, entry.size, entry.packed, start)
        made_by = 3 << 8 | _VERSION  # 3: Unix, whose file mode is in the attributes
        fixed = struct.pack(
            "<4s4H2H3I5H2I",
            *(b"PK\1\2", made_by, _VERSION, _FLAGS, zlib.DEFLATED, *self._moment, entry.crc, _MAX32, _MAX32),
            *(len(name), len(extra), 0, 0, 0, 0o100644 << 16, _MAX32),
        )
        return fixed + name + extra


class ZipEntry:
    """Bytes on their way through the compressor."""

    def __init__(self, file: BinaryIO, level: int) -> None:
        self.crc = self.size = self.packed = 0
        self._file = file
        self._crc32, self._compressor = _deflate(level)

    def write(self, content: bytes | bytearray) -> None:
        self.crc = self._crc32(content, self.crc)
        self.size += len(content)
        self._pass_on(self._compressor.compress(content))

    def finish(self) -> None:
        self._pass_on(self._compressor.flush())

    def _pass_on(self, packed: bytes) -> None:
        self.packed += len(packed)
        self._file.write(packed)


def _deflate(level: int) -> tuple[Any, Any]:
    """CRC function and compressor: isal up to its highest level, zlib beyond or without isal."""
    if isal_zlib is not None and level <= FASTEST_LEVELS:
        return isal_zlib.crc32, isal_zlib.compressobj(level, wbits=-zlib.MAX_WBITS)
    return zlib.crc32, zlib.compressobj(level, wbits=-zlib.MAX_WBITS)


def _dos_time(now: float) -> tuple[int, int]:
    """Time and date as MS-DOS counted them: in two seconds, from 1980 on."""
    at = time.localtime(max(now, 315619200))
    return at.tm_hour << 11 | at.tm_min << 5 | at.tm_sec // 2, (at.tm_year - 1980) << 9 | at.tm_mon << 5 | at.tm_mday


def _run(command: str, source: Path, target: Path, timeout: float) -> None:
    """Zip one file by the configured command: without a shell, so that no name can be anything but a name."""
    names = {"{input}": str(source), "{output}": str(target)}
    words = [re.sub("{input}|{output}", lambda found: names[found[0]], word) for word in shlex.split(command)]
    pipes: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    try:
        process = subprocess.Popen(  # noqa: S603 - the administrator's own words
            words, start_new_session=True, **pipes
        )
    except (FileNotFoundError, PermissionError) as error:
        raise PermanentFailure(
            f"zip_command: {words[0]} cannot be run: {error.strerror}; install it or correct zip_command"
        ) from error
    with process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            _end(process)
            raise TemporaryFailure(f"zip_command: {words[0]} did not end within {timeout:g} seconds") from error
        except BaseException:  # this worker is told to stop
            _end(process)
            raise
    if process.returncode:
        said = " ".join((err or out).decode("utf-8", "replace").split())[:300]
        raise TemporaryFailure(f"zip_command: {words[0]} failed with exit code {process.returncode}: {said}")
    if not target.exists():
        raise TemporaryFailure(f"zip_command: {words[0]} wrote no {{output}}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a command and what it started, which may have temporary files to remove."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, number)
            process.wait(_GRACE)
            return
