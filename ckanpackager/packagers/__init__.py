"""What each task does: a function `package(request, archive, kit) -> Result` in a module of its own."""

from collections.abc import Callable
from dataclasses import dataclass

from ckanpackager.fetch import Client
from ckanpackager.settings import Settings


@dataclass(frozen=True)
class Kit:
    """What a packager works with; it says by `tell(rows, expected)` how far it is."""

    client: Client
    settings: Settings
    now: float
    tell: Callable[[int, int | None], None]


@dataclass(frozen=True)
class Result:
    """What went into the archive: the number of rows, None for files; `notes` are for the requester."""

    rows: int | None
    notes: tuple[str, ...] = ()
    complete: bool = True  # False: the same request is packaged anew


def packager(task: str) -> Callable[..., Result]:
    """The function for a task."""
    from ckanpackager.packagers import dataset, datastore, dwc_archive, url

    functions: dict[str, Callable[..., Result]] = {
        "package_datastore": datastore.package,
        "package_url": url.package,
        "package_dwc_archive": dwc_archive.package,
        "package_dataset": dataset.package,
    }
    return functions[task]
