"""package_url: a file as it is, under its own name."""

from collections.abc import Mapping
from email.message import Message
from email.utils import collapse_rfc2231_value
from urllib.parse import unquote, urlsplit

from ckanpackager import names
from ckanpackager.archives.writer import Archive
from ckanpackager.jobs.request import PackageUrl
from ckanpackager.packagers.context import PackagingContext, Result


def package(request: PackageUrl, archive: Archive, context: PackagingContext) -> Result:
    """Copy the file into the archive."""
    with context.client.download(request.resource_url) as (headers, chunks):
        with archive.open(name_of_download(headers, request.resource_url)) as entry:
            for chunk in chunks:
                entry.write(chunk)
                context.tell(0, None)
    return Result(rows=None)


def name_of_download(headers: Mapping[str, str], url: str) -> str:
    """The name that the server gives the file (RFC 6266), else the last part of the URL's path, made harmless."""
    message = Message()
    message["Content-Disposition"] = _utf8(headers.get("Content-Disposition", "attachment"))
    given = [value for name, value in message.get_params([], "Content-Disposition") if name == "filename"]
    given.sort(key=lambda value: isinstance(value, str))  # filename*=, a tuple, is the better one
    said = collapse_rfc2231_value(given[0]) if given else ""
    return names.file_name(said) or names.file_name(unquote(urlsplit(url).path)) or "resource"


def _utf8(header: str) -> str:
    """Headers are Latin-1, but many servers send UTF-8."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header
