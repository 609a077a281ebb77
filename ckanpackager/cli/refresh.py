"""refresh: named packages, kept fresh."""

import sys
import time

import click

from ckanpackager.cli import remote
from ckanpackager.cli.context import CliContext
from ckanpackager.cli.output import echo


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--force", is_flag=True, help="Whether they are due and have changed or not.")
@remote.options
def refresh(context: CliContext, /, given: remote.Options, names: tuple[str, ...], force: bool) -> None:
    """Queue a job for each named package that is due and whose source has changed: for cron.

    \b
    */10 * * * *  ckanpackager -q refresh
    """
    if given.host:
        _remote(context, given, names, force)
        return
    from ckanpackager.maintenance.refresh import Refresher  # with HTTP's library behind it

    failed = False
    refresher = Refresher(context.spool, context.store, context.settings)
    for found in refresher.refresh(names, time.time(), force=force):
        if found.state == "failed":
            failed = True
            echo(f"ckanpackager: {found.name}: {found.error}; the last archive stays", err=True)
        elif not context.quiet:
            echo(f"{found.name}: {found.state}{f', job {found.job}' if found.job else ''}")
    sys.exit(1 if failed else 0)


def _remote(context: CliContext, given: remote.Options, names: tuple[str, ...], force: bool) -> None:
    if force or not names:
        raise click.UsageError("with -p, name the packages; their source is looked at in any case")
    for name in names:
        response = remote.call(given, "/refresh", {"name": name}, "packages")
        for package, state in response["packages"].items():
            if not context.quiet:
                echo(f"{package}: {state}")
