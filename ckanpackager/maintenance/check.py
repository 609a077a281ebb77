"""`ckanpackager check`: try everything that the configuration names, and report what is wrong in plain words."""

import os
import shlex
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from urllib.parse import urlsplit

from ckanpackager.archives import zip64
from ckanpackager.ckan.actions import status
from ckanpackager.config.settings import Settings
from ckanpackager.darwin_core import compile_plan
from ckanpackager.errors import BadRequest, CkanpackagerError, TemporaryFailure
from ckanpackager.hosts import HostPolicy
from ckanpackager.http_client import Client
from ckanpackager.jobs.request import QUEUES
from ckanpackager.mail import send
from ckanpackager.maintenance import check_engine
from ckanpackager.maintenance.named_packages import configured, statuses
from ckanpackager.spool.queue import FOLDERS, Spool
from ckanpackager.statistics import open_statistics
from ckanpackager.status import DAY, duration, service_status

Finding = tuple[bool, str]
LONG = 3600  # seconds that a job may wait for a worker


def run(settings: Settings, ckan: str | None) -> Iterator[Finding]:
    """Check everything; each finding is whether it is fine, and a sentence."""
    yield from _spool(Path(settings.spool.spool_directory))
    if settings.archives.store_url:
        yield from check_engine.bucket(settings)
    else:
        yield from _directory("store_directory", Path(settings.archives.store_directory))
    yield from _directory("temp_directory", Path(settings.archives.temp_directory or tempfile.gettempdir()))
    yield _tried("statistics", lambda: _statistics(settings))
    yield from _addresses(settings)
    yield _tried("mail", lambda: send.check(settings.mail))
    yield _compression(settings)
    yield from check_engine.engine(settings)
    yield _tried("darwin core", lambda: _darwin_core(settings))
    yield from _work(Spool(Path(settings.spool.spool_directory)))
    yield from _named_packages(settings, Spool(Path(settings.spool.spool_directory)), time.time())
    if settings.ckan.allowed_hosts is None:
        yield (
            True,
            "allowed_hosts: unset, so data comes from the host of api_url, from ckan_hosts and from public addresses",
        )
    if ckan is not None:
        yield _tried("ckan", lambda: _ckan(ckan, settings))


def _work(spool: Spool) -> Iterator[Finding]:
    """Jobs that need an administrator."""
    try:
        service = service_status(spool, time.time())
        failed = spool.alarms_since(time.time() - DAY)
    except CkanpackagerError as error:
        yield False, f"jobs: {error}"
        return
    if failed:
        yield (
            False,
            f"jobs: {failed} failed in the last 24 hours; `ckanpackager stats errors` says why, and "
            "`ckanpackager retry` puts them back",
        )
    if long := [job for queue in QUEUES for job in spool.jobs(queue) if job.alerted and job.attempts]:
        last = long[0].attempts[-1]
        yield (
            False,
            f"jobs: {len(long)} have failed for an hour or longer, and are retried; job {long[0].id}: {last.step}: "
            f"{last.error}",
        )
    if (oldest := service.oldest_waiting) is not None and oldest > LONG and not service.workers:
        yield (
            False,
            f"jobs: the oldest has waited for {duration(oldest)} and no worker is active; does cron, or a service, "
            "run `ckanpackager process`?",
        )


def _named_packages(settings: Settings, spool: Spool, now: float) -> Iterator[Finding]:
    try:
        packages = configured(settings)
        known = list(statuses(settings, spool))
    except CkanpackagerError as error:
        yield from ((False, words) for words in str(error).splitlines())
        return
    for named in known:
        schedule = packages[named.name].schedule
        age = f"{duration(now - named.published)} old" if named.published else "not built yet"
        looked = f"looked at {duration(now - named.looked_at)} ago" if named.looked_at else "never looked at"
        words = f"named_packages.{named.name}: {age}, {looked}"
        if named.failed:
            yield False, f"{words}; its last refresh failed, so the archive is the one before: {named.failed}"
        elif not named.looked_at or (schedule and schedule.is_due(named.looked_at, now - DAY)):
            yield False, f"{words}; does cron run `ckanpackager refresh`?"
        else:
            yield True, words


def _tried(name: str, work: Callable[[], str]) -> Finding:
    try:
        return True, f"{name}: {work()}"
    except CkanpackagerError as error:
        return False, f"{name}: {error}"


def _spool(directory: Path) -> Iterator[Finding]:
    yield _tried("spool_directory", lambda: _prepared(directory))
    for folder in (directory / name for name in FOLDERS):
        if barred := _first_barred(folder):
            yield (
                False,
                f"spool_directory: this user may not read and write {barred}; if receiver and worker are two users, "
                f"put both into one group and: chgrp -R GROUP {directory}; chmod 2770 {directory}",
            )


def _first_barred(folder: Path) -> str | None:
    """The first path, of a folder and some of its files, that this user may not read and write, with its mode."""
    try:
        return next(filter(None, map(_barred, chain([folder], islice(folder.iterdir(), 1000)))), None)
    except OSError as error:
        return None if isinstance(error, FileNotFoundError | NotADirectoryError) else f"{folder} ({error.strerror})"


def _barred(path: Path) -> str | None:
    try:
        state = path.lstat()
        fine = os.access(path, os.R_OK | os.W_OK | (os.X_OK if stat.S_ISDIR(state.st_mode) else 0))
        path.lstat()  # still there: a worker may have moved it on
    except FileNotFoundError:
        return None
    return None if fine else f"{path} ({stat.filemode(state.st_mode)}, owner {state.st_uid}, group {state.st_gid})"


def _prepared(directory: Path) -> str:
    Spool(directory).prepare()
    return _written(directory / "tmp")


def _directory(name: str, directory: Path) -> Iterator[Finding]:
    def tried() -> str:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TemporaryFailure(f"{directory} cannot be made: {error.strerror}") from error
        return _written(directory)

    yield _tried(name, tried)


def _written(directory: Path) -> str:
    """Write a file to disk in the directory; a sentence about it.  Raises TemporaryFailure."""
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(directory).free
    except OSError as error:
        raise TemporaryFailure(f"{directory}: no file can be written: {error.strerror}") from error
    return f"{directory}: can be written, {free / 1e9:.1f} GB free"


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
        yield (
            False,
            f"anonymize_emails: {clear:,} rows of the statistics hold an address in clear; `ckanpackager anonymize` "
            "hashes them",
        )


def _darwin_core(settings: Settings) -> str:
    plan = compile_plan([settings.darwin_core.dwc_id_field], settings.darwin_core)
    return f"the definitions can be read; the core is {plan.core.row_type.rpartition('/')[2]}"


def _compression(settings: Settings) -> Finding:
    if command := settings.archives.zip_command:
        program = shlex.split(command)[0]
        there = shutil.which(program) is not None
        return (
            there,
            f"zip_command: {program} is {'there' if there else 'not there: install it, or correct the command'}",
        )
    if settings.archives.compression_level <= zip64.FASTEST_LEVELS and not zip64.isal_installed():
        return True, "compression: isal is not installed, so zlib deflates, several times slower (pip install isal)"
    return True, f"compression: level {settings.archives.compression_level}"


def _ckan(url: str, settings: Settings) -> str:
    try:
        path = urlsplit(url).path
    except ValueError as error:
        raise BadRequest(f"{url}: no usable URL: {error}") from None
    site = url if "/api/" not in path else url[: url.index("/api/")]
    hosts = HostPolicy(site=url, allowed_hosts=settings.ckan.allowed_hosts)
    client = Client(key=None, timeout=settings.ckan.request_timeout, hosts=hosts)
    return status(client, site.rstrip("/"))
