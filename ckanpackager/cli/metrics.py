"""metrics: measurements for Prometheus."""

import sys
import time
from pathlib import Path

import click

from ckanpackager.cli.context import CliContext
from ckanpackager.cli.output import echo
from ckanpackager.durable_files import replace_whole

_READABLE = 0o644  # node_exporter is another user


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Replace this file, whole or not at all, instead of printing.",
)
@click.pass_obj
def metrics(context: CliContext, output: Path | None) -> None:
    """Measure everything, for Prometheus: what GET /metrics returns, and a store in a bucket, too.

    With -o for the textfile collector of node_exporter, from cron. Exits with 1 if a part could not be measured.

    \b
    * * * * *  ckanpackager metrics -o /var/lib/prometheus/node-exporter/ckanpackager.prom
    """
    from ckanpackager.monitoring.exposition import text_of
    from ckanpackager.monitoring.measure import measure

    measured = measure(context.settings, context.spool, time.time(), with_bucket=True)
    text = text_of(measured.metrics)
    if output is None:
        click.echo(text.decode(), nl=False)
    else:
        replace_whole(output, text, _READABLE)
    for part, error in measured.errors.items():
        echo(f"ckanpackager: {part}: {error}", err=True)
    sys.exit(1 if measured.errors else 0)
