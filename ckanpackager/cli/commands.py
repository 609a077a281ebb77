"""The commands, by name: each is imported when it is called, since cron starts this program every minute."""

from importlib import import_module

import click

# A command, its module in this folder, and the function in that module.
COMMANDS = {
    "queue": ("jobs", "queue"),
    "process": ("process", "process"),
    "status": ("show", "status"),
    "stats": ("statistics", "stats"),
    "statistics": ("statistics", "stats"),
    "report": ("report", "report"),
    "retry": ("jobs", "retry"),
    "cancel": ("jobs", "cancel"),
    "clear-cache": ("admin", "clear_cache"),
    "cc": ("admin", "clear_cache"),
    "clean": ("admin", "clean"),
    "refresh": ("refresh", "refresh"),
    "config": ("config", "config"),
    "anonymize": ("privacy", "anonymize"),
    "forget": ("privacy", "forget"),
    "check": ("admin", "check"),
    "metrics": ("metrics", "metrics"),
    "serve": ("serve", "serve"),
    "demo": ("demo", "demo"),
}


OF_COMMANDS = {"-o": 1, "-l": 1, "-r": 1, "-e": 1, "-x": 0}
"""Options of commands that the original also took before the command, and how many values they have."""

OF_THE_PROGRAM = ("-q", "--quiet", "-v", "--verbose")
"""Options of the program that may also stand after the command."""


class CommandGroup(click.Group):
    """A group that imports a command's module when the command is asked for."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, in_their_places(args))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return command(cmd_name) if cmd_name in COMMANDS else None


def in_their_places(words: list[str]) -> list[str]:
    """The words of a command line, with each option on the side of the command where it belongs."""
    before: list[str] = []
    moved: list[str] = []
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "--":
        option = rest.pop(0)
        own = option if option in OF_COMMANDS else option[:2] if OF_COMMANDS.get(option[:2]) else None
        target = before if own is None else moved
        target.append(option)
        values = OF_COMMANDS[own] if own else option in ("-p", "-d", "-s", "--config")
        if rest and values and option in (own, "-p", "-d", "-s", "--config"):
            target.append(rest.pop(0))
    command, arguments = rest[:1], rest[1:]
    end = arguments.index("--") if "--" in arguments else len(arguments)
    behind = [word for word in arguments[:end] if word in OF_THE_PROGRAM]
    kept = [word for word in arguments[:end] if word not in OF_THE_PROGRAM]
    return [*before, *behind, *command, *moved, *kept, *arguments[end:]]


def command(name: str) -> click.Command:
    """The command of a name in COMMANDS."""
    module, function = COMMANDS[name]
    found: click.Command = getattr(import_module(f"ckanpackager.cli.{module}"), function)
    return found
