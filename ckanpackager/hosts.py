"""Which hosts may be fetched from.  Pure: no network."""

from urllib.parse import urlsplit

from ckanpackager.errors import BadRequest


def host_allowed(url: str, allowed_hosts: list[str] | None) -> bool:
    """Whether the URL's host is in the list, whose entries are `host` (any port) or `host:port`; None allows any."""
    parts = urlsplit(url)
    netloc = parts.netloc.rpartition("@")[2].lower()
    return allowed_hosts is None or any(entry.lower() in (netloc, parts.hostname) for entry in allowed_hosts)


def check_host(parameter: str, url: str, allowed_hosts: list[str] | None) -> None:
    """Raises BadRequest if the URL in that parameter names a host that is not fetched from."""
    if not host_allowed(url, allowed_hosts):
        host = urlsplit(url).netloc.rpartition("@")[2]
        raise BadRequest(f"{parameter}: {host} is not one of the allowed_hosts")
