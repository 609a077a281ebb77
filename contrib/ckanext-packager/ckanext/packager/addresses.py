"""Which address a request comes from, as far as it can be trusted.  Pure."""

from __future__ import annotations

import ipaddress


def client_address(peer: str, forwarded: str, proxies: int) -> str:
    """The address of the person's machine.

    Args:
        peer: the address that the connection comes from.
        forwarded: the header X-Forwarded-For; each proxy adds the address of its own peer at the end.
        proxies: how many proxies stand before CKAN.  The header counts only if the connection comes from a private
            address, since anybody else may have made it up.
    """
    chain = [part.strip() for part in forwarded.split(",") if part.strip()]
    if proxies <= 0 or not chain or not _private(peer):
        return peer
    return chain[-min(proxies, len(chain))]


def _private(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_private
    except ValueError:
        return False
