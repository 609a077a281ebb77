"""The queue of a request: one whose archive is in the cache is fast, whatever it asks for."""

from pathlib import Path

from ckanpackager.archives import layout
from ckanpackager.config.settings import Settings
from ckanpackager.jobs.request import Queue, Request, cache_key


def queue_of(request: Request, settings: Settings, now: float) -> Queue:
    """The queue to wait in; one look-up in a directory, and none in a bucket, which would take too long.

    No failure of the store is one of the request.
    """
    queue = request.queue(settings.spool.slow_request)
    archives = settings.archives
    if queue == "slow" and archives.cache_time > 0 and archives.store_url is None:
        try:
            if layout.newest(Path(archives.store_directory), cache_key(request), archives.cache_time, now):
                return "fast"
        except OSError:
            pass
    return queue
