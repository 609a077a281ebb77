"""Where the text of a page is kept between the thread that fetches it and the archive that it goes into."""

from collections.abc import Sequence
from typing import Any, Protocol

BLOCK = 256 * 1024  # bytes


class PageBuffer(Protocol):
    """Takes the text of a page, or of a part of it, as it arrives; `write_to` puts it into an entry of an archive."""

    def write(self, content: bytes, /) -> object: ...

    def close(self) -> None: ...

    def write_to(self, entry: Any, /) -> None: ...


class MemoryBuffer:
    """Keeps text as it is, in blocks of one size.

    The blocks of the next page can take the place of these; pieces of all sizes would fragment the memory.
    """

    def __init__(self, content: bytes = b"") -> None:
        self._blocks: list[bytearray] = []
        self._used = BLOCK  # bytes of the last block
        self.write(content)

    def write(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            if self._used == BLOCK:
                self._blocks.append(bytearray(BLOCK))
                self._used = 0
            part, rest = rest[: BLOCK - self._used], rest[BLOCK - self._used :]
            self._blocks[-1][self._used : self._used + len(part)] = part
            self._used += len(part)

    def close(self) -> None:
        if self._blocks:
            del self._blocks[-1][self._used :]
            self._used = BLOCK

    def write_to(self, entry: Any) -> None:
        for block in self._blocks:
            entry.write(block)


class PageText:
    """The text of a page: what several buffers hold, in their order."""

    def __init__(self, buffers: Sequence[PageBuffer]) -> None:
        self.buffers = buffers

    def write_to(self, entry: Any) -> None:
        for buffer in self.buffers:
            buffer.write_to(entry)
