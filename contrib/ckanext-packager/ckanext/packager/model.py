"""Which jobs a person asked for.  E-mail addresses are not kept."""

from __future__ import annotations

import datetime
from typing import Any

import ckan.plugins.toolkit as tk
from ckan import model
from sqlalchemy import Column, DateTime, UnicodeText

from ckanext.packager import settings


class PackagerJob(tk.BaseModel):
    """A request that was accepted, by a person who was logged in."""

    __tablename__ = "packager_job"

    job = Column(UnicodeText, primary_key=True)  # the packager's id
    user_id = Column(UnicodeText, nullable=False, index=True)
    resource_id = Column(UnicodeText)  # None: the whole dataset
    dataset_id = Column(UnicodeText, nullable=False)
    status_url = Column(UnicodeText)
    created = Column(DateTime, nullable=False, index=True)  # UTC


def remember(job: str, *, user_id: str, resource_id: str | None, dataset_id: str, status_url: str | None) -> None:
    """Note a job, and forget those that are too old."""
    forget_old()
    model.Session.merge(
        PackagerJob(
            job=job,
            user_id=user_id,
            resource_id=resource_id,
            dataset_id=dataset_id,
            status_url=status_url,
            created=_now(),
        )
    )
    model.Session.commit()


def jobs_of(user_id: str, limit: int) -> list[Any]:
    """The jobs of a person, newest first, as far as they are not too old."""
    return (
        model.Session.query(PackagerJob)
        .filter(PackagerJob.user_id == user_id, PackagerJob.created >= _oldest())
        .order_by(PackagerJob.created.desc(), PackagerJob.job)
        .limit(limit)
        .all()
    )


def forget_old() -> None:
    """Delete what is older than `ckanext.packager.keep_jobs` days; the caller commits."""
    model.Session.query(PackagerJob).filter(PackagerJob.created < _oldest()).delete(synchronize_session=False)


def _oldest() -> datetime.datetime:
    return _now() - datetime.timedelta(days=settings.keep_jobs())


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
