"""Tell the packager that a dataset changed, in a background job, so that saving never waits."""

from __future__ import annotations

import logging
from typing import Any

import ckan.plugins.toolkit as tk
from ckan import model
from ckan.lib.redis import connect_to_redis
from redis.exceptions import RedisError
from sqlalchemy import event

from ckanext.packager import settings
from ckanext.packager.client import NotOffered, PackagerError

log = logging.getLogger(__name__)
_CHANGED = "ckanext_packager_changed"  # in a session's `info`
_PATIENCE = 60  # seconds: the packager looks at this CKAN before it answers
_FORGET = 3600  # seconds after which a mark of a job that was lost is no hindrance any more


def note(entity: Any) -> None:
    """Remember, until the session commits, that the dataset of this package or resource changes."""
    dataset = entity.package_id if isinstance(entity, model.Resource) else getattr(entity, "id", None)
    if dataset and settings.refresh() and settings.configured():
        model.Session().info.setdefault(_CHANGED, set()).add(dataset)


def listen() -> None:
    """Hear of commits; CKAN's own notification comes before them, and a job must not run before the change is there."""
    for name, listener in (("after_commit", _committed), ("after_rollback", _rolled_back)):
        if not event.contains(model.Session, name, listener):
            event.listen(model.Session, name, listener)


def _committed(session: Any) -> None:
    if session.in_nested_transaction():
        return
    for dataset in sorted(session.info.pop(_CHANGED, ())):
        try:
            if connect_to_redis().set(_mark(dataset), 1, nx=True, ex=_FORGET):  # else a job waits already
                tk.enqueue_job(refresh_dataset, [dataset], title=f"Named packages of {dataset}")
        except RedisError as error:
            log.warning("The packager was not told that %s changed: Redis does not answer (%s)", dataset, error)


def _rolled_back(session: Any) -> None:
    if not session.in_nested_transaction():
        session.info.pop(_CHANGED, None)


def refresh_dataset(dataset: str) -> None:
    """The background job: ask the packager to renew the named packages of a dataset."""
    connect_to_redis().delete(_mark(dataset))  # first: a change from now on needs a job of its own
    try:
        packager = settings.packager()._replace(timeout=_PATIENCE)
        packager.post("/refresh", api_url=settings.portal().api_url, dataset_id=dataset)
    except NotOffered as error:
        log.info("The packager has no named packages of %s (%s)", dataset, error)
    except PackagerError as error:
        log.warning("The packager was not told that %s changed: %s; its own schedule will find it", dataset, error)


def _mark(dataset: str) -> str:
    return f"ckanext-packager:{tk.config.get('ckan.site_id')}:refresh:{dataset}"
