"""-v and -q: how much the program says.  Every command takes them, too, so they may stand before or after it."""

import logging

import click

VERBOSE = "Log what happens, on standard error."
QUIET = "Print nothing but errors."


def level(*, verbose: bool, quiet: bool) -> int:
    """The level of log lines that are shown."""
    return logging.INFO if verbose else logging.CRITICAL if quiet else logging.WARNING


def with_verbosity(command: click.Command) -> click.Command:
    """The command, and those that it groups, with the two options."""
    if not any("--quiet" in parameter.opts for parameter in command.params):
        command.params += [
            click.Option(["-v", "--verbose"], is_flag=True, expose_value=False, callback=_verbose, help=VERBOSE),
            click.Option(["-q", "--quiet"], is_flag=True, expose_value=False, callback=_quiet, help=QUIET),
        ]
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            with_verbosity(inner)
    return command


def _verbose(context: click.Context, _: click.Parameter, given: bool) -> None:
    if given and context.obj is not None:  # else the words are only completed
        context.obj.verbose = True
        _set_level(context)


def _quiet(context: click.Context, _: click.Parameter, given: bool) -> None:
    if given and context.obj is not None:
        context.obj.quiet = True
        _set_level(context)


def _set_level(context: click.Context) -> None:
    logging.getLogger().setLevel(level(verbose=context.obj.verbose, quiet=context.obj.quiet))
