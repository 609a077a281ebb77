"""demo: everything from request to mail on this machine, without any configuration."""

import os
import shlex
import subprocess
import sys
import tempfile
import zipfile
from email import policy
from email.parser import BytesParser
from pathlib import Path

import click

from ckanpackager.errors import PermanentFailure

CONFIGURATION = """\
# Written by `ckanpackager demo`.
download_url: http://localhost:8000
spool_directory: spool
store_directory: store
stats_db: sqlite:///stats.db
mail_transport: maildir
mail_directory: mail
"""


@click.command()
@click.option("--rows", type=click.IntRange(min=1), default=5000, show_default=True, help="Rows of the sample.")
@click.option(
    "--directory", type=click.Path(path_type=Path), help="Keep everything there, instead of removing it at the end."
)
def demo(rows: int, directory: Path | None) -> None:
    """Show everything from request to archive, mail and statistics; needs no configuration.

    \b
    ckanpackager demo --directory /tmp/ckanpackager-demo
    """
    if directory is not None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PermanentFailure(f"{directory}: {error.strerror}; name a directory with --directory") from error
        run_demo(directory.absolute(), rows)
        return
    with tempfile.TemporaryDirectory(prefix="ckanpackager-demo-") as temporary:
        run_demo(Path(temporary), rows)


def run_demo(directory: Path, rows: int) -> None:
    """Package the bundled sample from a small CKAN on this machine.  Raises PermanentFailure if a command fails."""
    from ckanpackager.demo import sample
    from ckanpackager.demo.ckan_api import CkanApi, Resource

    config = directory / "ckanpackager.yaml"
    config.write_text(CONFIGURATION)
    click.secho(f"A CKAN with {rows:,} made-up specimens", bold=True)
    with CkanApi({"specimens": Resource(sample.FIELDS, list(sample.rows(rows)))}) as api:
        api.datasets["specimens"] = {**sample.DATASET, "resources": [api.site.description("specimens")]}
        click.echo(f"answers on {api.api_url}")
        _title("A user requests the specimens from Kenya and from Japan ...")
        words = [f"api_url:{api.api_url}", "resource_id:specimens", "email:someone@example.org"]
        job = _run(config, "queue", "-D", "package_datastore", *words, 'filters:{"Country": ["Kenya", "Japan"]}')
        _title("... and another user requests all of them.")
        words[-1] = "email:else@example.org"
        _run(config, "queue", "-D", "package_datastore", *words)
        _run(config, "status")
        _title("A worker packs them, mails the links and counts the requests.")
        _run(config, "-v", "process")
    _title("What has become of the first request")
    _run(config, "status", job.strip())
    _title("The archives")
    for path in sorted((directory / "store").glob("*/*.zip")):
        _show_archive(path)
    _title("The newest mail")
    _show_mail(max((directory / "mail" / "new").iterdir(), key=lambda path: path.stat().st_mtime))
    _title("The statistics")
    _run(config, "stats")
    _run(config, "stats", "requests")


def _run(config: Path, *words: str) -> str:
    """Run a command as a user would at a shell; its output."""
    click.secho(f"$ ckanpackager {shlex.join(words)}", fg="cyan")
    command = [sys.executable, "-m", "ckanpackager", "--config", str(config), *words]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CKANPACKAGER_")}
    done = subprocess.run(  # noqa: S603 - our own words
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    click.echo(done.stdout, nl=False)
    if done.returncode:
        raise PermanentFailure(f"the demo's {words[0]} ended with exit code {done.returncode}")
    return done.stdout


def _title(text: str) -> None:
    click.echo()
    click.secho(text, bold=True)


def _show_archive(path: Path) -> None:
    click.echo(f"{path}  {path.stat().st_size:,} bytes")
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            click.echo(f"  {info.filename}  {info.file_size:,} bytes")
            with archive.open(info) as file:
                for _ in range(3):
                    click.echo(f"    {file.readline().decode().rstrip()[:110]}")


def _show_mail(path: Path) -> None:
    message = BytesParser(policy=policy.default).parsebytes(path.read_bytes())
    for name in ("From", "To", "Subject", "Date"):
        click.echo(f"{name}: {message[name]}")
    body = message.get_body(("plain",))
    click.echo(f"\n{body.get_content()}" if body else "")
