"""`ckanpackager clean`: remove what is no longer needed.  Safe beside running workers."""

import math

from ckanpackager.archives import scratch
from ckanpackager.archives.store import Store
from ckanpackager.config.settings import Settings
from ckanpackager.spool.queue import Spool

DAY = 86400
ORPHANED = 3600  # seconds: a file is in the spool's tmp/ only while it is written


def clean(spool: Spool, store: Store, settings: Settings, now: float) -> dict[str, int]:
    """Remove expired archives (but none that an open job is going to mail), old jobs, and what dead workers left.

    Gives what was removed, by kind.  Raises TemporaryFailure.
    """
    packers = settings.engine.engine == "celery"  # may be at work for a dispatcher that has died
    store.forget_expired(now - settings.spool.keep_done * DAY)
    removed = {
        "archives": store.expire(now - settings.archives.keep_archives * DAY, spool.archives_in_use()),
        "done jobs": spool.remove_older("done", now - settings.spool.keep_done * DAY),
        "failed jobs": spool.remove_older("failed", now - settings.spool.keep_failed * DAY),
        "temporary files": spool.remove_older("tmp", now - ORPHANED)
        + spool.remove_older("building", now - ORPHANED)
        + store.remove_orphans(now - ORPHANED if packers else math.inf, spool.is_building)
        + scratch.remove_old(settings.archives.temp_directory, now - DAY, spool.is_building),
    }
    if (days := settings.statistics.keep_statistics) is not None:
        from ckanpackager.statistics import open_statistics  # SQLAlchemy takes its time, and most sites keep all

        with open_statistics(settings.statistics) as statistics:
            removed["requests and errors"] = statistics.remove_older(now - days * DAY)
    spool.record_run("clean")
    return removed
