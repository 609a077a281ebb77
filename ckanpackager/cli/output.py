"""What the commands print: text in which control characters of other programs do not work."""

import click

from ckanpackager.errors import printable


def echo(text: str, *, err: bool = False) -> None:
    click.echo(printable(text), err=err)
