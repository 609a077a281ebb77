"""report: the figures of a period as one HTML file."""

import sys
import time
from pathlib import Path

import click

from ckanpackager.cli.context import CliContext
from ckanpackager.cli.output import echo
from ckanpackager.durable_files import replace_whole


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True, dir_okay=False))
@click.option(
    "--since", metavar="DATE", help="From this day on, as 2026-01-01, or a time in seconds since 1970. In UTC."
)
@click.option(
    "--until", metavar="DATE", help="To this day, which belongs to it, or before a time in seconds since 1970."
)
@click.pass_obj
def report(context: CliContext, file: Path, since: str | None, until: str | None) -> None:
    """Write a report of what was served into an HTML file: numbers and charts, for a screen or for paper.

    The file needs no other file and no network, and holds no e-mail address. `-` is standard output.

    \b
    ckanpackager report 2026.html --since 2026-01-01 --until 2026-12-31
    """
    from ckanpackager.report.contents import read
    from ckanpackager.report.page import page
    from ckanpackager.statistics import open_statistics
    from ckanpackager.statistics.periods import period_of

    period, now = period_of(since, until), time.time()
    with open_statistics(context.settings.statistics, to_read=True) as statistics:
        contents = read(statistics, period, now)
    text = page(contents, context.settings.portal, now).encode(errors="replace")
    if str(file) == "-":
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
        return
    replace_whole(file, text)
    if not context.quiet:
        echo(f"{file}: {contents.total.requests:,} requests")
