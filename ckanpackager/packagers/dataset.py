"""package_dataset: every resource of a dataset, and its description, in one archive."""

import re
import unicodedata
from collections.abc import Iterable
from itertools import chain
from typing import Any
from urllib.parse import quote, urlsplit

from ckanpackager import names
from ckanpackager.archives.writer import Archive
from ckanpackager.ckan import actions
from ckanpackager.errors import CkanpackagerError, PermanentFailure, TemporaryFailure
from ckanpackager.formats.registry import FORMATS, without_suffix
from ckanpackager.jobs.request import PackageDataset
from ckanpackager.metadata import datapackage
from ckanpackager.packagers.context import PackagingContext, Result
from ckanpackager.packagers.table import data_dictionary, search, write_table
from ckanpackager.packagers.url import name_of_download

DOWNLOADS = 3  # of a file that breaks off
_SLASHES = re.compile(r"[/\\]+")
_NO_BEGINNING = " .-~$%"  # of a file's name: hidden, an option, or a variable to one program or another


def package(request: PackageDataset, archive: Archive, context: PackagingContext) -> Result:
    """Tables as the format says, files as they are; what cannot be had is named, and does not sink the rest.

    Raises a failure of those met if nothing at all could be had.
    """
    dataset = actions.show(context.client, request.api_url, "package_show", request.dataset_id)
    packing = _Packing(request, archive, context)
    for resource in dataset.get("resources") or ():
        packing.add(resource)
    if not packing.described:
        raise packing.worst(f"dataset {request.dataset_id}: it has no resources")
    name = str(dataset.get("name") or request.dataset_id)
    page = f"{request.api_url.partition('/api/')[0]}/dataset/{quote(name)}"
    with archive.open(datapackage.FILE) as entry:
        entry.write(
            datapackage.package(
                name=name,
                title=str(dataset.get("title") or name),
                dataset=dataset,
                sources=[page, str(dataset.get("url") or "")],
                resources=packing.described,
                missing=packing.missing,
            )
        )
    title = str(dataset.get("title") or name)
    return Result(packing.rows, tuple(packing.notes), complete=not packing.missing, title=title)


class _Packing:
    """The resources on their way into the archive."""

    def __init__(self, request: PackageDataset, archive: Archive, context: PackagingContext) -> None:
        self.described: list[dict[str, Any]] = []
        self.missing: list[dict[str, str]] = []
        self.notes: list[str] = []
        self.rows: int | None = None
        self._failures: list[CkanpackagerError] = []
        self._request = request
        self._archive = archive
        self._context = context
        self._taken = {datapackage.FILE}

    def add(self, resource: dict[str, Any]) -> None:
        title = str(resource.get("name") or resource.get("id") or "resource")
        try:
            if resource.get("datastore_active"):
                self._add_table(resource, title)
            else:
                self._add_file(resource, title)
        except (PermanentFailure, TemporaryFailure) as error:  # asked for several times already
            self._failures.append(error)
            self.missing.append({"name": str(resource.get("id", "")), "title": title, "error": str(error)})
            self.notes.append(f"{title} is missing: {error}")

    def worst(self, otherwise: str) -> CkanpackagerError:
        """The failure that says most: one that may pass, so that the job is tried again, else the first."""
        passing = (failure for failure in self._failures if isinstance(failure, TemporaryFailure))
        return next(chain(passing, self._failures, [PermanentFailure(otherwise)]))

    def _add_table(self, resource: dict[str, Any], title: str) -> None:
        request, format, id = self._request, FORMATS[self._request.format], str(resource.get("id", ""))
        rows = search(
            request.api_url,
            {"resource_id": id},
            self._context,
            self._archive,
            records_format=format.records_format,
            raw_records=format.raw_records,
        )
        stem = names.file_name(_SLASHES.sub("-", without_suffix(title)))
        path = self._unused(stem, format.suffix)
        written = write_table(self._archive, path.removesuffix(format.suffix), format, rows, self._context)
        self.rows = (self.rows or 0) + written.rows
        self.notes += [f"{written.path}: {note}" for note in written.notes]
        self.described.append(
            datapackage.table(
                name=names.slug(written.path),
                title=title,
                path=written.path,
                format=format,
                rows=written.rows,
                fields=data_dictionary(request.api_url, id, written.fields, self._context),
            )
        )

    def _add_file(self, resource: dict[str, Any], title: str) -> None:
        url = str(resource.get("url") or "")
        try:
            urlsplit(url)
        except ValueError:
            raise PermanentFailure("its URL is malformed") from None
        if not url:
            raise PermanentFailure("it has no URL")
        path, size = self._download(url)
        self.described.append(datapackage.file(name=names.slug(path), title=title, path=path, size=size))

    def _download(self, url: str) -> tuple[str, int]:
        """Put the file into the archive; its name and size.  One that breaks off is begun again."""
        path, tried = "", 0
        while True:
            with self._context.client.download(url) as (headers, chunks):
                path, tried = path or self._unused(*_halves(name_of_download(headers, url))), tried + 1
                try:
                    return path, self._copy(path, chunks)
                except TemporaryFailure:
                    if tried == DOWNLOADS:
                        raise

    def _copy(self, path: str, chunks: Iterable[bytes]) -> int:
        size = 0
        with self._archive.open(path) as entry:
            for chunk in chunks:
                entry.write(chunk)
                size += len(chunk)
                self._context.tell(self.rows or 0, None)
        return size

    def _unused(self, stem: str, suffix: str) -> str:
        """A name that no other file of the archive has, even where case and accents do not count."""
        stem = stem.lstrip(_NO_BEGINNING) or "resource"
        name = names.unused(stem, suffix, taken=lambda name: _folded(name) in self._taken, separator="-")
        self._taken.add(_folded(name))
        return name


def _halves(name: str) -> tuple[str, str]:
    """Stem and suffix of a file's name."""
    stem, dot, suffix = name.rpartition(".")
    return (stem, dot + suffix) if stem else (name, "")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()
