"""The address of the client that a request comes from, behind proxies, too.  Pure.

Any client can send `X-Forwarded-For`, and each proxy adds the address that it was connected from at its
right end.  So only proxies that the configuration trusts are believed, from right to left.
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

Address = IPv4Address | IPv6Address
_MOST = 50  # addresses in one header that are looked at; no request comes through so many proxies


def client_address(environ: Mapping[str, Any], trusted_proxies: Sequence[str]) -> str:
    """The address that a request comes from: the last one that is no trusted proxy; an empty text if none is known.

    Args:
        environ: of the request (PEP 3333, RFC 3875).
        trusted_proxies: addresses, and networks as in 10.0.0.0/8.
    """
    peer = str(environ.get("REMOTE_ADDR") or "")
    said = environ.get("HTTP_X_FORWARDED_FOR")
    if not trusted_proxies or not said:
        return peer
    networks = [ip_network(entry, strict=False) for entry in trusted_proxies]
    nearest = peer
    for entry in [peer, *reversed(said.split(",")[-_MOST:])]:
        if (address := address_in(entry)) is None:
            return nearest  # "unknown", or nonsense: the proxy that said so is all that is known
        nearest = str(address)
        if not any(address in network for network in networks):
            return nearest
    return nearest


def address_in(entry: str) -> Address | None:
    """The IP address of an entry, with or without a port, IPv4 in IPv6 as IPv4; None if it is none."""
    text = entry.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])  # without the interface of a link-local address
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
