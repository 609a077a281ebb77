"""What completes an argument: a function of `completion`, which is imported only when a shell asks."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Complete = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]


def task(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    from ckanpackager.cli import completion

    return completion.tasks(context, parameter, incomplete)


def words(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    from ckanpackager.cli import completion

    return completion.parameters(context, parameter, incomplete)


def job_of(state: str | None = None) -> Complete:
    """What completes ids of jobs in a state, or in any."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        from ckanpackager.cli import completion

        return completion.job_ids(state)(context, parameter, incomplete)

    return complete
