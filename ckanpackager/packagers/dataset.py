"""package_dataset: every resource of a dataset, and its description, in one archive."""

import re
from collections.abc import Iterable
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

from ckanpackager import names
from ckanpackager.archives.writer import Archive
from ckanpackager.ckan import actions
from ckanpackager.errors import CkanpackagerError, NoRoom, OverLimit, PermanentFailure, TemporaryFailure
from ckanpackager.formats.registry import FORMATS, without_suffix
from ckanpackager.hosts import without_secrets
from ckanpackager.jobs.job import Description
from ckanpackager.jobs.request import PackageDataset
from ckanpackager.metadata import datapackage, readme
from ckanpackager.metadata.contents import Contents, Missing, OtherFile, TableFile
from ckanpackager.metadata.dataset import dataset_from, site_of
from ckanpackager.packagers import description
from ckanpackager.packagers.context import PackagingContext, Result
from ckanpackager.packagers.table import described_table, search, write_table
from ckanpackager.packagers.url import name_of_download

DOWNLOADS = 3  # of a file that breaks off
_SLASHES = re.compile(r"[/\\]+")
_NO_BEGINNING = " .-~$%"  # of a file's name: hidden, an option, or a variable to one program or another


def package(request: PackageDataset, archive: Archive, context: PackagingContext) -> Result:
    """Tables as the format says, files as they are; what cannot be had is named, and does not sink the rest.

    Raises a failure of those met if nothing at all could be had.
    """
    shown = actions.show(context.client, request.api_url, "package_show", request.dataset_id)
    packing = _Packing(request, archive, context)
    resources = shown.get("resources") or []
    if not isinstance(resources, list) or not all(isinstance(resource, dict) for resource in resources):
        raise TemporaryFailure(
            f"{request.host} did not answer as CKAN's API does: the resources are no list of objects"
        )
    for resource in resources:
        packing.add(resource)
    if not packing.files:
        raise packing.worst(f"dataset {request.dataset_id}: it has no resources")
    summary = Description(title=str(shown.get("title") or shown.get("name") or ""))
    if description.is_wanted(context):
        dataset = dataset_from(shown, site_of(without_secrets(request.api_url)), request.dataset_id)
        contents = Contents(
            name=dataset.name,
            dataset=dataset,
            fetched=description.now(context),
            files=packing.files,
            missing=packing.missing,
            notes=packing.table_notes,
            sources=[page for page in (dataset.page, dataset.homepage) if page],
        )
        description.write(archive, contents, context)
        summary = description.summary(contents)
    return Result(packing.rows, tuple(packing.notes), complete=not packing.missing, description=summary)


class _Packing:
    """The resources on their way into the archive."""

    def __init__(self, request: PackageDataset, archive: Archive, context: PackagingContext) -> None:
        self.files: list[TableFile | OtherFile] = []
        self.missing: list[Missing] = []
        self.notes: list[str] = []
        self.table_notes: list[str] = []
        self.rows: int | None = None
        self._failures: list[CkanpackagerError] = []
        self._request = request
        self._archive = archive
        self._context = context
        self._taken = {description.folded(part.STEM + part.SUFFIX) for part in (readme, datapackage)}

    def add(self, resource: dict[str, Any]) -> None:
        title = str(resource.get("name") or resource.get("id") or "resource")
        try:
            if resource.get("datastore_active"):
                self._add_table(resource, title)
            else:
                self._add_file(resource, title)
        except (NoRoom, OverLimit):
            raise  # of the archive as a whole
        except (PermanentFailure, TemporaryFailure) as error:  # asked for several times already
            self._failures.append(error)
            self.missing.append(Missing(str(resource.get("id", "")), title, str(error)))
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
        stem = path.removesuffix(format.suffix)
        written = write_table(self._archive, stem, format, rows, self._context, bom=request.bom)
        self.rows = (self.rows or 0) + written.rows
        self.table_notes += [f"{written.path}: {note}" for note in written.notes]
        self.notes += [f"{written.path}: {note}" for note in written.notes]
        self.files.append(described_table(written, title, request.api_url, id, self._archive, self._context))

    def _add_file(self, resource: dict[str, Any], title: str) -> None:
        url = str(resource.get("url") or "")
        try:
            urlsplit(url)
        except ValueError:
            raise PermanentFailure("its URL is malformed") from None
        if not url:
            raise PermanentFailure("it has no URL")
        path = self._download(url)
        self.files.append(OtherFile(path=path, title=title, size=self._archive.sizes[path]))

    def _download(self, url: str) -> str:
        """Put the file into the archive; its name.  A download that breaks off is begun again."""
        path, tried = "", 0
        while True:
            with self._context.client.download(url) as (headers, chunks):
                path, tried = path or self._unused(*_halves(name_of_download(headers, url))), tried + 1
                try:
                    self._copy(path, chunks)
                    return path
                except NoRoom:
                    raise
                except TemporaryFailure:
                    if tried == DOWNLOADS:
                        raise

    def _copy(self, path: str, chunks: Iterable[bytes]) -> None:
        with self._archive.open(path) as entry:
            for chunk in chunks:
                entry.write(chunk)
                self._context.tell(self.rows or 0, None)

    def _unused(self, stem: str, suffix: str) -> str:
        """A name that no other file of the archive has, even where case and accents do not count."""
        stem = stem.lstrip(_NO_BEGINNING) or "resource"
        name = names.unused(stem, suffix, taken=lambda name: description.folded(name) in self._taken, separator="-")
        self._taken.add(description.folded(name))
        return name


def _halves(name: str) -> tuple[str, str]:
    """Stem and suffix of a file's name."""
    stem, dot, suffix = name.rpartition(".")
    return (stem, dot + suffix) if stem else (name, "")
