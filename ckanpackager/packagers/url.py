"""package_url: a file as it is, under its own name."""

import re
from collections.abc import Mapping
from email.message import Message
from email.utils import collapse_rfc2231_value
from urllib.parse import unquote, urlsplit

from ckanpackager.archives.writer import Archive
from ckanpackager.jobs.request import PackageUrl
from ckanpackager.packagers.context import PackagingContext, Result

_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"|?*\u202a-\u202e\u2066-\u2069]')  # Windows refuses some, bidi marks deceive
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # what Windows takes for no file


def package(request: PackageUrl, archive: Archive, context: PackagingContext) -> Result:
    """Copy the file into the archive."""
    with context.client.download(request.resource_url) as (headers, chunks):
        with archive.open(file_name(headers, request.resource_url)) as entry:
            for chunk in chunks:
                entry.write(chunk)
                context.tell(0, None)
    return Result(rows=None)


def file_name(headers: Mapping[str, str], url: str) -> str:
    """The name that the server gives the file (RFC 6266), else the last part of the URL's path, made harmless."""
    message = Message()
    message["Content-Disposition"] = _utf8(headers.get("Content-Disposition", "attachment"))
    names = [value for name, value in message.get_params([], "Content-Disposition") if name == "filename"]
    names.sort(key=lambda value: isinstance(value, str))  # filename*=, a tuple, is the better one
    given = collapse_rfc2231_value(names[0]) if names else ""
    return safe_name(given) or safe_name(unquote(urlsplit(url).path)) or "resource"


def _utf8(header: str) -> str:
    """Headers are Latin-1, but many servers send UTF-8."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header


def safe_name(name: str) -> str:
    """The base name of whatever path `name` is, without what a file system may take amiss; may be empty."""
    base = _UNSAFE.sub("_", re.split(r"[/\\]", name)[-1]).strip(" .")
    base = f"_{base}" if _DEVICE.fullmatch(base) else base
    stem, dot, suffix = base.rpartition(".")
    if len(base.encode()) <= 200:
        return base
    suffix = dot + suffix if stem and len(suffix.encode()) <= 20 else ""
    return base.encode()[: 200 - len(suffix.encode())].decode(errors="ignore").rstrip(" .") + suffix
