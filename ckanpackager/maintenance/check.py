"""`ckanpackager check`: try everything that the configuration names, and report what is wrong in plain words."""

import os
import shlex
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

from ckanpackager.archives import zip64
from ckanpackager.archives.space import measure_store
from ckanpackager.ckan.actions import status
from ckanpackager.config.settings import Settings, with_trait
from ckanpackager.config.yaml_reader import read
from ckanpackager.darwin_core import compile_plan
from ckanpackager.errors import BadRequest, CkanpackagerError
from ckanpackager.hosts import HostPolicy
from ckanpackager.http_client import Client
from ckanpackager.jobs.request import QUEUES
from ckanpackager.mail import send
from ckanpackager.maintenance import check_engine, repair
from ckanpackager.maintenance.check_directories import directories
from ckanpackager.maintenance.check_links import links
from ckanpackager.maintenance.check_values import python, readable_secrets, values
from ckanpackager.maintenance.finding import Finding, error, ok, tried, warning
from ckanpackager.maintenance.named_packages import configured, statuses
from ckanpackager.spool.queue import Spool
from ckanpackager.statistics import open_statistics
from ckanpackager.status import DAY, duration, human_size

LONG = 3600  # seconds that a job may wait for a worker
_NEARLY = 0.9  # of store_max_size
_OVERDUE = 2  # days that an expired archive may stay


def run(settings: Settings, ckan: str | None, *, file: Path | None = None, fix: bool = False) -> Iterator[Finding]:
    """Check everything.

    Args:
        ckan: the address of a CKAN that is asked, too.
        file: the configuration file, if it is looked at who may read it.
        fix: make directories that are missing, and mend owners and modes of those of the spool.
    """
    now, spool = time.time(), Spool(Path(settings.spool.spool_directory))
    yield from directories(settings, fix=fix)
    if settings.archives.store_url:
        yield from check_engine.bucket(settings)
    yield from _database(settings, fix=fix)
    yield from _addresses(settings)
    yield tried("mail", lambda: send.check(settings.mail))
    yield _compression(settings)
    yield from check_engine.engine(settings)
    yield tried("darwin core", lambda: _darwin_core(settings))
    if os.path.isdir(spool.directory):
        yield from _work(spool, now)
        yield from _named_packages(settings, spool, now)
    yield from _store(settings, now)
    if settings.ckan.allowed_hosts is None:
        yield ok(
            "allowed_hosts: unset, so data comes from the host of api_url, from ckan_hosts and from public addresses"
        )
    yield from values(settings)
    yield from python(sys.version_info[:2], date.fromtimestamp(now))
    if file is not None:
        yield from _configuration(file)
    yield from links(settings)
    if ckan is not None:
        yield tried("ckan", lambda: _ckan(ckan, settings))


def _work(spool: Spool, now: float) -> Iterator[Finding]:
    """Jobs that need an administrator."""
    try:
        busy = spool.active_workers()
        failed = spool.alarms_since(now - DAY)
        overdue = min((since for queue in QUEUES if (since := spool.overdue_since(queue, now))), default=now)
    except CkanpackagerError as failure:
        yield error(f"jobs: {failure}")
        return
    if failed:
        yield error(
            f"jobs: {failed} failed in the last 24 hours; `ckanpackager stats errors` says why, and "
            "`ckanpackager retry` puts them back"
        )
    if long := [job for queue in QUEUES for job in spool.jobs(queue) if job.alerted and job.attempts]:
        last = long[0].attempts[-1]
        yield error(
            f"jobs: {len(long)} have failed for an hour or longer, and are retried; job {long[0].id}: {last.step}: "
            f"{last.error}"
        )
    if now - overdue > LONG and not busy:
        yield error(
            f"jobs: the oldest has waited for {duration(now - overdue)} and no worker is active; does cron, or a "
            "service, run `ckanpackager process`?"
        )


def _named_packages(settings: Settings, spool: Spool, now: float) -> Iterator[Finding]:
    try:
        packages = configured(settings)
        known = list(statuses(settings, spool))
    except CkanpackagerError as failure:
        yield from map(error, str(failure).splitlines())
        return
    for named in known:
        schedule = packages[named.name].schedule
        age = f"{duration(now - named.published)} old" if named.published else "not built yet"
        looked = f"looked at {duration(now - named.looked_at)} ago" if named.looked_at else "never looked at"
        words = f"named_packages.{named.name}: {age}, {looked}"
        if named.failed:
            yield error(f"{words}; its last refresh failed, so the archive is the one before: {named.failed}")
        elif not named.looked_at or (schedule and schedule.is_due(named.looked_at, now - DAY)):
            yield error(f"{words}; does cron run `ckanpackager refresh`?")
        else:
            yield ok(words)


def _store(settings: Settings, now: float) -> Iterator[Finding]:
    """Whether the store has room within its bounds, and archives that `clean` should have removed."""
    try:
        space = measure_store(settings)
    except CkanpackagerError:
        return  # the store's own finding says it
    if (most := settings.archives.store_max_size) is not None and space.used > _NEARLY * most:
        words = f"store_max_size: the store holds {human_size(space.used)} of {human_size(most)}"
        advice = "`ckanpackager clean` removes what has expired; keep archives for a shorter time, or allow more"
        yield error(f"{words}: jobs wait; {advice}") if space.used >= most else warning(f"{words}; {advice}")
    if space.next_expiry is not None and now - space.next_expiry > _OVERDUE * DAY:
        yield warning(
            f"keep_archives: an archive that expired {duration(now - space.next_expiry)} ago is still there; does "
            "cron, or a timer, run `ckanpackager clean`?"
        )


def _configuration(file: Path) -> Iterator[Finding]:
    """Who may read the secrets in the configuration."""
    written = read(file).values
    secrets = [key for key in with_trait("secret") if written.get(key) and (key != "stats_db" or "@" in written[key])]
    yield from readable_secrets(file.stat().st_mode, str(file), secrets)


def _database(settings: Settings, *, fix: bool) -> Iterator[Finding]:
    """Whether the statistics can be read and written, and by whom if they are in a file of SQLite."""
    url = settings.statistics.stats_db
    path = Path(url.partition("?")[0].partition(":///")[2]) if url.startswith("sqlite") else None
    if path and os.geteuid() == 0 and not path.exists() and path.parent.is_dir() and path.parent.stat().st_uid != 0:
        if not fix:
            yield error(f"stats_db: {path} is missing; `ckanpackager check --fix` makes it for the owner of its folder")
            return
        yield repair.make_file("stats_db", path)
    yield tried("statistics", lambda: _statistics(settings))
    if path is None or not os.path.isfile(path):
        return
    for needed in (path, path.parent):
        if not os.access(needed, os.W_OK):
            yield error(f"stats_db: this user may not write to {needed}, which SQLite needs; give it to this user")
    if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
        yield warning(f"stats_db: every user may read {path}, and addresses stand in it; chmod o= {path}")


def _statistics(settings: Settings) -> str:
    with open_statistics(settings.statistics) as statistics:
        served = statistics.totals().get("*", {}).get("requests", 0)
    return f"the database answers, with {served:,} requests so far"


def _addresses(settings: Settings) -> Iterator[Finding]:
    """Addresses in clear that should not be there."""
    if not settings.statistics.anonymize_emails:
        return
    try:
        with open_statistics(settings.statistics, to_read=True) as statistics:
            clear = statistics.clear_addresses()
    except CkanpackagerError:
        return  # the finding before this one says what is wrong
    if clear:
        yield error(
            f"anonymize_emails: {clear:,} rows of the statistics hold an address in clear; `ckanpackager anonymize` "
            "hashes them"
        )


def _darwin_core(settings: Settings) -> str:
    plan = compile_plan([settings.darwin_core.dwc_id_field], settings.darwin_core)
    return f"the definitions can be read; the core is {plan.core.row_type.rpartition('/')[2]}"


def _compression(settings: Settings) -> Finding:
    if command := settings.archives.zip_command:
        program = shlex.split(command)[0]
        there = shutil.which(program) is not None
        if not there:
            return error(f"zip_command: {program} is not there: install it, or correct the command")
        return ok(f"zip_command: {program} is there")
    if settings.archives.compression_level <= zip64.FASTEST_LEVELS and not zip64.isal_installed():
        return ok("compression: isal is not installed, so zlib deflates, several times slower (pip install isal)")
    return ok(f"compression: level {settings.archives.compression_level}")


def _ckan(url: str, settings: Settings) -> str:
    try:
        path = urlsplit(url).path
    except ValueError as error:
        raise BadRequest(f"{url}: no usable URL: {error}") from None
    site = url if "/api/" not in path else url[: url.index("/api/")]
    hosts = HostPolicy(site=url, allowed_hosts=settings.ckan.allowed_hosts)
    client = Client(key=None, timeout=settings.ckan.request_timeout, hosts=hosts)
    return status(client, site.rstrip("/"))
