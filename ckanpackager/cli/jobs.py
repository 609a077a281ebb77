"""queue, retry, cancel: commands for single jobs."""

import sys
import time
from typing import Any

import click

from ckanpackager.archives.cached import queue_of
from ckanpackager.cli import completed, remote
from ckanpackager.cli.context import CliContext
from ckanpackager.cli.output import echo
from ckanpackager.cli.progress import CRON, WORKER_PATIENCE, Progress, WorkerHint
from ckanpackager.errors import BadRequest, TemporaryFailure, one_line
from ckanpackager.hosts import check_host
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.parameters import parameters_from_words, request_from
from ckanpackager.jobs.request import QUEUES, TASKS
from ckanpackager.spool import operations
from ckanpackager.spool.queue import Spool


@click.command()
@click.argument("task", shell_complete=completed.task)
@click.argument("words", metavar="PARAM:VALUE...", nargs=-1, shell_complete=completed.words)
@click.option("--wait", is_flag=True, help="Follow the job to its end.")
@remote.options
def queue(context: CliContext, /, given: remote.Options, task: str, words: tuple[str, ...], wait: bool) -> None:
    """Queue a job, here or with a receiver elsewhere, and print its id.

    \b
    ckanpackager queue package_datastore \\
        api_url:https://data.example.org/api/3/action/datastore_search \\
        resource_id:28 email:someone@example.org 'filters:{"Country": "Peru"}'
    """
    named = parameters_from_words(words)
    given = remote.Options(secret=named.pop("secret", None)).merged_with(given)
    parameters = {**of_task(task, remote.read_defaults(given)), **named}
    parameters.pop("secret", None)  # for a receiver; a user who may write into the spool needs none
    if given.host and task in TASKS:
        answer = remote.call(given, f"/{task}", parameters)
        id = str(answer.get("job") or answer.get("message") or answer.get("msg"))
    else:
        request = request_from(task, parameters, strict=True)
        check_host(request.url_parameter, request.url, context.settings.ckan.allowed_hosts)
        job = Job(request=request, created=time.time(), queue=queue_of(request, context.settings, time.time()))
        id = context.spool.enqueue(job)
    if not context.quiet:
        echo(id)
    if wait:
        sys.exit(remote.follow(given, id, quiet=context.quiet) if given.host else follow(context, id))


@click.command()
@click.argument("jobs", metavar="JOB...", nargs=-1, shell_complete=completed.job_of("failed"))
@click.option("--all", "every", is_flag=True, help="All failed jobs, but for those that need an API key.")
@click.option("--key", metavar="KEY", help="API key for the jobs; their own was removed when they ended.")
@click.pass_obj
def retry(context: CliContext, jobs: tuple[str, ...], every: bool, key: str | None) -> None:
    """Put failed jobs back into their queue.

    \b
    ckanpackager retry --all
    ckanpackager retry 20261124T025758123456-5d41402abc4b2a76b9719d911017c592 --key KEY
    """
    if bool(jobs) == every:
        raise click.UsageError("name the jobs, or give --all")
    if every and key is not None:
        raise click.UsageError("--key is for jobs that are named, not for --all")
    failed = False
    for id in jobs or context.spool.ids("failed"):
        try:
            queue = operations.retry(context.spool, id, key)
        except BadRequest as error:
            if every:
                continue  # it was moved there with the reason beside it
            failed = True
            click.echo(f"ckanpackager: {one_line(error)}", err=True)
            continue
        except TemporaryFailure as error:
            failed = True
            echo(f"ckanpackager: {one_line(error)}", err=True)
            continue
        if not context.quiet:
            echo(f"{id}: waiting in {queue}")
    sys.exit(1 if failed else 0)


@click.command()
@click.argument("job", shell_complete=completed.job_of("waiting"))
@click.pass_obj
def cancel(context: CliContext, job: str) -> None:
    """Cancel a waiting job; its requester is told by mail.

    \b
    ckanpackager cancel 20261124T025758123456-5d41402abc4b2a76b9719d911017c592
    """
    operations.cancel(context.spool, job)
    if not context.quiet:
        echo(f"{job}: cancelled; the next `ckanpackager process` tells its requester")


def of_task(task: str, defaults: dict[str, Any]) -> dict[str, Any]:
    """The defaults without those that only other tasks take."""
    own = TASKS[task].__struct_fields__ if task in TASKS else ()
    others = {name for kind in TASKS.values() for name in kind.__struct_fields__}
    return {name: value for name, value in defaults.items() if name in own or name not in others}


def _is_idle(spool: Spool, folder: str, job: Job) -> bool:
    """Whether a job is due, and no worker is at work or has looked into the spool of late."""
    now = time.time()
    if folder not in QUEUES or spool.not_before(job) > now or spool.active_workers():
        return False
    return now - spool.last_runs().get("process", 0.0) > CRON


def follow(context: CliContext, id: str) -> int:
    """Show a job's progress until its end; the exit code."""
    progress, hint, missed = Progress(quiet=context.quiet), WorkerHint(WORKER_PATIENCE, quiet=context.quiet), 0
    while (found := context.spool.find(id)) is None or found[0] not in ("done", "failed"):
        if found:
            missed = 0
            progress.waiting(context.spool, *found)
            hint.look(idle=_is_idle(context.spool, *found))
        elif (missed := missed + 1) > 3:  # one may be missed on its way from folder to folder
            raise TemporaryFailure(f"{id}: the job file was removed")
        time.sleep(0.5)
    progress.close()
    folder, job = found
    if folder == "failed" or job.failure:
        echo(f"ckanpackager: {id}: {job.failure}", err=True)
        return 1
    if not context.quiet and job.archive:
        echo(job.archive.name)
    return 0
