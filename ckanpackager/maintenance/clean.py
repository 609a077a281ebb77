"""`ckanpackager clean`: remove what is no longer needed.  Safe beside running workers."""

import os
import shutil
import tempfile
from pathlib import Path

from ckanpackager.archives.store import Store
from ckanpackager.config.settings import Settings
from ckanpackager.errors import TemporaryFailure
from ckanpackager.spool.queue import Spool

DAY = 86400
ORPHANED = 3600  # seconds: a file is in the spool's tmp/ only while it is written


def clean(spool: Spool, store: Store, settings: Settings, now: float) -> dict[str, int]:
    """Remove expired archives (but none that an open job is going to mail), old jobs, and what dead workers left.

    Gives what was removed, by kind.  Raises TemporaryFailure.
    """
    store.forget_expired(now - settings.spool.keep_done * DAY)
    removed = {
        "archives": store.expire(now - settings.archives.keep_archives * DAY, spool.archives_in_use()),
        "done jobs": spool.remove_older("done", now - settings.spool.keep_done * DAY),
        "failed jobs": spool.remove_older("failed", now - settings.spool.keep_failed * DAY),
        "temporary files": spool.remove_older("tmp", now - ORPHANED)
        + store.remove_orphans()
        + _remove_scratch(store, Path(settings.archives.temp_directory or tempfile.gettempdir()), now - DAY),
    }
    if (days := settings.statistics.keep_statistics) is not None:
        from ckanpackager.statistics import open_statistics  # SQLAlchemy takes its time, and most sites keep all

        with open_statistics(settings.statistics) as statistics:
            removed["requests and errors"] = statistics.remove_older(now - days * DAY)
    return removed


def _remove_scratch(store: Store, directory: Path, before: float) -> int:
    """Directories of files for zip_command, whose worker died.

    Other users share the system's temporary directory: their directories stay, and young ones, which may be another
    store's.
    """
    removed = 0
    for path in directory.glob("ckanpackager-*.part-*"):
        try:
            newest = max(inner.lstat().st_mtime for inner in (path, *path.glob("*")))
            own = path.lstat().st_uid == os.geteuid()
            if own and newest < before and not store.is_building(path.name.removeprefix("ckanpackager-")):
                shutil.rmtree(path)
                removed += 1
        except FileNotFoundError:
            continue  # its worker, or another `clean`, was faster
        except OSError as error:
            raise TemporaryFailure(f"temporary directory {path}: {error.strerror}") from error
    return removed
