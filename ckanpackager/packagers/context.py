"""What each task does: a function `package(request, archive, context) -> Result` in a module of its own."""

from collections.abc import Callable
from importlib import import_module

from msgspec import Struct, field

from ckanpackager.archives.bounds import Bounds
from ckanpackager.config.settings import Archives, Ckan, DarwinCore
from ckanpackager.http_client import Client
from ckanpackager.jobs.job import Description


class PackagingContext(Struct, frozen=True):
    """What a packager works with: the sections of the settings that it needs, and none with secrets.

    `tell(rows, expected)` reports the progress; `bounds` are those of the archive; `now` is in seconds since 1970.
    """

    client: Client
    ckan: Ckan
    archives: Archives
    darwin_core: DarwinCore
    now: float
    tell: Callable[[int, int | None], None]
    bounds: Bounds


class Result(Struct, frozen=True):
    """What went into the archive: the number of rows, None for files; `notes` are for the requester."""

    rows: int | None
    notes: tuple[str, ...] = ()
    complete: bool = True  # False: the same request is packaged anew
    description: Description = field(default_factory=Description)


def packager(task: str) -> Callable[..., Result]:
    """The function for a task; only its own module is imported, since cron starts this process often."""
    package: Callable[..., Result] = import_module(f"ckanpackager.packagers.{_MODULES[task]}").package
    return package


_MODULES = {
    "package_datastore": "datastore",
    "package_url": "url",
    "package_dwc_archive": "dwc_archive",
    "package_dataset": "dataset",
}
