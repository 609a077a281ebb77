"""What the receiver serves without the secret in the body: by path, which methods, and the function that responds.

Each function imports what it needs when it is called: under CGI every request starts a process.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ckanpackager.archives import layout
from ckanpackager.config.settings import Settings
from ckanpackager.receiver.body import Environ
from ckanpackager.receiver.response import Response, success_response
from ckanpackager.spool.queue import Spool


class PageRequest(NamedTuple):
    """One request for a page; what the log should say of it goes into `about`."""

    path: str
    environ: Environ
    settings: Settings
    spool: Spool
    about: dict[str, str]


class Page(NamedTuple):
    """The methods that a path takes, and what responds; None as a response: there is nothing."""

    methods: tuple[str, ...]
    respond: Callable[[PageRequest], Response | None]


def page_at(path: str, settings: Settings) -> Page | None:
    """What serves a path; None if nothing does."""
    if path.startswith("/jobs/"):
        return Page(_READ, _job)
    if layout.LINK.fullmatch(path.removeprefix("/archives/")):  # the web server serves those that are there
        return Page(_READ, _archive)
    return PAGES.get(path)


def _health(request: PageRequest) -> Response:
    """For whatever looks after containers: up, and able to accept requests; nothing is told."""
    request.spool.prepare()
    request.spool.check_writable()
    return success_response({})


def _job(request: PageRequest) -> Response:
    from ckanpackager.receiver import job_page

    query, accept = request.environ.get("QUERY_STRING", ""), request.environ.get("HTTP_ACCEPT", "")
    id = request.path.removeprefix("/jobs/")
    return job_page.respond(id, query, accept, request.settings, request.spool, time.time())


def _archive(request: PageRequest) -> Response | None:
    settings, accept = request.settings, request.environ.get("HTTP_ACCEPT", "")
    found = layout.LINK.fullmatch(request.path.removeprefix("/archives/"))
    if found and settings.archives.store_url:
        from ckanpackager.receiver import bucket

        return bucket.respond(found, accept, settings, time.time())
    if found and found[1] and layout.has_expired(Path(settings.archives.store_directory), found[1]):
        from ckanpackager.receiver import job_page

        return job_page.respond_expired(accept, settings.portal)
    return None


_READ = ("GET", "HEAD")
PAGES: dict[str, Page] = {
    "/health": Page(_READ, _health),
}
