"""Links to archives in a bucket: each request is redirected to one that is signed anew, so that they stay good."""

import re

from ckanpackager.archives.store import open_store
from ckanpackager.config.settings import Settings
from ckanpackager.receiver import job_page
from ckanpackager.receiver.response import Response

SIGNED = 3600  # seconds that a download has to begin


def respond(link: re.Match[str], accept: str, settings: Settings, now: float) -> Response | None:
    """Where the archive of a link (layout.LINK) is now, or that it has expired; None if there never was one."""
    store = open_store(settings)
    name = link[0].removeprefix("named/").removesuffix(".zip")
    archive = store.get(link[1]) if link[1] else store.named(name)
    if archive is not None:
        return Response("302 Found", b"", (("Location", store.link(archive, now + SIGNED, now)),))
    return job_page.respond_expired(accept, settings.portal) if link[1] and store.has_expired(link[1]) else None
