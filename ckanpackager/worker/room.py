"""Room for an archive: what has expired goes first, and administrators hear once that jobs wait for room."""

import logging
from collections.abc import Callable

from ckanpackager.archives.space import measure_store
from ckanpackager.archives.store import Store
from ckanpackager.config.settings import Settings
from ckanpackager.errors import NoRoom, TemporaryFailure
from ckanpackager.jobs.job import Archive
from ckanpackager.spool.alerts import Alerts
from ckanpackager.spool.queue import Spool

ALERT = "room"
DAY = 86400  # seconds
_AMPLE = 0.9  # of store_max_size, and as much more than min_free_space: below it, a full store is over
log = logging.getLogger("ckanpackager")


def with_room(
    build: Callable[[], Archive],
    settings: Settings,
    spool: Spool,
    store: Store,
    alerts: Alerts,
    clock: Callable[[], float],
) -> Archive:
    """Build an archive; where there is no room, once more after what has expired was removed, as `clean` does.

    Raises NoRoom, and what else `build` raises.
    """
    try:
        archive = build()
    except NoRoom:
        if not _remove_expired(settings, spool, store, clock()):
            raise
        archive = build()
    if alerts.goes_on(ALERT) and _is_ample(settings):
        alerts.over(ALERT)
    return archive


def _remove_expired(settings: Settings, spool: Spool, store: Store, now: float) -> int:
    """How many archives were removed."""
    expiry = measure_store(settings).next_expiry
    if expiry is None or expiry > now:
        return 0  # without reading which archives the open jobs need
    removed = store.expire(now - settings.archives.keep_archives * DAY, spool.archives_in_use())
    log.info("%d expired archives removed, since there was no room", removed)
    return removed


def _is_ample(settings: Settings) -> bool:
    """Whether there is so much room that the next archive does not raise the alarm again."""
    archives = settings.archives
    try:
        space = measure_store(settings)
    except TemporaryFailure:
        return False
    fits = archives.store_max_size is None or space.used < _AMPLE * archives.store_max_size
    return fits and (archives.min_free_space is None or (space.free or 0) * _AMPLE > archives.min_free_space)
