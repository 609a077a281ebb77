"""What the commands print: text in which control characters of other programs do not work, coloured on a terminal."""

import os
import sys
from typing import Literal

import click

from ckanpackager.errors import printable

Level = Literal["good", "warning", "bad", "faint"]
_STYLES: dict[Level, dict[str, str | bool]] = {
    "good": {"fg": "green"},
    "warning": {"fg": "yellow"},
    "bad": {"fg": "red", "bold": True},
    "faint": {"dim": True},
}


def echo(text: str, *, err: bool = False) -> None:
    click.echo(printable(text), err=err)


def echo_styled(*parts: tuple[str, Level | None]) -> None:
    """Print a line of parts, each in the colour of its level where standard output is a terminal."""
    click.echo("".join(styled(printable(text), level) for text, level in parts))


def styled(text: str, level: Level | None) -> str:
    """The text in the colour of a level; plain where standard output is no terminal, and with NO_COLOR (no-color.org).

    Make foreign text `printable` first: what this returns must not go through `echo`, which takes colours away.
    """
    if level is None or not is_coloured():
        return text
    return click.style(text, **_STYLES[level])  # type: ignore[arg-type]


def is_coloured() -> bool:
    """Whether what is printed on standard output has colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
