"""The commands, by name: each is imported when it is called, since cron starts this program every minute."""

from importlib import import_module

import click

from ckanpackager.cli.verbosity import with_verbosity

# A command, its module in this folder, and the function in that module.
COMMANDS = {
    "queue": ("jobs", "queue"),
    "process": ("process", "process"),
    "status": ("show", "status"),
    "stats": ("statistics", "stats"),
    "statistics": ("statistics", "stats"),
    "report": ("report", "report"),
    "jobs": ("list_jobs", "jobs"),
    "retry": ("jobs", "retry"),
    "cancel": ("jobs", "cancel"),
    "clear-cache": ("admin", "clear_cache"),
    "cc": ("admin", "clear_cache"),
    "clean": ("admin", "clean"),
    "refresh": ("refresh", "refresh"),
    "config": ("config", "config"),
    "anonymize": ("privacy", "anonymize"),
    "forget": ("privacy", "forget"),
    "check": ("check", "check"),
    "metrics": ("metrics", "metrics"),
    "serve": ("serve", "serve"),
    "completion": ("completion", "completion"),
    "demo": ("demo", "demo"),
}


COMPLETE = "_CKANPACKAGER_COMPLETE"
"""The variable by which a shell asks what may follow the words that are typed."""

OF_COMMANDS = {"-o": 1, "-l": 1, "-r": 1, "-e": 1, "-x": 0}
"""Options of commands that the original also took before the command, and how many values they have."""

OF_THE_PROGRAM = {"-p": 1, "-d": 1, "-s": 1}
"""Options of the program that have a value, besides --config."""


class CommandGroup(click.Group):
    """A group that imports a command's module when the command is asked for."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, in_their_places(args))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return command(cmd_name) if cmd_name in COMMANDS else None


def in_their_places(words: list[str]) -> list[str]:
    """The words of a command line, with what stands before the command and belongs to it behind it."""
    before: list[str] = []
    moved: list[str] = []
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] not in ("-", "--"):
        option = rest.pop(0)
        if option.startswith("--"):
            before += [option, *_value("", rest if option == "--config" else [])]
            continue
        letters = option[1:]
        while letters:  # -qx is -q and -x, -l10 is -l with a value
            option, letters = f"-{letters[0]}", letters[1:]
            target = moved if option in OF_COMMANDS else before
            if OF_COMMANDS.get(option) or option in OF_THE_PROGRAM:
                target += [option + letters, *_value(letters, rest)]
                break
            target.append(option)
    return [*before, *rest[:1], *moved, *rest[1:]]


def _value(attached: str, rest: list[str]) -> list[str]:
    """The word that is an option's value, unless it is attached to the option; taken from the rest."""
    return [rest.pop(0)] if rest and not attached else []


def command(name: str) -> click.Command:
    """The command of a name in COMMANDS."""
    module, function = COMMANDS[name]
    return with_verbosity(getattr(import_module(f"ckanpackager.cli.{module}"), function))
