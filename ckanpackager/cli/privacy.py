"""anonymize and forget: the addresses of requesters."""

import sys

import click

from ckanpackager.cli.context import CliContext
from ckanpackager.statistics import open_statistics


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say how many rows would change.")
@click.pass_obj
def anonymize(context: CliContext, dry_run: bool) -> None:
    """Hash the addresses that the statistics hold in clear, once anonymize_emails is on; cannot be undone.

    Running it again, or after it was interrupted, does no harm.

    \b
    ckanpackager anonymize --dry-run
    """

    def tell(number: int, total: int) -> None:
        if sys.stderr.isatty() and not context.quiet:
            click.echo(f"\r\x1b[K{number:,} of {total:,} addresses", nl=number == total, err=True)

    with open_statistics(context.settings.statistics) as statistics:
        rows = statistics.anonymize(tell, dry_run=dry_run)
    if not context.quiet:
        done = "would be" if dry_run else "were"
        click.echo(f"{rows['requests']} requests and {rows['errors']} errors {done} anonymized")


@click.command()
@click.argument("email")
@click.pass_obj
def forget(context: CliContext, email: str) -> None:
    """Forget a requester: in the statistics, where the numbers stay, and the files of jobs that have ended.

    Jobs that are still open are named, and stay; the exit code is 1 then.

    \b
    ckanpackager forget someone@example.org
    """
    with open_statistics(context.settings.statistics) as statistics:
        rows = statistics.forget(email)
    removed = context.spool.remove_ended_of(email)
    still_open = [job.id for job in context.spool.open_jobs(email)]
    if not context.quiet:
        click.echo(f"{rows} rows of the statistics changed, {removed} job files removed")
    for id in still_open:
        click.echo(f"ckanpackager: job {id} of {email} is still open; when it has ended, do this again", err=True)
    sys.exit(1 if still_open else 0)
