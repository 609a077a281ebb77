"""clear-cache, clean, check: keeping house."""

import sys
import time
from pathlib import Path

import click

from ckanpackager.cli import House, remote
from ckanpackager.store import Store


@click.command("clear-cache")
@remote.options
def clear_cache(house: House, /, given: remote.Options) -> None:
    """Remove all archives (also: cc); links that were mailed end with them.

    \b
    ckanpackager clear-cache
    """
    removed = remote.call(given, "/clear_caches", {}).get("removed") if given.host else _store(house).clear()
    if not house.quiet:
        click.echo("all archives removed" if removed is None else f"{removed} archives removed")


@click.command()
@click.pass_obj
def clean(house: House) -> None:
    """Remove expired archives, old jobs and orphaned temporary files: for cron.

    \b
    17 3 * * *  ckanpackager -q clean
    """
    from ckanpackager import clean as housekeeping

    removed = housekeeping.clean(house.spool, _store(house), house.settings, time.time())
    if not house.quiet:
        click.echo(", ".join(f"{number} {kind}" for kind, number in removed.items()) + " removed")


@click.command()
@click.option("--ckan", metavar="URL", help="Also ask this CKAN, or datastore_search URL.")
@click.pass_obj
def check(house: House, ckan: str | None) -> None:
    """Try out everything that the configuration names, and say what is wrong.

    \b
    ckanpackager check --ckan https://data.example.org
    """
    from ckanpackager.checks import run

    failed = False
    for fine, words in run(house.settings, ckan):
        failed = failed or not fine
        if not fine or not house.quiet:
            click.echo(f"{'ok   ' if fine else 'WRONG'} {words}")
    sys.exit(1 if failed else 0)


def _store(house: House) -> Store:
    archives = house.settings.archives
    store = Store(Path(archives.store_directory), archives.cache_time)
    store.prepare()
    return store
