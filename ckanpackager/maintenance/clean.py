"""`ckanpackager clean`: remove what is no longer needed.  Safe beside running workers."""

import math

from ckanpackager.archives import scratch
from ckanpackager.archives.store import Store
from ckanpackager.config.settings import Settings
from ckanpackager.spool import accepted
from ckanpackager.spool.queue import Spool

DAY = 86400
ORPHANED = 3600  # seconds: a file is in the spool's tmp/ only while it is written


def clean(spool: Spool, store: Store, settings: Settings, now: float, *, dry_run: bool = False) -> dict[str, int]:
    """Remove expired archives (but none that an open job is going to mail), old jobs, and what dead workers left.

    Gives what was removed, by kind; with `dry_run`, what would be.  Raises TemporaryFailure.
    """
    packers = settings.engine.engine == "celery"  # may be at work for a dispatcher that has died
    if not dry_run:
        store.forget_expired(now - settings.spool.keep_done * DAY)
        spool.remove_older(accepted.FOLDER, now - accepted.DAY)
    expired = (now - settings.archives.keep_archives * DAY, spool.archives_in_use())
    since = now - ORPHANED if packers else math.inf
    removed = {
        "archives": len(store.expired(*expired)) if dry_run else store.expire(*expired),
        "done jobs": spool.remove_older("done", now - settings.spool.keep_done * DAY, dry_run=dry_run),
        "failed jobs": spool.remove_older("failed", now - settings.spool.keep_failed * DAY, dry_run=dry_run),
        "temporary files": spool.remove_older("tmp", now - ORPHANED, dry_run=dry_run)
        + spool.remove_older("building", now - ORPHANED, dry_run=dry_run)
        + store.remove_orphans(since, spool.is_building, dry_run=dry_run)
        + scratch.remove_old(settings.archives.temp_directory, now - DAY, spool.is_building, dry_run=dry_run),
    }
    if (days := settings.statistics.keep_statistics) is not None:
        from ckanpackager.statistics import open_statistics  # SQLAlchemy takes its time, and most sites keep all

        with open_statistics(settings.statistics, unchanged=dry_run) as statistics:
            before = now - days * DAY
            removed["requests and errors"] = (
                statistics.count_older(before) if dry_run else statistics.remove_older(before)
            )
    if not dry_run:
        spool.record_run("clean")
    return removed
