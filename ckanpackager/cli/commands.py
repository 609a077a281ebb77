"""The commands, by name: each is imported when it is called, since cron starts this program every minute."""

from importlib import import_module

import click

# A command, its module in this folder, and the function in that module.
COMMANDS = {
    "queue": ("jobs", "queue"),
    "process": ("process", "process"),
    "status": ("show", "status"),
    "stats": ("show", "stats"),
    "retry": ("jobs", "retry"),
    "cancel": ("jobs", "cancel"),
    "clear-cache": ("admin", "clear_cache"),
    "cc": ("admin", "clear_cache"),
    "clean": ("admin", "clean"),
    "check": ("admin", "check"),
    "serve": ("serve", "serve"),
    "demo": ("demo", "demo"),
}


class CommandGroup(click.Group):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return command(cmd_name) if cmd_name in COMMANDS else None


def command(name: str) -> click.Command:
    """The command of a name in COMMANDS."""
    module, function = COMMANDS[name]
    found: click.Command = getattr(import_module(f"ckanpackager.cli.{module}"), function)
    return found
