"""package_datastore: the rows of a datastore resource as one table."""

from urllib.parse import quote

from ckanpackager import datapackage
from ckanpackager.archive import Archive
from ckanpackager.packagers import Kit, Result
from ckanpackager.packagers.table import Written, dictionary, search, write_table
from ckanpackager.request import PackageDatastore, PackageDwcArchive

_QUERY = ("resource_id", "filters", "q", "plain", "language", "distinct", "fields", "sort")


def package(request: PackageDatastore, archive: Archive, kit: Kit) -> Result:
    """Write resource.csv, or whatever the format is, and its description where that is configured."""
    limit = request.limit or None  # 0 has always meant all
    found = search(
        request.api_url, query_of(request), kit, archive, format=request.format, offset=request.offset, limit=limit
    )
    written = write_table(archive, "resource", request.format, found, kit)
    if kit.settings.archives.include_datapackage:
        with archive.open(datapackage.FILE) as entry:
            entry.write(_described(request, written, kit))
    return Result(written.rows, written.notes)


def query_of(request: PackageDatastore | PackageDwcArchive) -> dict[str, object]:
    """What the request asks CKAN for, as parameters of `datastore_search`."""
    return {name: value for name in _QUERY if (value := getattr(request, name)) is not None}


def _described(request: PackageDatastore, written: Written, kit: Kit) -> bytes:
    id = request.resource_id
    table = datapackage.table(
        name="resource",
        title=id,
        path=written.path,
        format=request.format,
        rows=written.rows,
        fields=dictionary(request.api_url, id, written.fields, kit),
    )
    source = f"{request.api_url}?resource_id={quote(id)}"
    return datapackage.package(name=id, title=id, resources=[table], sources=[source])
