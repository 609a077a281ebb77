"""The headers of a ZIP, as PKWARE's APPNOTE.TXT 6.3.10 defines them.  Pure.

Sizes and counts have 32 and 16 bits, and the ZIP64 fields only where these are too few: several programs (busybox, the
Finder) refuse ZIP64, or unpack the first file alone.  A size that streams through is known at its end only, so a local
header has room for the ZIP64 fields: a padding field (0xA11E, Apache Commons Compress) that readers skip.
"""

import struct
import time
import zlib

from msgspec import Struct

MAX16, MAX32 = 0xFFFF, 0xFFFFFFFF
_ZIP64, _PADDING = 1, 0xA11E  # ids of extra fields
_VERSION, _VERSION_ZIP64 = 20, 45
_UTF8 = 0x0800  # bit 11: the name is UTF-8
_UNIX, _FILE_MODE = 3 << 8, 0o100644 << 16


class Member(Struct, frozen=True, kw_only=True):
    """A file of a ZIP: sizes in bytes, `start` is where its local header is."""

    name: str
    crc: int = 0
    size: int = 0
    packed: int = 0
    start: int = 0
    moment: tuple[int, int]  # as `dos_time` gives it

    @property
    def is_large(self) -> bool:
        return self.size >= MAX32 or self.packed >= MAX32

    @property
    def _flags(self) -> int:
        return 0 if self.name.isascii() else _UTF8


def local_header(member: Member, *, may_grow: bool) -> bytes:
    """What stands before a file's data; with `may_grow` it has the same length whatever the sizes are."""
    name, extra, version, sizes = member.name.encode(), b"", _VERSION, (member.packed, member.size)
    if member.is_large:
        extra = struct.pack("<2H2Q", _ZIP64, 16, member.size, member.packed)
        version, sizes = _VERSION_ZIP64, (MAX32, MAX32)
    elif may_grow:
        extra = struct.pack("<2H16x", _PADDING, 16)
    if member.is_large and not may_grow:
        raise ValueError(f"{member.name}: too large for a ZIP without ZIP64")
    fixed = struct.pack(
        "<4s3H2H3I2H",
        *(b"PK\3\4", version, member._flags, zlib.DEFLATED, *member.moment, member.crc, *sizes),
        *(len(name), len(extra)),
    )
    return fixed + name + extra


def central_header(member: Member) -> bytes:
    """The file's line in the central directory."""
    name, values = member.name.encode(), (member.size, member.packed, member.start)
    large = [value for value in values if value >= MAX32]
    extra = struct.pack(f"<2H{len(large)}Q", _ZIP64, 8 * len(large), *large) if large else b""
    size, packed, start = (min(value, MAX32) for value in values)
    version = _VERSION_ZIP64 if large else _VERSION
    fixed = struct.pack(
        "<4s4H2H3I5H2I",
        *(b"PK\1\2", _UNIX | version, version, member._flags, zlib.DEFLATED, *member.moment, member.crc),
        *(packed, size, len(name), len(extra), 0, 0, 0, _FILE_MODE, start),
    )
    return fixed + name + extra


def end_of_directory(count: int, start: int, size: int) -> bytes:
    """The end of a ZIP whose central directory of `count` files begins at `start` and has `size` bytes."""
    records = b""
    if count >= MAX16 or start >= MAX32 or size >= MAX32:
        versions = (_UNIX | _VERSION_ZIP64, _VERSION_ZIP64)
        records = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, *versions, 0, 0, count, count, size, start)
        records += struct.pack("<4sIQI", b"PK\6\7", 0, start + size, 1)
    counts, place = (min(count, MAX16),) * 2, (min(size, MAX32), min(start, MAX32))
    return records + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, *counts, *place, 0)


def dos_time(now: float) -> tuple[int, int]:
    """Time and date as MS-DOS counted them: in two seconds, from 1980 on."""
    at = time.localtime(max(now, 315619200))
    return at.tm_hour << 11 | at.tm_min << 5 | at.tm_sec // 2, (at.tm_year - 1980) << 9 | at.tm_mon << 5 | at.tm_mday
