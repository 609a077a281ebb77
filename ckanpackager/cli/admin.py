"""clear-cache, clean, check: maintenance commands."""

import sys
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


@click.command()
@click.option("--ckan", metavar="URL", help="Also ask this CKAN, or datastore_search URL.")
@click.pass_obj
def check(context: CliContext, ckan: str | None) -> None:
    """Try everything that the configuration names, and report what is wrong.

    \b
    ckanpackager check --ckan https://data.example.org
    """
    from ckanpackager.maintenance.check import run

    failed = False
    for fine, words in run(context.settings, ckan):
        failed = failed or not fine
        if not fine or not context.quiet:
            echo(f"{'ok   ' if fine else 'WRONG'} {words}")
    sys.exit(1 if failed else 0)
