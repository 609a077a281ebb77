"""clear-cache, clean: what removes."""

import time

import click

from ckanpackager.cli import remote
from ckanpackager.cli.context import CliContext
from ckanpackager.cli.output import echo


@click.command("clear-cache")
@remote.options
def clear_cache(context: CliContext, /, given: remote.Options) -> None:
    """Remove all archives (also: cc); the links to them stop working.

    \b
    ckanpackager clear-cache
    """
    removed = (
        remote.call(given, "/clear_caches", {}).get("removed")
        if given.host
        else context.store.clear(context.spool.archives_in_use())
    )
    if not context.quiet:
        echo("all archives removed" if removed is None else f"{removed} archives removed")


@click.command()
@click.pass_obj
def clean(context: CliContext) -> None:
    """Remove expired archives, old jobs and orphaned temporary files: for cron.

    \b
    17 3 * * *  ckanpackager -q clean
    """
    from ckanpackager.maintenance.clean import clean as clean_all

    removed = clean_all(context.spool, context.store, context.settings, time.time())
    if not context.quiet:
        echo(", ".join(f"{number} {kind}" for kind, number in removed.items()) + " removed")
