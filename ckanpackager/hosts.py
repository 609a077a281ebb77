"""Which hosts may be fetched from, which get the API key, and which may have private addresses.  Pure: no network."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from msgspec import Struct

from ckanpackager.errors import BadRequest

_PORTS = {"http": 80, "https": 443}
_RESERVED = ("192.0.0.0/24", "64:ff9b:1::/48", "3fff::/20", "5f00::/16")
"""What IANA reserves beyond what older Pythons know."""
_NAT64 = "64:ff9b::/96"  # IPv4 addresses in its last 32 bits (RFC 6052)


class HostPolicy(Struct, frozen=True, kw_only=True):
    """The rules for the requests of one job.

    `site` is the URL of its CKAN, if the request names one.  Entries of the lists are `host` (any port) or
    `host:port`; with `allowed_hosts`, no other host is fetched from.
    """

    site: str | None = None
    ckan_hosts: Sequence[str] = ()
    allowed_hosts: Sequence[str] | None = None
    allow_private_addresses: bool = False

    def allows(self, url: str) -> bool:
        return host_allowed(url, self.allowed_hosts)

    def gets_key(self, url: str) -> bool:
        """Whether the API key may be sent there: to CKAN's own hosts, and never in clear if CKAN is encrypted."""
        if self.site is None:
            return _is_listed(url, self.ckan_hosts)
        site, target = _origin(self.site), _origin(url)
        upgraded = site == (target[0], _PORTS["http"]) and target[1] == _PORTS["https"]
        downgraded = urlsplit(self.site).scheme == "https" and urlsplit(url).scheme == "http"
        return not downgraded and (site == target or upgraded or _is_listed(url, self.ckan_hosts))

    def may_be_private(self, url: str) -> bool:
        """Whether the address of the URL's host may be a private one: CKAN's own hosts, and those listed as allowed."""
        if self.allow_private_addresses or _is_listed(url, [*self.ckan_hosts, *(self.allowed_hosts or ())]):
            return True
        if self.site is None:
            return False
        site, target = _origin(self.site), _origin(url)
        standard_ports = {site[1], target[1]} <= set(_PORTS.values())
        return site == target or (site[0] == target[0] and standard_ports)


def host_allowed(url: str, allowed_hosts: Sequence[str] | None) -> bool:
    """Whether the URL's host is in the list; None allows any."""
    return allowed_hosts is None or _is_listed(url, allowed_hosts)


def check_host(parameter: str, url: str, allowed_hosts: Sequence[str] | None) -> None:
    """Raises BadRequest if the URL in that parameter names a host that is not fetched from."""
    if not host_allowed(url, allowed_hosts):
        raise BadRequest(f"{parameter}: {host_of(url)} is not one of the allowed_hosts")


def host_of(url: str) -> str:
    """Host, and port where one is named, without user and password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def without_secrets(url: str) -> str:
    """A URL for messages and descriptions: without user, password and query, which may hold secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{host_of(url)}{parts.path}"


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public Internet, as are the IPv4 addresses that an IPv6 one may hold."""
    import ipaddress  # the receiver must start fast, and connects to no host

    ip = ipaddress.ip_address(address.partition("%")[0])
    is_nat64 = ip in ipaddress.ip_network(_NAT64)
    inner: list[ipaddress.IPv4Address | None] = []
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return is_public(str(ip.ipv4_mapped))
        nat64 = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if is_nat64 else None
        inner = [ip.sixtofour, nat64, *(ip.teredo or ())]
    special = ip.is_multicast or ip.is_reserved or ip.is_unspecified or getattr(ip, "is_site_local", False)
    reserved = any(ip in ipaddress.ip_network(network) for network in _RESERVED) or (special and not is_nat64)
    return ip.is_global and not reserved and all(held is None or is_public(str(held)) for held in inner)


def _is_listed(url: str, entries: Sequence[str]) -> bool:
    host, port = _origin(url)
    for entry in entries:
        listed = urlsplit(f"//{entry.lower()}")
        if (listed.hostname or "").rstrip(".") == host and listed.port in (None, port):
            return True
    return False


def _origin(url: str) -> tuple[str, int | None]:
    """Host and port; raises ValueError if the port is none."""
    parts = urlsplit(url)
    return (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme)
