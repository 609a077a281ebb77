"""Refreshing named packages: a job for each that is due and whose source has changed."""

import contextlib
import math
import time
from collections.abc import Collection, Iterator
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from msgspec.structs import replace

from ckanpackager.archives.store import Store
from ckanpackager.ckan import actions
from ckanpackager.config.settings import Settings
from ckanpackager.errors import BadRequest, PermanentFailure, TemporaryFailure
from ckanpackager.hosts import HostPolicy
from ckanpackager.http_client import Client
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.request import PackageDataset, PackageUrl, Request
from ckanpackager.maintenance import fingerprint
from ckanpackager.maintenance.named_packages import NamedPackage, configured
from ckanpackager.spool.listing import OPEN
from ckanpackager.spool.queue import Spool
from ckanpackager.spool.refreshes import RefreshRecord

HASTE = 10  # seconds that CKAN may take for one answer while a caller of the receiver waits; for all, 30


class Refreshed(NamedTuple):
    """What became of a package; `job` is its new job, or the one that is under way."""

    name: str
    state: Literal["queued", "under way", "unchanged", "not due", "failed"]
    job: str | None = None
    error: str | None = None


class Refresher:
    """Looks at the sources of named packages and queues jobs."""

    def __init__(self, spool: Spool, store: Store, settings: Settings, *, in_haste: bool = False) -> None:
        self._spool = spool
        self._store = store
        self._settings = settings
        self._in_haste = in_haste
        self._until = time.monotonic() + 3 * HASTE if in_haste else math.inf

    def refresh(
        self, names: Collection[str], now: float, *, force: bool = False, always_due: bool = False
    ) -> Iterator[Refreshed]:
        """Refresh the packages of these names, or all; with `force` whether they are due and have changed or not.

        Raises ConfigError, BadRequest for a name that is not configured, and TemporaryFailure if the spool fails.
        """
        packages = configured(self._settings)
        for name in names:
            if name not in packages:
                known = ", ".join(packages) or "none"
                raise BadRequest(f"{name}: no named package; those in the configuration: {known}")
        for name in names or packages:
            yield self._refresh(packages[name], now, force, always_due)
        if not names:
            self._spool.record_run("refresh")

    def concerned(self, api_url: str, resource_id: str | None, dataset_id: str | None) -> list[str]:
        """The names of the packages that hold a resource, or a dataset, of the site that `api_url` is an action of.

        Raises ConfigError.
        """
        packages = [package for package in configured(self._settings).values() if _same_site(package.request, api_url)]
        dataset = self._dataset(packages[0].request, resource_id, dataset_id) if packages else {}
        datasets = {dataset_id, dataset.get("id"), dataset.get("name")}
        resources = {resource_id} if resource_id else {each.get("id") for each in dataset.get("resources") or ()}
        return [
            package.name
            for package in packages
            if package.request.resource_id in (datasets if isinstance(package.request, PackageDataset) else resources)
        ]

    def _dataset(self, request: Request, resource_id: str | None, dataset_id: str | None) -> dict[str, Any]:
        """The dataset, or that of the resource; nothing if the site does not tell it."""
        try:
            with self._client(request) as client:
                if not dataset_id:
                    resource = actions.show(client, request.url, "resource_show", str(resource_id))
                    dataset_id = resource.get("package_id")
                return actions.show(client, request.url, "package_show", dataset_id) if dataset_id else {}
        except (PermanentFailure, TemporaryFailure):
            return {}

    def _refresh(self, package: NamedPackage, now: float, force: bool, always_due: bool) -> Refreshed:
        last = self._spool.last_refresh(package.name)
        schedule = None if force or always_due else package.schedule
        if schedule and not schedule.is_due(last.looked_at if last else None, now):
            return Refreshed(package.name, "not due")
        if last and last.job and (found := self._spool.find(last.job)) and found[0] in OPEN:
            return Refreshed(package.name, "under way", last.job)
        mark = None
        try:
            mark = self._fingerprint(package)
        except (PermanentFailure, TemporaryFailure) as error:
            if not (self._in_haste and isinstance(error, TemporaryFailure)):  # else a worker asks again, with patience
                return Refreshed(package.name, "failed", error=str(error))
        job = last.job if last else None
        known = self._store.named(package.name)
        if package.only_if_changed and not force and mark and known and known.fingerprint == mark:
            self._spool.record_refresh(package.name, RefreshRecord(looked_at=now, job=job))
            return Refreshed(package.name, "unchanged")
        job = self._enqueue(package, mark, now)
        self._spool.record_refresh(package.name, RefreshRecord(looked_at=now, job=job))
        return Refreshed(package.name, "queued", job)

    def _enqueue(self, package: NamedPackage, mark: str | None, now: float) -> str:
        """The job without the API key, which stands in the configuration alone."""
        request = replace(package.request, key=None)
        queue = request.queue(self._settings.spool.slow_request)
        return self._spool.enqueue(
            Job(request=request, created=now, queue=queue, package=package.name, fingerprint=mark)
        )

    def _fingerprint(self, package: NamedPackage) -> str | None:
        request = package.request
        if time.monotonic() > self._until:
            raise TemporaryFailure("no time left to ask CKAN while a caller waits")
        with self._client(request) as client:
            if isinstance(request, PackageUrl):
                with client.download(request.resource_url) as (headers, _):
                    return fingerprint.of_file(request, headers)

            def act(action: str, parameters: dict[str, Any]) -> dict[str, Any]:
                return actions.call(client, request.url, action, parameters)

            return fingerprint.of_source(request, act, package.changed_field)

    @contextlib.contextmanager
    def _client(self, request: Request) -> Iterator[Client]:
        ckan = self._settings.ckan
        options: dict[str, Any] = {"wait": _no_wait} if self._in_haste else {}
        client = Client(
            key=request.key,
            timeout=min(HASTE, ckan.request_timeout) if self._in_haste else ckan.request_timeout,
            min_download_rate=ckan.min_download_rate,
            hosts=HostPolicy(
                site=request.api_url,
                ckan_hosts=ckan.ckan_hosts,
                allowed_hosts=ckan.allowed_hosts,
                allow_private_addresses=ckan.allow_private_addresses,
            ),
            **options,
        )
        with contextlib.closing(client):
            yield client


def _same_site(request: Request, api_url: str) -> bool:
    return urlsplit(request.url).netloc.lower() == urlsplit(api_url).netloc.lower()


def _no_wait(seconds: float) -> None:
    raise TemporaryFailure("CKAN cannot answer now")
