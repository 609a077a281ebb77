"""Build what a job needs: fetch from CKAN, write an archive, publish it.  The one heavy step, wherever it runs."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from ckanpackager.archives import layout, writer
from ckanpackager.archives.bounds import Bounds
from ckanpackager.archives.store import Store
from ckanpackager.config.settings import Settings
from ckanpackager.hosts import HostPolicy
from ckanpackager.http_client import Client
from ckanpackager.jobs.job import Archive
from ckanpackager.jobs.request import Request
from ckanpackager.packagers import description
from ckanpackager.packagers.context import PackagingContext, Result, packager
from ckanpackager.packagers.title import title_of

Tell = Callable[[int, int | None], None]
Clock = Callable[[], float]


class Order(Struct, frozen=True, omit_defaults=True):
    """What to build: a request, and the directory of the store that was reserved for its archive.

    For a named package also its name, the time since when an archive of it counts as this one, and the fingerprint of
    its source.
    """

    request: Request
    directory: str
    package: str | None = None
    since: float = 0.0  # seconds since 1970
    fingerprint: str | None = None


def existing(order: Order, store: Store) -> Archive | None:
    """The archive that was ordered, if it is there.  Raises TemporaryFailure."""
    if order.package is None:
        return store.get(order.directory)
    own = store.named(order.package)
    return own if own and own.published >= order.since and own.fingerprint == order.fingerprint else None


def build(order: Order, settings: Settings, store: Store, tell: Tell, clock: Clock = time.time) -> Archive:
    """Build and publish an archive; `tell(rows, expected)` hears of the progress.

    Raises TemporaryFailure, PermanentFailure; NoRoom and OverLimit where it would pass a bound.
    """
    with store.part(order.directory) as part:
        began = clock()
        bounds = Bounds(settings, part.parent, of_request=order.package is None)
        bounds.look()
        result = _write(part, order.request, settings, bounds, tell, began)
        bounds.look_again()
        if order.package is not None:
            return store.publish_named(
                part,
                order.package,
                rows=result.rows,
                notes=result.notes,
                description=result.description,
                fingerprint=order.fingerprint,
                now=clock(),
            )
        return store.publish(
            part,
            order.directory,
            layout.file_name(result.description.title, order.request.resource_id, began),
            rows=result.rows,
            notes=result.notes,
            description=result.description,
            complete=result.complete,
            now=clock(),
        )


def _write(part: Path, request: Request, settings: Settings, bounds: Bounds, tell: Tell, now: float) -> Result:
    """Fetch what was asked for and write it into an archive."""

    def told(rows: int, expected: int | None) -> None:
        bounds.look()  # a format may write to temporary files first
        tell(rows, expected)

    with _client(request, settings) as client:
        packaging = PackagingContext(
            client=client,
            ckan=settings.ckan,
            archives=settings.archives,
            darwin_core=settings.darwin_core,
            now=now,
            tell=told,
            bounds=bounds,
        )
        with writer.create(part, settings.archives, now, bounds.look) as writing:
            result = packager(request.task)(request, writing, packaging)
        if not result.description.title and not description.is_wanted(packaging):  # or the site was asked already
            titled = replace(result.description, title=title_of(request, client))
            result = replace(result, description=titled)
        return result


@contextlib.contextmanager
def _client(request: Request, settings: Settings) -> Iterator[Client]:
    client = Client(
        key=request.key,
        timeout=settings.ckan.request_timeout,
        min_download_rate=settings.ckan.min_download_rate,
        hosts=HostPolicy(
            site=request.api_url,
            ckan_hosts=settings.ckan.ckan_hosts,
            allowed_hosts=settings.ckan.allowed_hosts,
            allow_private_addresses=settings.ckan.allow_private_addresses,
        ),
    )
    with contextlib.closing(client):
        yield client
