"""check: try everything, and say what is wrong."""

import sys
import time
from collections.abc import Iterator

import click

from ckanpackager.cli.context import CliContext
from ckanpackager.cli.output import Level as Colour
from ckanpackager.cli.output import echo, echo_styled
from ckanpackager.errors import CkanpackagerError, one_line
from ckanpackager.maintenance.finding import Finding, Level

_SHOWN: dict[Level, tuple[str, Colour]] = {
    "ok": ("ok   ", "good"),
    "warning": ("warn ", "warning"),
    "error": ("WRONG", "bad"),
}


@click.command()
@click.option("--ckan", metavar="URL", help="Also ask this CKAN, or datastore_search URL.")
@click.option("--fix", is_flag=True, help="Make directories that are missing, and mend the spool's owners and modes.")
@click.option("--format", "form", type=click.Choice(("text", "json")), default="text", help="[default: text]")
@click.option("--nagios", is_flag=True, help="One line and the exit codes of a Nagios plugin: 0, 1, 2, 3.")
@click.pass_obj
def check(context: CliContext, ckan: str | None, fix: bool, form: str, nagios: bool) -> None:
    """Try everything that the configuration names, and report what is wrong.

    Exits with 1 if something does not work. With --nagios: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.

    \b
    ckanpackager check --ckan https://data.example.org
    """
    if nagios and (fix or form != "text"):
        raise click.UsageError("--nagios goes with neither --fix nor --format")
    if nagios:
        _nagios(context, ckan)
    elif form == "json":
        _json(list(_findings(context, ckan, fix=fix)))
    else:
        _text(context, _findings(context, ckan, fix=fix))


def _findings(context: CliContext, ckan: str | None, *, fix: bool = False) -> Iterator[Finding]:
    from ckanpackager.maintenance.check import run

    return run(context.settings, ckan, file=context.found_file, fix=fix)


def _text(context: CliContext, findings: Iterator[Finding]) -> None:
    failed = False
    for finding in findings:
        failed = failed or finding.level == "error"
        if finding.level == "error" or not context.quiet:
            echo_styled(_SHOWN[finding.level], (f" {finding.words}", None))
    sys.exit(1 if failed else 0)


def _json(findings: list[Finding]) -> None:
    import msgspec

    from ckanpackager.maintenance.finding import worst

    told = [{"level": each.level, "about": each.about, "message": each.message} for each in findings]
    echo(msgspec.json.format(msgspec.json.encode({"level": worst(findings), "findings": told})).decode())
    sys.exit(1 if worst(findings) == "error" else 0)


def _nagios(context: CliContext, ckan: str | None) -> None:
    """One line in any case: what Nagios cannot read it takes for a plugin that is broken."""
    from ckanpackager.monitoring.nagios import UNKNOWN, performance, plugin_line

    try:
        findings = list(_findings(context, ckan))
        code, line = plugin_line(findings, performance(context.settings, context.spool, time.time()))
    except CkanpackagerError as error:
        code, line = UNKNOWN, f"CKANPACKAGER UNKNOWN - {one_line(error)}"
    except Exception as error:  # a fault of ours, which must not pass for a warning
        code, line = UNKNOWN, f"CKANPACKAGER UNKNOWN - internal error: {type(error).__name__}: {one_line(error)}"
    echo(line)
    sys.exit(code)
