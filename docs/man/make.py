"""Write the man pages beside this file, by click-man, from the help of the commands: make man."""

import inspect
import re
from pathlib import Path

import click
from click_man.man import ManPage

from ckanpackager import __version__
from ckanpackager.cli.commands import COMMANDS, command
from ckanpackager.cli.main import cli

HERE = Path(__file__).parent
PROGRAM = "ckanpackager"


def pages() -> dict[str, str]:
    """Every page by its file's name."""
    root = click.Context(cli, info_name=PROGRAM)
    written = {f"{PROGRAM}.1": _page(root, {name: command(name) for name in sorted(COMMANDS)})}
    for name in COMMANDS:
        found = command(name)
        if found.name != name:  # another name of it
            written[f"{PROGRAM}-{name}.1"] = f".so man1/{PROGRAM}-{found.name}.1\n"
            continue
        context = click.Context(found, info_name=name, parent=root)
        inner = dict(found.commands) if isinstance(found, click.Group) else {}
        written[f"{PROGRAM}-{name}.1"] = _page(context, inner)
        for each, below in inner.items():
            written[f"{PROGRAM}-{name}-{each}.1"] = _page(click.Context(below, info_name=each, parent=context), {})
    return written


def _page(context: click.Context, inner: dict[str, click.Command]) -> str:
    found = context.command
    text = inspect.cleandoc(found.help or "")
    page = ManPage(context.command_path)
    page.date, page.version = "", __version__
    page.short_help = _escaped(_summary(found))
    page.synopsis = " ".join(found.collect_usage_pieces(context))
    page.description = "\n".join(map(_paragraph, text.split("\n\n")))
    records = [option.get_help_record(context) for option in found.params if isinstance(option, click.Option)]
    page.options = [(option, _escaped(meaning)) for option, meaning in filter(None, records)]
    page.commands = [(name.replace("-", r"\-"), _escaped(_summary(each))) for name, each in inner.items()]
    return str(page)


def _summary(found: click.Command) -> str:
    """The first sentence."""
    return re.split(r"(?<=\.)\s|\n\n", inspect.cleandoc(found.help or ""))[0].replace("\n", " ").rstrip(".")


def _paragraph(text: str) -> str:
    """A paragraph; one that click leaves as it is (behind \\b) is an example."""
    if text.startswith("\b\n"):
        return f".PP\n.nf\n.RS\n{_escaped(text.removeprefix(chr(8)).strip(chr(10)))}\n.RE\n.fi"
    return f".PP\n{_escaped(text)}"


def _escaped(text: str) -> str:
    """The text as roff shows it: no backslash, hyphen, or dot at the start of a line has a meaning."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return re.sub(r"^([.'])", r"\\&\1", escaped, flags=re.MULTILINE)


if __name__ == "__main__":
    for old in HERE.glob("*.1"):
        old.unlink()
    for name, page in pages().items():
        (HERE / name).write_text(page)
