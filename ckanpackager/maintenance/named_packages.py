"""Named packages: what the configuration says of them, and how each stands."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec import UNSET

from ckanpackager.archives.store import open_store
from ckanpackager.config import schedule
from ckanpackager.config.schedule import Schedule
from ckanpackager.config.settings import Settings
from ckanpackager.errors import BadRequest, ConfigError
from ckanpackager.jobs.parameters import request_from
from ckanpackager.jobs.request import PackageDataset, PackageUrl, Request
from ckanpackager.spool.queue import Spool
from ckanpackager.status import NamedStatus, named_url

_OWN = ("task", "refresh", "only_if_changed", "changed_field")


class NamedPackage(NamedTuple):
    """A package as it is configured; without a schedule it is due whenever it is looked at."""

    name: str
    request: Request
    schedule: Schedule | None
    only_if_changed: bool
    changed_field: str | None


def configured(settings: Settings) -> dict[str, NamedPackage]:
    """The packages by name.  Raises ConfigError with all that is wrong with them."""
    packages, faults = {}, []
    for name, values in settings.named.named_packages.items():
        try:
            packages[name] = _package(name, values)
        except (BadRequest, ValueError) as error:
            faults.append(f"named_packages.{name}: {error}")
    if faults:
        raise ConfigError("\n".join(faults))
    return packages


def _package(name: str, values: dict[str, Any]) -> NamedPackage:
    if not isinstance(task := values.get("task"), str):
        raise ValueError("task: missing")
    parameters = {key: value for key, value in values.items() if key not in _OWN}
    request = request_from(task, parameters, strict=True, with_requester=False)
    refresh, only, field = (values.get(key) for key in _OWN[1:])
    if not isinstance(only, bool | None):
        raise ValueError("only_if_changed: expected true or false")
    if field is not None and (not isinstance(field, str) or isinstance(request, PackageDataset | PackageUrl)):
        raise ValueError("changed_field: expected the name of a field, of a task that packs the rows of one resource")
    when = schedule.parse(str(refresh)) if refresh is not None else None
    return NamedPackage(name, request, when, only is not False, field)


def statuses(settings: Settings, spool: Spool) -> Iterator[NamedStatus]:
    """How each named package stands.  Raises ConfigError, TemporaryFailure."""
    store = open_store(settings) if settings.named.named_packages else None
    for name in settings.named.named_packages:
        known: dict[str, Any] = {}
        if archive := store and store.named(name):
            known |= {"published": archive.published, "size": archive.size, "rows": archive.rows}
            known |= {"download_url": named_url(archive, settings) or UNSET}
        if record := spool.last_refresh(name):
            known |= {"looked_at": record.looked_at}
            found = spool.find(record.job) if record.job else None
            if found and found[1].failure:
                known |= {"failed": found[1].failure}
        yield NamedStatus(name=name, **known)
