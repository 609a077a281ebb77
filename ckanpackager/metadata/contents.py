"""What an archive holds, and where it came from: what README.txt and datapackage.json tell of it.  Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from ckanpackager.formats.registry import Format
from ckanpackager.metadata.citation import citation
from ckanpackager.metadata.dataset import Dataset, Resource


class TableFile(Struct, frozen=True, kw_only=True):
    """A table: `fields` have CKAN's `id` and `type`, and `info`, the data dictionary, if any."""

    path: str
    title: str
    format: Format
    rows: int
    size: int  # bytes
    fields: Sequence[Mapping[str, Any]]


class OtherFile(Struct, frozen=True, kw_only=True):
    """A file as it is."""

    path: str
    title: str
    size: int  # bytes


class Missing(Struct, frozen=True):
    """A resource that could not be had, and why."""

    id: str
    title: str
    error: str


class Contents(Struct, frozen=True, kw_only=True):
    """An archive's files, and where they came from.

    `dataset` and `resource` are None where the site does not tell them; `problem` says why.  `name` is that of the
    dataset or resource as it was asked for, `query` holds parameters of `datastore_search`.
    """

    name: str
    fetched: datetime
    dataset: Dataset | None = None
    resource: Resource | None = None
    files: Sequence[TableFile | OtherFile] = ()
    missing: Sequence[Missing] = ()
    notes: Sequence[str] = ()
    sources: Sequence[str] = ()
    query: Mapping[str, Any] = {}
    doi: str = ""
    problem: str = ""

    @property
    def title(self) -> str:
        """The dataset's title, and that of the resource if the archive is about one."""
        titles = [each.title for each in (self.dataset, self.resource) if each]
        return ": ".join(dict.fromkeys(titles)) or self.name

    @property
    def citation(self) -> str:
        """How to cite the data; empty if nothing is known about it."""
        doi = self.doi or (self.dataset.doi if self.dataset else "")
        return citation(self.dataset, self.resource, doi, self.fetched) if self.dataset else ""
