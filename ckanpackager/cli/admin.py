"""clear-cache, clean: what removes."""

import sys
import time

import click

from ckanpackager.cli import remote
from ckanpackager.cli.context import CliContext
from ckanpackager.cli.output import echo
from ckanpackager.errors import CkanpackagerError


@click.command("clear-cache")
@click.option("--named", is_flag=True, help="Those of named packages, too; `refresh` builds them again.")
@remote.options
def clear_cache(context: CliContext, /, given: remote.Options, named: bool) -> None:
    """Remove all archives (also: cc); the links to them stop working.

    Asks before it does so if standard input is a terminal, but not with -q and not with -p.

    \b
    ckanpackager clear-cache
    """
    if given.host:
        if named:
            raise click.UsageError("--named is for the store of this machine, not for -p")
        removed = remote.call(given, "/clear_caches", {}).get("removed")
    else:
        store, which = context.store, "all archives" if named else "all archives but those of named packages"
        asks = not context.quiet and sys.stdin.isatty()
        if asks and not click.confirm(f"Remove {which}? The links to them stop working.", err=True):
            raise CkanpackagerError("nothing was removed")
        removed = store.clear(context.spool.archives_in_use(), named=named)
    if not context.quiet:
        echo("all archives removed" if removed is None else f"{removed} archives removed")


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.pass_obj
def clean(context: CliContext, dry_run: bool) -> None:
    """Remove expired archives, old jobs and orphaned temporary files: for cron.

    \b
    17 3 * * *  ckanpackager -q clean
    """
    from ckanpackager.maintenance.clean import clean as clean_all

    removed = clean_all(context.spool, context.store, context.settings, time.time(), dry_run=dry_run)
    if not context.quiet:
        done = "would be removed" if dry_run else "removed"
        echo(", ".join(f"{number} {kind}" for kind, number in removed.items()) + f" {done}")
