"""A request in words, for mails and pages.  Pure."""

from typing import Any

from ckanpackager.jobs.request import DatastoreRequest, PackageDataset, PackageDwcArchive, PackageUrl, Request

_SEARCH = ("filters", "q", "plain", "language", "distinct", "fields", "sort", "offset", "limit")
_FORMATS = {"xlsx": "Excel (XLSX)", "parquet": "Parquet"}


def format_in_words(request: Request) -> str:
    """The format of what was requested; empty for a file, which is packed as it is."""
    if isinstance(request, PackageUrl):
        return ""
    if isinstance(request, PackageDwcArchive):
        return "Darwin Core Archive"
    name = _FORMATS.get(request.format, request.format.upper())
    return f"whole dataset, tables as {name}" if isinstance(request, PackageDataset) else name


def format_name(request: Request) -> str | None:
    """The format in one word, as the statistics count it; None for a file, which is packed as it is."""
    if isinstance(request, PackageUrl):
        return None
    return "dwca" if isinstance(request, PackageDwcArchive) else request.format


def selection_of(request: Request | DatastoreRequest) -> dict[str, Any]:
    """What a request selects: parameters of `datastore_search`, those alone that were given."""
    if not isinstance(request, DatastoreRequest):
        return {}
    return {name: value for name in _SEARCH if (value := getattr(request, name)) not in (None, 0)}
