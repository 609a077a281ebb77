"""package_datastore: the rows of a datastore resource as one table."""

from urllib.parse import quote

from ckanpackager.archives.writer import Archive
from ckanpackager.formats.registry import FORMATS
from ckanpackager.jobs.request import PackageDatastore, PackageDwcArchive
from ckanpackager.metadata import datapackage
from ckanpackager.packagers.context import PackagingContext, Result
from ckanpackager.packagers.table import WrittenTable, data_dictionary, search, write_table

_QUERY = ("resource_id", "filters", "q", "plain", "language", "distinct", "fields", "sort")


def package(request: PackageDatastore, archive: Archive, context: PackagingContext) -> Result:
    """Write resource.csv, or the file of another format, and its description where that is configured."""
    limit = request.limit or None  # 0 has always meant all
    format = FORMATS[request.format]
    rows = search(
        request.api_url,
        query_of(request),
        context,
        archive,
        records_format=format.records_format,
        raw_records=format.raw_records,
        offset=request.offset,
        limit=limit,
    )
    written = write_table(archive, "resource", format, rows, context)
    if context.archives.include_datapackage:
        with archive.open(datapackage.FILE) as entry:
            entry.write(_described(request, written, context))
    return Result(written.rows, written.notes)


def query_of(request: PackageDatastore | PackageDwcArchive) -> dict[str, object]:
    """What the request asks CKAN for, as parameters of `datastore_search`."""
    return {name: value for name in _QUERY if (value := getattr(request, name)) is not None}


def _described(request: PackageDatastore, written: WrittenTable, context: PackagingContext) -> bytes:
    id = request.resource_id
    table = datapackage.table(
        name="resource",
        title=id,
        path=written.path,
        format=FORMATS[request.format],
        rows=written.rows,
        fields=data_dictionary(request.api_url, id, written.fields, context),
    )
    source = f"{request.api_url}?resource_id={quote(id)}"
    return datapackage.package(name=id, title=id, resources=[table], sources=[source])
