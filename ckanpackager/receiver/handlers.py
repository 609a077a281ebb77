"""What the receiver answers to each path, for callers who know the secret.  Values in, values out: no HTTP here."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ckanpackager.config.settings import Settings
from ckanpackager.errors import BadRequest, TemporaryFailure, TooMany
from ckanpackager.hosts import check_host
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.parameters import request_from
from ckanpackager.jobs.request import QUEUES, TASKS, Queue, Request
from ckanpackager.spool.queue import Spool

_MANY = 100  # requests ahead; nobody cares for the exact number beyond, and a long queue takes time to count
_MOST_DIGITS = 18  # of a number: what a database takes


class HandlerRequest(NamedTuple):
    """What somebody who knows the secret asks for."""

    parameters: dict[str, Any]
    settings: Settings
    spool: Spool


def log(words: str, *, traceback: bool = False, level: str = "ERROR") -> None:
    import logging  # here, since a process that has nothing to say should start fast

    logging.getLogger("ckanpackager").log(getattr(logging, level), "%s", words, exc_info=traceback)


def _queue(task: str) -> Callable[[HandlerRequest], dict[str, Any]]:
    def handle(call: HandlerRequest) -> dict[str, Any]:
        request = request_from(task, call.parameters)
        check_host(request.url_parameter, request.url, call.settings.ckan.allowed_hosts)
        _check_number_of_jobs(request, call)
        queue = request.queue(call.settings.spool.slow_request)
        id = call.spool.enqueue(Job(request=request, created=time.time(), queue=queue))
        if call.settings.spool.log:
            log(f"job {id}: accepted: {task} of {request.resource_id} from {request.host}", level="INFO")
        message = call.settings.receiver.success_message
        reply = {"job": id}
        if public_url := call.settings.receiver.public_url:
            reply["status_url"] = f"{public_url}/jobs/{id}"
            message += f" You can follow it at {reply['status_url']}"
        if ahead := _ahead(call.spool, id, queue):
            number = f"more than {_MANY}" if ahead > _MANY else ahead
            message += f" ({number} {'request is' if ahead == 1 else 'requests are'} ahead of yours.)"
        return {"message": message, "msg": message, **reply}

    return handle


def _ahead(spool: Spool, id: str, queue: Queue) -> int:
    """How many wait before a job.  It is on disk by now: no failure here may turn the answer into a refusal."""
    try:
        return spool.jobs_ahead(id, queue, _MANY + 1)
    except TemporaryFailure:
        return 0


def _check_number_of_jobs(request: Request, call: HandlerRequest) -> None:
    most = call.settings.receiver.max_jobs_per_email
    if most is not None and call.spool.open_jobs_of(request.email) >= most:
        raise TooMany(f"{request.email} has {most} open requests already; please wait for one of them to be done")


def _status(call: HandlerRequest) -> dict[str, Any]:
    from ckanpackager.receiver import job_page
    from ckanpackager.statistics import open_statistics
    from ckanpackager.status import overview

    if id := _text(call, "job"):
        if (found := call.spool.find(id)) is None:
            raise BadRequest("job: there is no such job")
        known = job_page.facts(*found, call.settings, call.spool, time.time())
        return {**known, "msg": known["message"]}
    view = overview(call.spool, time.time())
    with open_statistics(call.settings.statistics) as statistics:
        processed = statistics.totals().get("*", {}).get("requests", 0)
    return {
        "worker_count": len(view.workers),
        "queue_length": sum(view.jobs[folder] for folder in (*QUEUES, "claimed")),
        "processed_requests": processed,
        "queues": {folder: number for folder, number in view.jobs.items() if folder != "done"},
        "oldest_waiting": view.oldest,
        "failed_last_24_hours": view.failed_lately,
        "workers": [
            {"slot": worker.slot, "job": worker.job, "rows": worker.rows, "expected": worker.expected}
            for worker in view.workers
        ],
    }


def _clear_caches(call: HandlerRequest) -> dict[str, Any]:
    from ckanpackager.archives.store import Store

    archives = call.settings.archives
    store = Store(Path(archives.store_directory), archives.cache_time)
    store.prepare()
    removed = store.clear()
    message = f"{removed} archives removed"
    return {"message": message, "msg": message, "removed": removed}


def _totals(call: HandlerRequest) -> dict[str, Any]:
    from ckanpackager.statistics import open_statistics

    with open_statistics(call.settings.statistics) as statistics:
        return {"totals": statistics.totals(_text(call, "resource_id"))}


def _listing(table: str) -> Callable[[HandlerRequest], dict[str, Any]]:
    def handle(call: HandlerRequest) -> dict[str, Any]:
        from ckanpackager.statistics import open_statistics

        offset, limit = _integer(call, "offset", 0), _integer(call, "limit", 100)
        resource_id, email = _text(call, "resource_id"), _text(call, "email")
        with open_statistics(call.settings.statistics) as statistics:
            rows = statistics.requests if table == "requests" else statistics.errors
            return {table: rows(offset=offset, limit=limit, resource_id=resource_id, email=email)}

    return handle


def _text(call: HandlerRequest, name: str) -> str | None:
    value = call.parameters.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"{name}: expected text")
    return value or None


def _integer(call: HandlerRequest, name: str, default: int) -> int:
    value = call.parameters.get(name)
    if value is None or value == "":
        return default
    digits = str(value) if isinstance(value, int) else value
    if not (isinstance(digits, str) and digits.isascii() and digits.isdecimal() and len(digits) <= _MOST_DIGITS):
        raise BadRequest(f"{name}: expected a number from 0 on")
    return int(digits)


HANDLERS: dict[str, Callable[[HandlerRequest], dict[str, Any]]] = {
    "/": _status,
    "/status": _status,
    **{f"/{task}": _queue(task) for task in TASKS},
    "/clear_caches": _clear_caches,
    "/statistics": _totals,
    "/statistics/requests": _listing("requests"),
    "/statistics/errors": _listing("errors"),
}
