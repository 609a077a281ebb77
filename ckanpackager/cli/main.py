"""The command line: a command reads the configuration, calls the part of the program that does the work, and prints.

Exit codes: 0 done, 1 a job or an operation failed, 2 usage or configuration.
"""

import gc
import logging
import os
import sys
from pathlib import Path
from typing import Any

import click

from ckanpackager import __version__, logs
from ckanpackager.cli import remote
from ckanpackager.cli.commands import COMPLETE, CommandGroup
from ckanpackager.cli.context import CliContext
from ckanpackager.cli.output import echo
from ckanpackager.cli.verbosity import QUIET, VERBOSE, level
from ckanpackager.errors import BadRequest, CkanpackagerError, ConfigError


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="Configuration file. Else $CKANPACKAGER_CONFIG, ./ckanpackager.yaml, /etc/ckanpackager/ckanpackager.yaml.",
)
@click.option("-v", "--verbose", is_flag=True, help=VERBOSE)
@click.option("-q", "--quiet", is_flag=True, help=QUIET)
@remote.bare_options
@click.pass_context
def cli(context: click.Context, /, file: Path | None, verbose: bool, quiet: bool, **given: Any) -> None:
    """Packs CKAN resources, of any size, into ZIP archives and mails their links."""
    logging.basicConfig(stream=sys.stderr, level=level(verbose=verbose, quiet=quiet), force=True)
    logging.getLogger().handlers[0].setFormatter(logs.Formatter(logs.FORMAT))
    for library in ("urllib3", "requests"):
        logging.getLogger(library).setLevel(logging.CRITICAL)  # our own messages say what matters
    context.obj = CliContext(file, quiet, remote.Options(**given), verbose)


def main() -> None:
    """The program; every error that a user can meet is one line that says what to do."""
    gc.set_threshold(50_000)  # imports make many objects and no garbage: this saves 70 ms a run
    try:
        if COMPLETE in os.environ:  # a shell asks what may follow
            from ckanpackager.cli import completion

            completion.register()
        sys.exit(cli.main(standalone_mode=False, complete_var=COMPLETE))
    except (ConfigError, BadRequest) as error:
        _say(str(error), 2)
    except CkanpackagerError as error:
        _say(str(error), 1)
    except click.UsageError as error:
        if "\n" in (text := error.format_message()):  # the help, for a bare `ckanpackager`
            error.show()
            sys.exit(error.exit_code)
        about = f"; try: {error.ctx.command_path} --help" if error.ctx else ""
        _say(f"{text.rstrip('.')}{about}", error.exit_code)
    except click.ClickException as error:
        _say(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted", 1)
    except BrokenPipeError:  # as in `ckanpackager status | head`; the rest cannot be flushed either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if logging.getLogger().isEnabledFor(logging.DEBUG):
            raise
        _say(f"internal error: {type(error).__name__}: {error}; with debug: true it shows where", 1)
    finally:
        gc.freeze()  # the process ends: to look for garbage once more would take 50 ms after a job


def service() -> None:
    """The program `ckanpackager-service`, the original's name for what `ckanpackager serve` does."""
    sys.argv.insert(1, "serve")
    main()


def _say(text: str, code: int) -> None:
    for line in text.splitlines():
        echo(f"ckanpackager: {line}", err=True)
    sys.exit(code)
