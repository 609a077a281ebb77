"""A packer: a Celery worker with one task, which fetches from CKAN, writes an archive and publishes it.

It needs the same configuration file as the dispatcher, but neither spool nor statistics nor mail server.
"""

import functools
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ckanpackager.archives.store import open_store
from ckanpackager.celery import broker
from ckanpackager.celery.messages import TASK, Outcome, PackagingFailed, Seal, failed
from ckanpackager.config.settings import Settings
from ckanpackager.errors import OUR_FAULT, CkanpackagerError
from ckanpackager.jobs.job import Archive
from ckanpackager.packagers.build import Order, Tell, build, existing

if TYPE_CHECKING:
    from celery import Celery

log = logging.getLogger("ckanpackager")
BEAT = 5.0  # seconds between two signs of life, at most
FIRST = 0.05  # seconds until the first: what is done by then needs none
BEATS = 4  # signs of life, at least, within packer_timeout
RETRIES = {"result_backend_always_retry": True, "result_backend_max_retries": 12}  # some 30 s: a broker's restart


@functools.cache
def application() -> "Celery":
    """The application of this machine's packers, by its configuration file.  Raises ConfigError."""
    from celery.worker.control import inspect_command

    from ckanpackager.config.load import find_configuration, load_settings

    settings = load_settings(find_configuration(None, os.environ, Path.cwd()), os.environ)
    app = broker.application(settings, **RETRIES)

    def package(task: Any, sealed: str, **_shown: str) -> str:
        return _run(task, sealed, settings)

    def sees(_state: Any, path: str) -> dict[str, bool]:
        return {"sees": os.path.exists(path)}

    app.task(package, name=TASK, bind=True, throws=(PackagingFailed,), resultrepr_maxsize=20)
    inspect_command(name=broker.SEES, args=[("path", str)])(sees)
    return app


def _run(task: Any, sealed: str, settings: Settings) -> str:
    """Build what was ordered; the encrypted outcome.  Raises PackagingFailed, with the encrypted outcome."""
    from celery.exceptions import Ignore

    seal = Seal(str(settings.receiver.secret))
    try:
        order = seal.open(sealed, Order)
    except ValueError:
        raise PackagingFailed("a packer's `secret`, or its version of ckanpackager, is not the dispatcher's") from None
    beat = min(BEAT, settings.engine.packer_timeout / BEATS)
    if not _is_wanted(task, beat):
        raise Ignore
    with _signs_of_life(task, beat) as tell:
        outcome = replace(_outcome(order, settings, tell), task=task.request.id)
    if outcome.archive is None:
        raise PackagingFailed(seal.close(outcome))
    return seal.close(outcome)


def _outcome(order: Order, settings: Settings, tell: Tell) -> Outcome:
    request = order.request
    try:
        archive = _archive(order, settings, tell)
    except CkanpackagerError as error:
        log.warning("%s of %s: %s", request.task, request.resource_id, error)
        return failed(error)
    except Exception as error:  # a fault of ours: the dispatcher tells it as it tells its own
        log.error("%s of %s: internal error", request.task, request.resource_id, exc_info=settings.logging.debug)
        return Outcome(
            kind="permanent",
            public=OUR_FAULT,
            cause="internal",
            error=f"internal error: {type(error).__name__}: {error}",
        )
    log.info("%s of %s: packaged, %s bytes", request.task, request.resource_id, f"{archive.size:,}")
    return Outcome(archive=archive)


def _archive(order: Order, settings: Settings, tell: Tell) -> Archive:
    """The archive that was ordered: the one that is there, or a new one."""
    store = open_store(settings)
    return existing(order, store) or build(order, settings, store, tell)


def _is_wanted(task: Any, beat: float) -> bool:
    """False for a task that was withdrawn, and for one sent twice, at which another packer works."""
    id = task.request.id
    before = task.backend.get_task_meta(id, cache=False)
    if before["status"] != broker.BEGUN:
        return bool(before["status"] != broker.WITHDRAWN)
    time.sleep(beat + 1)  # that packer gives a sign of life meanwhile, unless it has died
    after = task.backend.get_task_meta(id, cache=False)
    return bool(after["status"] == broker.BEGUN and after["result"] == before["result"])


@contextmanager
def _signs_of_life(task: Any, beat: float) -> Iterator[Tell]:
    """Report, soon and then every `beat` seconds from a thread of its own, how far the block has come."""
    id, ended, told = task.request.id, threading.Event(), {"rows": 0, "expected": None}
    packer = f"{task.request.hostname}:{os.getpid()}"

    def report() -> None:
        number, wait = 0, FIRST
        while not ended.wait(wait):
            number, wait = number + 1, beat
            try:
                task.backend.store_result(id, {**told, "packer": packer, "beat": number}, broker.BEGUN)
            except Exception as error:  # the broker is away: the work goes on, the next report may get through
                log.warning("task %s: the broker took no report: %s", id, error)

    def tell(rows: int, expected: int | None) -> None:
        told.update(rows=rows, expected=expected)

    thread = threading.Thread(target=report, name="signs of life")
    thread.start()
    try:
        yield tell
    finally:
        ended.set()
        thread.join()  # or its last report could come after the result
