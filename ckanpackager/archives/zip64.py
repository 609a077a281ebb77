"""A ZIP file written front to back, deflated by isal where it is installed, of any size."""

import contextlib
import tempfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO, Protocol

from msgspec.structs import replace

from ckanpackager.archives.zip_headers import Member, central_header, dos_time, end_of_directory, local_header

try:
    from isal import isal_zlib
except ImportError:  # no wheel for this machine: zlib does the same, slower
    isal_zlib = None  # type: ignore[assignment]

FASTEST_LEVELS = 3  # isal's highest level; from there on zlib's
_BLOCK = 256 * 1024


def isal_installed() -> bool:
    return isal_zlib is not None


class Output(Protocol):
    """A file that a ZIP is written to."""

    def write(self, content: bytes | bytearray, /) -> int: ...

    def tell(self) -> int: ...

    def seek(self, offset: int, /) -> int: ...

    def truncate(self) -> int: ...


class DeflatedBuffer:
    """A page of a file, compressed on its own while it arrives, several pages at a time.

    Its data ends on a byte boundary and refers to nothing before it (RFC 1951, 3.2.4), so that buffers can follow each
    other in one stream.
    """

    def __init__(self, level: int) -> None:
        self.crc = self.size = 0
        self.packed: list[bytes] = []
        self._waiting = bytearray()
        self._compressor = isal_zlib.compressobj(level, wbits=-zlib.MAX_WBITS)

    def write(self, content: bytes) -> None:
        self._waiting += content
        if len(self._waiting) >= _BLOCK:  # in large pieces: threads get into each other's way each time
            self._deflate()

    def close(self) -> None:
        self._deflate()
        self.packed.append(self._compressor.flush(isal_zlib.Z_FULL_FLUSH))
        del self._compressor  # it is larger than what it made

    def _deflate(self) -> None:
        self.crc = isal_zlib.crc32(self._waiting, self.crc)
        self.size += len(self._waiting)
        self.packed.append(self._compressor.compress(self._waiting))
        self._waiting.clear()

    def write_to(self, entry: "ZipEntry") -> None:
        """Put the data behind what the entry has."""
        entry.append(self)


class ZipArchive:
    """A ZIP written front to back; an entry's header is completed when its end is known.

    `sizes` has the bytes of each complete file.  Without `zip64`, a file must stay below 4 GiB.
    """

    def __init__(self, file: Output, level: int, now: float, scratch: str | None = None, *, zip64: bool = True) -> None:
        self.sizes: dict[str, int] = {}
        self._file = file
        self._level = level
        self._scratch = scratch
        self._open = False
        self._deferred: list[tuple[str, BinaryIO]] = []
        self._zip64 = zip64
        self._moment = dos_time(now)
        self._members: list[Member] = []

    @property
    def deflated_buffer(self) -> Callable[[], DeflatedBuffer] | None:
        """What compresses a page elsewhere, in another thread; None where only the entry itself can compress."""
        return partial(DeflatedBuffer, self._level) if _by_isal(self._level) else None

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator["ZipEntry"]:
        """A file in the archive, written from start to end; one at a time.

        A block that ends with an error leaves nothing of its file.
        """
        if self._open:
            raise RuntimeError(f"{name}: another file of the archive is open; use open_deferred")
        self._open = True
        member = Member(name=name, start=self._file.tell(), moment=self._moment)
        try:
            self._file.write(local_header(member, may_grow=self._zip64))
            entry = ZipEntry(self._file, self._level)
            yield entry
            entry.finish()
            self._complete(replace(member, crc=entry.crc, size=entry.size, packed=entry.packed))
        except BaseException:
            self._file.seek(member.start)
            self._file.truncate()
            while self._deferred:
                self._deferred.pop()[1].close()
            raise
        finally:
            self._open = False
        self._append_deferred()

    @contextlib.contextmanager
    def open_deferred(self, name: str) -> Iterator[BinaryIO]:
        """A file that is written while another one is open: in a temporary file, until that one is complete."""
        if not self._open:
            raise RuntimeError(f"{name}: no file of the archive is open that it could follow; use open")
        file = tempfile.TemporaryFile(dir=self._scratch)  # noqa: SIM115 - it outlives this block
        self._deferred.append((name, file))
        try:
            yield file
        except BaseException:
            self._deferred.remove((name, file))
            file.close()
            raise

    def _complete(self, member: Member) -> None:
        end = self._file.tell()
        self._file.seek(member.start)
        self._file.write(local_header(member, may_grow=self._zip64))
        self._file.seek(end)
        self._members.append(member)
        self.sizes[member.name] = member.size

    def _append_deferred(self) -> None:
        waiting, self._deferred = self._deferred, []
        for name, file in waiting:
            with file, self.open(name) as entry:
                file.seek(0)
                while block := file.read(_BLOCK):
                    entry.write(block)

    def finish(self) -> None:
        """Write the central directory."""
        start = self._file.tell()
        for member in self._members:
            self._file.write(central_header(member))
        self._file.write(end_of_directory(len(self._members), start, self._file.tell() - start))


class ZipEntry:
    """Bytes on their way through the compressor."""

    def __init__(self, file: Output, level: int) -> None:
        self.crc = self.size = self.packed = 0
        self._file = file
        self._crc32, self._compressor = _deflate(level)

    def write(self, content: bytes | bytearray) -> None:
        self.crc = self._crc32(content, self.crc)
        self.size += len(content)
        self._pass_on(self._compressor.compress(content))

    def append(self, page: DeflatedBuffer) -> None:
        """Put a page that is compressed already behind what was written."""
        self._pass_on(self._compressor.flush(isal_zlib.Z_FULL_FLUSH))
        self.crc = isal_zlib.crc32_combine(self.crc, page.crc, page.size)
        self.size += page.size
        for packed in page.packed:
            self._pass_on(packed)

    def finish(self) -> None:
        self._pass_on(self._compressor.flush())

    def _pass_on(self, packed: bytes) -> None:
        self.packed += len(packed)
        self._file.write(packed)


def _by_isal(level: int) -> bool:
    return isal_zlib is not None and level <= FASTEST_LEVELS


def _deflate(level: int) -> tuple[Any, Any]:
    """CRC function and compressor: isal up to its highest level, zlib beyond or without isal."""
    if _by_isal(level):
        return isal_zlib.crc32, isal_zlib.compressobj(level, wbits=-zlib.MAX_WBITS)
    return zlib.crc32, zlib.compressobj(level, wbits=-zlib.MAX_WBITS)
