"""serve: the receiver as a server of its own."""

import click

from ckanpackager.cli.context import CliContext
from ckanpackager.errors import ConfigError


@click.command()
@click.option("--host", help="Address to listen on [default: host of the configuration].")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port [default: port of the configuration; 0: any free one]."
)
@click.pass_obj
def serve(context: CliContext, host: str | None, port: int | None) -> None:
    """Receive requests by HTTP, and serve the archives under /archives/.

    \b
    ckanpackager serve --port 8765
    """
    from ckanpackager.receiver import server

    receiver = context.settings.receiver
    host, port = host or receiver.host, receiver.port if port is None else port
    try:
        server.serve(
            context.settings,
            host,
            port,
            lambda address: click.echo(f"ckanpackager answers on {address}", err=True),
            quiet=context.quiet,
        )
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}; is another server there?") from error
