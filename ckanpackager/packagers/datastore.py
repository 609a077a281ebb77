"""package_datastore: the rows of a datastore resource as one table."""

from urllib.parse import quote

from msgspec.structs import replace

from ckanpackager.archives.writer import Archive
from ckanpackager.formats.registry import FORMATS
from ckanpackager.hosts import without_secrets
from ckanpackager.jobs.job import Description
from ckanpackager.jobs.request import DatastoreRequest, PackageDatastore
from ckanpackager.jobs.words import selection_of
from ckanpackager.metadata.contents import Contents
from ckanpackager.packagers import description
from ckanpackager.packagers.context import PackagingContext, Result
from ckanpackager.packagers.table import described_table, search, write_table

_SEARCH = ("filters", "q", "plain", "language", "distinct", "fields", "sort")


def package(request: PackageDatastore, archive: Archive, context: PackagingContext) -> Result:
    """Write resource.csv, or the file of another format, then what describes it."""
    format = FORMATS[request.format]
    rows = search(
        request.api_url,
        query_of(request),
        context,
        archive,
        records_format=format.records_format,
        raw_records=format.raw_records,
        offset=request.offset,
        limit=request.limit or None,  # 0 has always meant all
    )
    written = write_table(archive, "resource", format, rows, context, bom=request.bom)
    summary = Description()
    if description.is_wanted(context):
        about = description.about_resource(context, request.api_url, request.resource_id)
        title = about.resource.title if about.resource else request.resource_id
        table = described_table(written, title, request.api_url, request.resource_id, archive, context)
        contents = replace(contents_of(request, about, context), files=[table], notes=written.notes)
        description.write(archive, contents, context)
        summary = description.summary(contents)
    return Result(written.rows, written.notes, description=summary)


def query_of(request: DatastoreRequest) -> dict[str, object]:
    """What the request asks CKAN for, as parameters of `datastore_search`."""
    query = {name: value for name in _SEARCH if (value := getattr(request, name)) is not None}
    return {"resource_id": request.resource_id, **query}


def contents_of(request: DatastoreRequest, about: description.About, context: PackagingContext) -> Contents:
    """Where the rows in an archive came from; its files are added when they are complete."""
    pages = [each.page for each in (about.resource, about.dataset) if each and each.page]
    return Contents(
        name=request.resource_id,
        dataset=about.dataset,
        resource=about.resource,
        problem=about.problem,
        fetched=description.now(context),
        sources=[*pages, f"{without_secrets(request.api_url)}?resource_id={quote(request.resource_id)}"],
        query=selection_of(request),
        doi=request.doi or "",
    )
