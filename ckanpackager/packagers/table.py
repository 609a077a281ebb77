"""A table of an archive, from a search of the datastore, in any of the formats."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ckanpackager.archives.writer import Archive
from ckanpackager.ckan import actions, datastore
from ckanpackager.ckan.datastore import Search
from ckanpackager.ckan.responses import Field
from ckanpackager.errors import CkanpackagerError
from ckanpackager.formats.delimited import TextTable, json_lines
from ckanpackager.packagers.context import PackagingContext

_ASKED_AS = {"csv": "csv", "tsv": "tsv", "ndjson": "objects", "xlsx": "lists", "dwca": "lists"}
_BLOCK = 256 * 1024


@dataclass(frozen=True)
class WrittenTable:
    """A table in the archive."""

    path: str
    fields: list[Field]
    rows: int
    notes: tuple[str, ...] = ()


def search(
    api_url: str,
    query: Mapping[str, Any],
    context: PackagingContext,
    archive: Archive,
    *,
    format: str,
    offset: int = 0,
    limit: int | None = None,
) -> Search:
    """Ask CKAN for rows, rendered as the format and the archive can use them best."""
    return datastore.search(
        context.client,
        api_url,
        dict(query),
        records_format=_ASKED_AS[format],
        as_raw=format == "ndjson",
        deflated=archive.deflated_buffer,
        offset=offset,
        limit=limit,
        page_size=context.settings.ckan.page_size,
        page_requests=context.settings.ckan.page_requests,
    )


def dictionary(
    api_url: str, resource_id: str, fields: Sequence[Field], context: PackagingContext
) -> list[dict[str, Any]]:
    """Fields with what the data dictionary says of them; `datastore_search` does not tell it everywhere."""
    told = {field.id: field.info for field in fields if field.info}
    if not told:
        with suppress(CkanpackagerError):  # nothing is missing in the table for that
            answer = actions.show(context.client, api_url, "datastore_info", resource_id)
            told = {str(field.get("id")): field.get("info") for field in answer.get("fields") or ()}
    return [{"id": field.id, "type": field.type, "info": told.get(field.id)} for field in fields]


def write_table(archive: Archive, stem: str, format: str, found: Search, context: PackagingContext) -> WrittenTable:
    """Write the rows that were found to `stem.format` in the archive."""
    path = f"{stem}.{format}"
    if format == "xlsx":
        return _write_workbook(archive, path, found, context)
    rows = 0
    table = TextTable(format, [field.type for field in found.fields]) if format != "ndjson" else None
    names = [field.id for field in found.fields]
    with archive.open(path) as entry:
        if table:
            entry.write(table.header(names))
        for page in found.pages:
            if page.text:
                page.text.write_to(entry)
            if page.records:
                entry.write(table.rows(in_order(page.records, names)) if table else json_lines(page.records))
            rows += page.rows
            context.tell(rows, found.total)
    return WrittenTable(path, found.fields, rows)


def in_order(records: Sequence[Any], names: Sequence[str]) -> Iterator[Sequence[Any]]:
    """Records that are objects, as the lists that the others are."""
    for record in records:
        yield [record.get(name) for name in names] if isinstance(record, dict) else record


def _write_workbook(archive: Archive, path: str, found: Search, context: PackagingContext) -> WrittenTable:
    """A workbook is a ZIP itself and has its parts in no order of ours, so it is written aside first."""
    from ckanpackager.formats.xlsx import write_workbook

    names, rows = [field.id for field in found.fields], 0

    def coming() -> Iterator[Sequence[Any]]:
        nonlocal rows
        for page in found.pages:
            yield from in_order(page.records or (), names)
            rows += page.rows
            context.tell(rows, found.total)

    with tempfile.TemporaryDirectory(prefix="ckanpackager-", dir=context.settings.archives.temp_directory) as directory:
        aside = Path(directory) / "workbook.xlsx"
        notes = write_workbook(aside, [(field.id, field.type) for field in found.fields], coming())
        with aside.open("rb") as file, archive.open(path) as entry:
            while block := file.read(_BLOCK):
                entry.write(block)
    return WrittenTable(path, found.fields, rows, tuple(notes))
