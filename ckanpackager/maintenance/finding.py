"""What `ckanpackager check` finds out: one line each, with what, where, and what to do."""

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from ckanpackager.errors import CkanpackagerError, one_line

Level = Literal["ok", "warning", "error"]
LEVELS: tuple[Level, ...] = ("ok", "warning", "error")


class Finding(NamedTuple):
    """Words that begin with what they are about, mostly a key of the configuration, and a colon."""

    level: Level
    words: str

    @property
    def about(self) -> str:
        return self.words.partition(":")[0]

    @property
    def message(self) -> str:
        return self.words.partition(":")[2].strip()


def ok(words: str) -> Finding:
    return Finding("ok", one_line(words))


def warning(words: str) -> Finding:
    """Something that works, and should be looked at."""
    return Finding("warning", one_line(words))


def error(words: str) -> Finding:
    """Something that does not work."""
    return Finding("error", one_line(words))


def worst(findings: Iterable[Finding]) -> Level:
    """The level of the worst finding."""
    return max((finding.level for finding in findings), key=LEVELS.index, default="ok")


def tried(about: str, work: Callable[[], str]) -> Finding:
    """What some work says if it succeeds, or why it fails."""
    try:
        return ok(f"{about}: {work()}")
    except CkanpackagerError as failure:
        return error(f"{about}: {failure}")
