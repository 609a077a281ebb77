"""config: write, check and show the configuration, and convert that of the original."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ckanpackager.cli.context import CliContext
from ckanpackager.errors import ConfigError, PermanentFailure


@click.group()
def config() -> None:
    """Write, check and show the configuration, and convert that of the original ckanpackager.

    \b
    ckanpackager config validate
    """


def _to_file(command: Callable[..., Any]) -> Callable[..., Any]:
    where = "Write this file, which must not exist yet, readable for you alone [default: standard output]."
    return click.option("-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help=where)(command)


@config.command()
@_to_file
@click.pass_obj
def generate(context: CliContext, output: Path | None) -> None:
    """Write a configuration with every key, its meaning and its default, and a new secret.

    \b
    ckanpackager config generate -o /etc/ckanpackager/ckanpackager.yaml
    """
    from ckanpackager.config.example import documented_example

    _write(documented_example(secret=secrets.token_urlsafe(32)), output)


@config.command()
@click.pass_obj
def validate(context: CliContext) -> None:
    """Say what is wrong with the configuration, line by line; `check` also tries what it names.

    \b
    ckanpackager --config ckanpackager.yaml config validate
    """
    from ckanpackager.maintenance.named_packages import configured

    configured(context.settings)
    if not context.quiet:
        click.echo(f"{context.found_file}: nothing is wrong")


@config.command()
@click.pass_obj
def show(context: CliContext) -> None:
    """Show the value of every key, as it takes effect; secrets are hidden.

    \b
    ckanpackager config show
    """
    from ckanpackager.config.show import effective

    click.echo(effective(context.settings), nl=False)


@config.command()
@click.argument("file", type=click.Path(path_type=Path))
@_to_file
@click.pass_obj
def convert(context: CliContext, file: Path, output: Path | None) -> None:
    """Convert the settings of the original, a Python file, which is read and never run.

    What should be looked at is said on standard error, and in comments.

    \b
    ckanpackager config convert ckanpackager_settings.py -o ckanpackager.yaml
    """
    from ckanpackager.config.convert import convert as converted
    from ckanpackager.config.convert import notes_in_lines

    try:
        source = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    conversion = converted(source, str(file))
    _write(conversion.text, output)
    if not context.quiet:
        for line in notes_in_lines(conversion, str(file)):
            click.echo(line, err=True)


def _write(text: str, output: Path | None) -> None:
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise PermanentFailure(f"{output}: is there already; name another file, or move that one away") from None
    except OSError as error:
        raise PermanentFailure(f"{output}: {error.strerror}") from error
