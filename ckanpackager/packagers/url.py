"""package_url: a file as it is, under its own name."""

from collections.abc import Mapping
from email.message import Message
from email.utils import collapse_rfc2231_value
from urllib.parse import unquote, urlsplit

from ckanpackager import names
from ckanpackager.archives.writer import Archive
from ckanpackager.jobs.job import Description
from ckanpackager.jobs.request import PackageUrl
from ckanpackager.metadata.contents import Contents, OtherFile
from ckanpackager.packagers import description
from ckanpackager.packagers.context import PackagingContext, Result


def package(request: PackageUrl, archive: Archive, context: PackagingContext) -> Result:
    """Copy the file into the archive, then write what describes it."""
    with context.client.download(request.resource_url) as (headers, chunks):
        name = name_of_download(headers, request.resource_url)
        with archive.open(name) as entry:
            for chunk in chunks:
                entry.write(chunk)
                context.tell(0, None)
    summary = Description()
    if description.is_wanted(context):
        about = description.about_resource(context, request.resource_url, request.resource_id)
        contents = _contents(request, name, about, archive, context)
        description.write(archive, contents, context)
        summary = description.summary(contents)
    return Result(rows=None, description=summary)


def _contents(
    request: PackageUrl, name: str, about: description.About, archive: Archive, context: PackagingContext
) -> Contents:
    """The file, and what the site says of it, if it is an upload of a CKAN site's."""
    pages = [each.page for each in (about.resource, about.dataset) if each and each.page]
    return Contents(
        name=request.resource_id,
        dataset=about.dataset,
        resource=about.resource,
        problem=about.problem,
        fetched=description.now(context),
        files=[OtherFile(path=name, title=about.resource.title if about.resource else name, size=archive.sizes[name])],
        sources=[*pages, _public(request.resource_url)],
    )


def _public(url: str) -> str:
    """A URL without user, password and query, which may hold secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def name_of_download(headers: Mapping[str, str], url: str) -> str:
    """The name that the server gives the file (RFC 6266), else the last part of the URL's path, made harmless."""
    said = _name_in(headers.get("Content-Disposition", ""))
    return names.file_name(said) or names.file_name(unquote(urlsplit(url).path)) or "resource"


def _name_in(header: str) -> str:
    """The file name in a Content-Disposition header; an empty text if it holds none, or one that cannot be read."""
    message = Message()
    try:
        message["Content-Disposition"] = _utf8(header) or "attachment"
        given = [value for name, value in message.get_params([], "Content-Disposition") if name == "filename"]
        given.sort(key=lambda value: isinstance(value, str))  # filename*=, a tuple, is the better one
        name = collapse_rfc2231_value(given[0]) if given else ""
    except (ValueError, LookupError, TypeError):  # of a charset that is none, or not one of texts
        return ""
    return name.encode("utf-8", "replace").decode()


def _utf8(header: str) -> str:
    """Headers are Latin-1, but many servers send UTF-8."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header
