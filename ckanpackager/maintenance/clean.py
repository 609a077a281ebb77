"""`ckanpackager clean`: remove what is no longer needed.  Safe beside running workers."""

import tempfile
from pathlib import Path

from ckanpackager import durable_files
from ckanpackager.archives.store import Store
from ckanpackager.config.settings import Settings
from ckanpackager.spool.queue import Spool

DAY = 86400
ORPHANED = 3600  # seconds: a file is in the spool's tmp/ only while it is written


def clean(spool: Spool, store: Store, settings: Settings, now: float) -> dict[str, int]:
    """Remove expired archives (but none that an open job is going to mail), old jobs, and what dead workers left.

    Gives what was removed, by kind.  Raises TemporaryFailure.
    """
    return {
        "archives": store.expire(now - settings.archives.keep_archives * DAY, spool.archives_in_use()),
        "done jobs": spool.remove_older("done", now - settings.spool.keep_done * DAY),
        "failed jobs": spool.remove_older("failed", now - settings.spool.keep_failed * DAY),
        "temporary files": spool.remove_older("tmp", now - ORPHANED)
        + store.remove_orphans()
        + durable_files.remove_abandoned_scratch(Path(settings.archives.temp_directory or tempfile.gettempdir()), now),
    }
