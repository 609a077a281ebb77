"""The man pages in docs/man say what the commands' own help says; `make man` writes them anew."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from support.programs import needs

from ckanpackager import __version__
from ckanpackager.cli.commands import COMMANDS, command
from ckanpackager.cli.main import cli

PAGES = Path(__file__).parents[2] / "docs" / "man"


def commands() -> Iterator[tuple[str, click.Command]]:
    yield "ckanpackager", cli
    for name in COMMANDS:
        found = command(name)
        yield f"ckanpackager-{name}", found
        if isinstance(found, click.Group):
            yield from ((f"ckanpackager-{name}-{inner}", below) for inner, below in found.commands.items())


FOUND = dict(commands())


def plain(text: str) -> str:
    """A text without what is roff's, and without line breaks."""
    text = re.sub(r"\\f[BP]|\\&", "", text).replace(r"\-", "-").replace(r"\e", "\\")
    return " ".join(re.sub(r"^\.\w+ ?", "", text, flags=re.MULTILINE).split())


def test_every_command_has_a_page_and_every_page_a_command() -> None:
    assert {path.stem for path in PAGES.glob("*.1")} == set(FOUND), "run: make man"


@pytest.mark.parametrize("name", FOUND)
def test_a_page_has_the_help_and_all_options_of_its_command(name: str) -> None:
    page, found = (PAGES / f"{name}.1").read_text(), FOUND[name]
    if found is not cli and not name.endswith(str(found.name)):
        assert page == f".so man1/ckanpackager-{found.name}.1\n"
        return
    assert f'"{__version__}"' in page.splitlines()[0]
    assert plain(str(found.help).replace("\b", "")) in plain(page), "run: make man"
    options = [each for each in found.params if isinstance(each, click.Option)]
    listed = page.partition(".SH OPTIONS")[2].partition(".SH")[0]
    for option in options:
        assert plain(str(option.help)) in plain(listed), "run: make man"
    names = {name for option in options for name in (*option.opts, *option.secondary_opts)}
    heads = [plain(line) for line in listed.splitlines() if line.startswith(r"\fB\-")]
    assert {word for head in heads for word in re.findall(r"(?<!\S)--?[\w-]+", head)} == names, "run: make man"


def test_groff_has_nothing_to_say_about_any_page() -> None:
    groff = needs("groff", debian="groff-base")
    pages = [path for path in PAGES.glob("*.1") if not path.read_text().startswith(".so")]
    done = subprocess.run([groff, "-man", "-Tutf8", "-ww", *pages], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "queue package_datastore \\\n" in re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
