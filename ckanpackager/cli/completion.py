"""completion: what the shell offers after a tab.  Silent, whatever is wrong: it runs while a user types."""

import os
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import get_args

import click
import msgspec
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from ckanpackager.cli.commands import COMPLETE
from ckanpackager.config.load import find_configuration, load_settings
from ckanpackager.errors import CkanpackagerError
from ckanpackager.formats.registry import FORMATS
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.request import TASKS
from ckanpackager.spool.job_list import list_jobs
from ckanpackager.spool.listing import Listing

SHELLS = ("bash", "zsh", "fish")
_MOST_JOBS = 50
_YES_OR_NO = ("true", "false")

_BASH = r"""%(complete_func)s() {
    local IFS=$'\n' line=${COMP_LINE:0:COMP_POINT} type value before=""
    local word=${line##*[[:space:]]}
    # bash takes a colon for the end of a word, and puts what is offered behind the last one
    [[ $COMP_WORDBREAKS == *:* && $word == *:* ]] && before=${word%%"${word##*:}"}
    COMPREPLY=()
    while IFS=',' read -r type value; do
        if [[ $type == dir ]]; then
            compopt -o dirnames
        elif [[ $type == file ]]; then
            compopt -o default
        elif [[ $type == plain ]]; then
            [[ $value == *: ]] && compopt -o nospace
            COMPREPLY+=("${value#"$before"}")
        fi
    done < <(COMP_LINE=$line %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class _Bash(BashComplete):
    """Reads the line itself, since bash splits PARAM:VALUE at its colon."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)
        incomplete = words.pop() if words and not line[-1:].isspace() else ""
        return words[1:], incomplete


class _Zsh(ZshComplete):
    """Puts no blank behind PARAM:."""

    source_template = ZshComplete.source_template.replace(
        "        compadd -U -V unsorted -a completions\n",
        "        local -a parameters=(${(M)completions:#*:}) others=(${completions:#*:})\n"
        "        (( $#parameters )) && compadd -U -S '' -V unsorted -a parameters\n"
        "        (( $#others )) && compadd -U -V unsorted -a others\n",
    )


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script by which a shell completes commands, tasks, parameters and job ids.

    \b
    ckanpackager completion bash > /etc/bash_completion.d/ckanpackager
    ckanpackager completion zsh > /usr/local/share/zsh/site-functions/_ckanpackager
    ckanpackager completion fish > /etc/fish/completions/ckanpackager.fish
    """
    register()
    script = get_completion_class(shell)
    if script is None:  # not with the shells above
        raise click.UsageError(f"{shell} is not supported")
    click.echo(ShellComplete.source(script(click.Group(), {}, "ckanpackager", COMPLETE)), nl=False)


def register() -> None:
    """Let click use our scripts for bash and zsh."""
    add_completion_class(_Bash, "bash")
    add_completion_class(_Zsh, "zsh")


def tasks(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _starting(incomplete, TASKS)


def parameters(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """PARAM: of the task, but for those that stand there already; after it what the parameter can be."""
    kind = TASKS.get(context.params.get("task") or "")
    if kind is None:
        return []
    name, colon, _value = incomplete.partition(":")
    if not colon:
        given = {word.partition(":")[0] for word in context.params.get("words") or ()}
        return _starting(incomplete, (f"{each}:" for each in kind.__struct_fields__ if each not in given))
    wanted = {field.name: field.type for field in msgspec.structs.fields(kind)}.get(name)
    values = FORMATS if name == "format" else _YES_OR_NO if bool in (wanted, *get_args(wanted)) else ()
    return _starting(incomplete, (f"{name}:{value}" for value in values))


def job_ids(state: str | None) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """What completes ids of jobs in a state, or in any; the newest ones, each with what it is about."""

    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        given = context.params.get("jobs") or ()
        if context.params.get("host") or context.find_root().params.get("host"):
            return []  # another machine's
        try:
            found = ((folder, job) for folder, job in _jobs(context, state) if job.id.startswith(incomplete))
            some = list(islice(((folder, job) for folder, job in found if job.id not in given), _MOST_JOBS))
        except (CkanpackagerError, OSError, ValueError):
            return []
        return [CompletionItem(job.id, help=f"{folder}: {job.request.resource_id}") for folder, job in some]

    return complete


def _jobs(context: click.Context, state: str | None) -> Iterable[tuple[str, Job]]:
    """The jobs of the spool that the configuration names; nothing is made where it is missing."""
    file = find_configuration(context.find_root().params.get("file"), os.environ, Path.cwd())
    return list_jobs(Listing(Path(load_settings(file, os.environ).spool.spool_directory)), state)


def _starting(incomplete: str, values: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(value) for value in values if value.startswith(incomplete)]
