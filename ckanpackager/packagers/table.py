"""A table of an archive: the rows of a search of the datastore, in any of the formats."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

from msgspec import Struct
from msgspec.structs import replace

from ckanpackager.archives.writer import Archive
from ckanpackager.archives.zip64 import ZipArchive
from ckanpackager.ckan import actions, datastore
from ckanpackager.ckan.datastore import Search
from ckanpackager.ckan.pages import Page as SearchPage
from ckanpackager.ckan.responses import Field
from ckanpackager.errors import CkanpackagerError, TemporaryFailure
from ckanpackager.formats.registry import Format, Page, Table
from ckanpackager.metadata.contents import TableFile
from ckanpackager.metadata.dataset import mappings
from ckanpackager.packagers.context import PackagingContext


class WrittenTable(Struct, frozen=True):
    """A table in the archive."""

    path: str
    format: Format
    fields: list[Field]
    rows: int
    notes: tuple[str, ...] = ()


def search(
    api_url: str,
    query: Mapping[str, Any],
    context: PackagingContext,
    archive: Archive,
    *,
    records_format: str,
    raw_records: bool = False,
    offset: int = 0,
    limit: int | None = None,
) -> Search:
    """Ask CKAN for rows, rendered as the format and the archive can use them best."""
    rows = datastore.search(
        context.client,
        api_url,
        dict(query),
        records_format=records_format,
        as_raw=raw_records,
        deflated=archive.deflated_buffer,
        offset=offset,
        limit=limit,
        page_size=context.ckan.page_size,
        page_requests=context.ckan.page_requests,
        share=context.ckan.ckan_share,
    )
    context.bounds.expect_rows(rows.total)
    pages = rows.pages if records_format in ("csv", "tsv") else _of_records(rows.pages, api_url)
    return replace(rows, pages=_counted(pages, context))


def _counted(pages: Iterator[SearchPage], context: PackagingContext) -> Iterator[SearchPage]:
    """The pages, as long as there are no more rows than one request may have."""
    for page in pages:
        context.bounds.count_rows(page.rows)
        yield page


def _of_records(pages: Iterator[SearchPage], api_url: str) -> Iterator[SearchPage]:
    """The pages, if they hold records: those of a site that sends text would make a table without rows."""
    for page in pages:
        if page.rows and page.records is None:
            words = "did not answer as CKAN's API does: it sent a text instead of a list of rows"
            raise TemporaryFailure(f"{api_url} {words}")
        yield page


def data_dictionary(
    api_url: str, resource_id: str, fields: Sequence[Field], context: PackagingContext
) -> list[dict[str, Any]]:
    """Fields with what the data dictionary says of them; not every site's `datastore_search` sends it."""
    info = {field.id: field.info for field in fields if field.info}
    if not info:
        with suppress(CkanpackagerError):  # the table is complete without it
            answer = actions.show(context.client, api_url, "datastore_info", resource_id)
            told = {str(field.get("id")): field.get("info") for field in mappings(answer, "fields")}
            info = {name: known for name, known in told.items() if isinstance(known, dict)}
    return [{"id": field.id, "type": field.type, "info": info.get(field.id)} for field in fields]


def write_table(
    archive: Archive, stem: str, format: Format, rows: Search, context: PackagingContext, *, bom: bool | None
) -> WrittenTable:
    """Write the rows to a file in the archive, whose name is `stem` and the format's suffix.

    `bom` is the request's wish for a byte order mark; None: as configured.
    """
    path, count = f"{stem}{format.suffix}", 0
    names = [field.id for field in rows.fields]

    def pages() -> Iterator[Page]:
        nonlocal count
        for page in rows.pages:
            if page.records is None:
                yield Page(page.text)
            else:
                for batch in page.records.batches():
                    yield Page(records=batch if format.raw_records else list(as_lists(batch, names)))
            count += page.rows
            context.tell(count, rows.total)

    with archive.open(path) as entry:
        table = Table(
            fields=rows.fields,
            pages=pages(),
            new_zip=_new_zip,
            temp_directory=context.archives.temp_directory,
            bom=context.archives.bom if bom is None else bom,
        )
        notes = format.write(entry, table)
    return WrittenTable(path, format, rows.fields, count, (*rows.notes, *notes))


def described_table(
    table: WrittenTable, title: str, api_url: str, resource_id: str, archive: Archive, context: PackagingContext
) -> TableFile:
    """What is known of a table in the archive; the data dictionary is asked for if the archive describes itself."""
    return TableFile(
        path=table.path,
        title=title,
        format=table.format,
        rows=table.rows,
        size=archive.sizes[table.path],
        fields=data_dictionary(api_url, resource_id, table.fields, context),
    )


def _new_zip(file: BinaryIO) -> ZipArchive:
    """A ZIP within an archive: compressed fast, since it is compressed again, and the same for the same rows."""
    return ZipArchive(file, level=1, now=0, zip64=False)


def as_lists(records: Sequence[Any], names: Sequence[str]) -> Iterator[Sequence[Any]]:
    """Records as lists of values in the order of the names; a site that cannot send lists sends objects."""
    for record in records:
        yield [record.get(name) for name in names] if isinstance(record, dict) else record
