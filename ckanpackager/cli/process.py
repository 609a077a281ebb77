"""process: run the waiting jobs."""

import sys
from typing import Any

import click

from ckanpackager.cli.context import CliContext
from ckanpackager.cli.progress import Progress
from ckanpackager.jobs.request import QUEUES
from ckanpackager.worker.signals import Stop


@click.command()
@click.option("--loop", is_flag=True, help="Go on waiting for jobs instead of exiting.")
@click.option(
    "--queue", "queues", type=click.Choice(QUEUES), multiple=True, help="Only this queue (repeatable) [default: both]."
)
@click.option("--max-jobs", type=click.IntRange(min=1), help="Exit after this many jobs.")
@click.option("--max-time", type=click.FloatRange(min=0, min_open=True), help="Claim no job after this many seconds.")
@click.pass_obj
def process(context: CliContext, /, queues: tuple[Any, ...], **limits: Any) -> None:
    """Run the waiting jobs, then exit: for cron.

    Overlapping runs do no harm: a run that finds all worker slots taken exits at once.

    \b
    * * * * *  ckanpackager process
    """
    from ckanpackager.worker.loop import Limits, work  # imports the libraries for HTTP

    stop, progress = Stop(), Progress(quiet=context.quiet)
    with stop.on_signals():
        tally = work(context.spool, context.settings, queues or QUEUES, Limits(**limits), stop, progress.show)
    progress.close()
    sys.exit(1 if tally.failed else 0)
