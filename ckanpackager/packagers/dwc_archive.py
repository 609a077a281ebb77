"""package_dwc_archive: the rows of a datastore resource as a Darwin Core Archive."""

import uuid
from contextlib import ExitStack
from datetime import datetime

import msgspec
from msgspec.structs import replace

from ckanpackager.archives.writer import Archive
from ckanpackager.darwin_core import compile_plan, encode_records, fill_eml, header, meta_xml
from ckanpackager.formats.registry import FORMATS, Entry
from ckanpackager.jobs.request import PackageDwcArchive
from ckanpackager.metadata.contents import OtherFile, TableFile
from ckanpackager.metadata.eml import eml_xml
from ckanpackager.packagers import description
from ckanpackager.packagers.context import PackagingContext, Result
from ckanpackager.packagers.datastore import contents_of, query_of
from ckanpackager.packagers.table import as_lists, data_dictionary, search


def package(request: PackageDwcArchive, archive: Archive, context: PackagingContext) -> Result:
    """Write the core as it comes, the extensions beside it, and what describes them."""
    now = description.now(context)
    eml = _filled(request.eml, now) if request.eml else None  # first: it may be refused
    limit, query = request.limit or None, query_of(request)
    id_field = context.darwin_core.dwc_id_field
    if request.fields and id_field not in request.fields:
        query["fields"] = [id_field, *request.fields]
    rows = search(request.api_url, query, context, archive, records_format="lists", offset=request.offset, limit=limit)
    names, count = [field.id for field in rows.fields], 0
    plan = compile_plan(names, context.darwin_core, "\t" if request.format == "tsv" else ",")
    tables = {table.name: table for table in (plan.core, *plan.extensions)}
    with ExitStack() as stack:
        entries: dict[str, Entry] = {}

        def entry(name: str) -> Entry:
            if name not in entries:  # so that an extension without rows is not there at all
                opened = archive.open if name == plan.core.name else archive.open_deferred
                entries[name] = stack.enter_context(opened(name))
                entries[name].write(header(tables[name]))
            return entries[name]

        entry(plan.core.name)
        for page in rows.pages:
            for batch in page.records.batches() if page.records else ():
                for name, content in encode_records(plan, list(as_lists(batch, names))):
                    entry(name).write(content)
            count += page.rows
            context.tell(count, rows.total)
    about = description.about_resource(context, request.api_url, request.resource_id)
    contents = contents_of(request, about, context)
    if eml is None and about.dataset:
        eml = eml_xml(about.dataset, contents, str(uuid.uuid4()))
    described = {"meta.xml": meta_xml(plan, entries.keys(), eml is not None)}
    if eml is not None:
        described["eml.xml"] = eml
    if request.for_gbif:
        described["gbif.json"] = msgspec.json.encode({"time": f"{now:%Y-%m-%dT%H:%M:%SZ}"})
    for name, content in described.items():
        with archive.open(name) as file:
            file.write(content)
    if description.is_wanted(context):
        fields = data_dictionary(request.api_url, request.resource_id, rows.fields, context)
        core = TableFile(
            path=plan.core.name,
            title="",
            format=FORMATS["tsv" if request.format == "tsv" else "csv"],
            rows=count,
            size=archive.sizes[plan.core.name],
            fields=fields,
        )
        others = [
            OtherFile(path=name, title="", size=size) for name, size in archive.sizes.items() if name != plan.core.name
        ]
        description.write(
            archive, replace(contents, files=[core, *others], notes=rows.notes), context, machine_readable=False
        )
    return Result(count, rows.notes, description=description.summary(contents))


def _filled(eml: str, now: datetime) -> bytes:
    return fill_eml(eml, str(uuid.uuid4()), f"{now:%Y-%m-%d}", f"{now:%Y-%m-%dT%H:%M:%SZ}")
