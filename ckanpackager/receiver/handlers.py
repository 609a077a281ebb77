"""What the receiver does for each path, for callers who know the secret.  Values in, values out: no HTTP here."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from ckanpackager import __version__
from ckanpackager.archives.cached import queue_of
from ckanpackager.config.settings import Settings
from ckanpackager.errors import BadRequest, TemporaryFailure
from ckanpackager.formats.registry import FORMATS
from ckanpackager.hosts import check_host
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.parameters import request_from
from ckanpackager.jobs.request import TASKS, Queue
from ckanpackager.receiver.body import MAX_DIGITS
from ckanpackager.receiver.requester_limits import enqueue
from ckanpackager.receiver.response import Response
from ckanpackager.spool.queue import Spool

SVG_HEADERS = (("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),)
_MANY = 100  # requests ahead; beyond that the exact number matters little, and counting a long queue takes time


class HandlerRequest(NamedTuple):
    """The parameters of a caller who knows the secret, and what a handler works with.

    A handler that accepts something puts that into `about`, in words for the log.
    """

    parameters: dict[str, Any]
    settings: Settings
    spool: Spool
    about: dict[str, str]


def _queue(task: str) -> Callable[[HandlerRequest], dict[str, Any]]:
    def handle(request: HandlerRequest) -> dict[str, Any]:
        settings, spool = request.settings, request.spool
        wanted = request_from(task, request.parameters)
        check_host(wanted.url_parameter, wanted.url, settings.ckan.allowed_hosts)
        now = time.time()
        queue = queue_of(wanted, settings, now)
        job = Job(request=wanted, created=now, queue=queue)
        id = enqueue(job, settings.receiver, spool)
        request.about["accepted"] = f"accepted as job {id}, {queue}, from {wanted.host}"
        message = settings.receiver.success_message
        values = {"job": id}
        if url := settings.receiver.job_url(id):
            values["status_url"] = url
            message += f" You can follow it at {url}"
        if ahead := _ahead(spool, id, queue):
            number = f"more than {_MANY}" if ahead > _MANY else ahead
            message += f" ({number} {'request is' if ahead == 1 else 'requests are'} ahead of yours.)"
        return {"message": message, "msg": message, **values}

    return handle


def _ahead(spool: Spool, id: str, queue: Queue) -> int:
    """How many jobs wait before this one, which is on disk already: a failure here must not refuse the request."""
    try:
        return spool.jobs_ahead(id, queue, _MANY + 1)
    except TemporaryFailure:
        return 0


def _status(request: HandlerRequest) -> dict[str, Any]:
    from ckanpackager.maintenance.named_packages import statuses
    from ckanpackager.statistics import open_statistics
    from ckanpackager.status import job_report, job_status, service_status

    if id := _text(request, "job"):
        if (found := request.spool.find(id)) is None:
            raise BadRequest("job: there is no such job")
        tell = job_report if _text(request, "report") else job_status
        job = tell(*found, request.settings, request.spool, time.time())
        return {**msgspec.to_builtins(job), "msg": job.message}
    service = service_status(request.spool, time.time())
    with open_statistics(request.settings.statistics, to_read=True) as statistics:
        processed = statistics.served()
    named = msgspec.to_builtins(list(statuses(request.settings, request.spool)))
    can = {"tasks": list(TASKS), "formats": list(FORMATS), "version": __version__}  # for clients that offer them
    return {**msgspec.to_builtins(service), "processed_requests": processed, "named_packages": named, **can}


def _refresh(request: HandlerRequest) -> dict[str, Any]:
    """Queue jobs for the named packages that are meant, as far as their source has changed, due or not."""
    from ckanpackager.archives.store import open_store
    from ckanpackager.maintenance.refresh import Refresher

    store = open_store(request.settings)
    refresher = Refresher(request.spool, store, request.settings, in_haste=True)
    name, api_url = _text(request, "name"), _text(request, "api_url")
    resource_id, dataset_id = _text(request, "resource_id"), _text(request, "dataset_id")
    if not name and not (api_url and (resource_id or dataset_id)):
        raise BadRequest("name: missing; or send api_url with resource_id or dataset_id")
    names = [name] if name else refresher.concerned(str(api_url), resource_id, dataset_id)
    found = list(refresher.refresh(names, time.time(), always_due=True)) if names else []
    message = "; ".join(f"{each.name}: {each.state}" for each in found) or "no named package is concerned"
    request.about["accepted"] = message
    return {
        "message": message,
        "msg": message,
        "packages": {each.name: each.state for each in found},
        "jobs": {each.name: each.job for each in found if each.job},
    }


def _clear_caches(request: HandlerRequest) -> dict[str, Any]:
    from ckanpackager.archives.store import open_store

    removed = open_store(request.settings).clear(request.spool.archives_in_use())
    message = request.about["accepted"] = f"{removed} archives removed"
    return {"message": message, "msg": message, "removed": removed}


def _statistics(kind: str) -> Callable[[HandlerRequest], dict[str, Any] | Response]:
    def handle(request: HandlerRequest) -> dict[str, Any] | Response:
        from ckanpackager.statistics import open_statistics
        from ckanpackager.statistics.periods import period_of, unit_of
        from ckanpackager.statistics.queries import DIMENSIONS, Query, answer

        parameters = request.parameters
        drawn = kind in DIMENSIONS and _is_chart(parameters.get("format"))
        query = Query(
            resource_id=_text(request, "resource_id"),
            email=_text(request, "email"),
            offset=_integer(request, "offset", 0),
            limit=_integer(request, "limit", 10 if drawn else 100),
            period=period_of(parameters.get("since"), parameters.get("until")),
            by=unit_of(parameters.get("by")),
        )
        with open_statistics(request.settings.statistics, to_read=True) as statistics:
            if not drawn:
                return {kind: answer(statistics, kind, query)}
            from ckanpackager.report.drawing import chart_of

            svg = chart_of(statistics, DIMENSIONS[kind], query)
        return Response("200 OK", svg.encode(), SVG_HEADERS, "image/svg+xml; charset=utf-8")

    return handle


def _is_chart(format: Any) -> bool:
    if format in (None, "", "json", "svg"):
        return bool(format == "svg")
    raise BadRequest("format: expected json or svg")


def _text(request: HandlerRequest, name: str) -> str | None:
    value = request.parameters.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"{name}: expected text")
    return value or None


def _integer(request: HandlerRequest, name: str, default: int) -> int:
    value = request.parameters.get(name)
    if value is None or value == "":
        return default
    digits = str(value) if isinstance(value, int) else value
    if not (isinstance(digits, str) and digits.isascii() and digits.isdecimal() and len(digits) <= MAX_DIGITS):
        raise BadRequest(f"{name}: expected a number from 0 on")
    return int(digits)


HANDLERS: dict[str, Callable[[HandlerRequest], dict[str, Any] | Response]] = {
    "/": _status,
    "/status": _status,
    **{f"/{task}": _queue(task) for task in TASKS},
    "/refresh": _refresh,
    "/clear_caches": _clear_caches,
    "/statistics": _statistics("totals"),
    **{f"/statistics/{kind}": _statistics(kind) for kind in ("requests", "errors", "resources", "domains", "formats")},
}
