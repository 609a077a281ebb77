"""GET /metrics: measurements for Prometheus, for callers who know the secret, and from hosts that are listed."""

import hmac
import time
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

from ckanpackager.config.settings import Receiver
from ckanpackager.receiver.client_address import Address, address_in, client_address
from ckanpackager.receiver.pages import PageRequest
from ckanpackager.receiver.response import Response, error_response

_OF_PROXIES = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")


def respond(request: PageRequest) -> Response:
    """The measurements as text, or 401."""
    receiver = request.settings.receiver
    if not (_knows_secret(request.environ, receiver.secret) or _is_listed(request.environ, receiver)):
        words = "send the secret as a bearer token, or ask from one of the metrics_hosts"
        request.about["refused"] = "neither the secret, nor one of the metrics_hosts"
        return error_response("401 Unauthorized", words, {"WWW-Authenticate": 'Bearer realm="ckanpackager"'})
    from ckanpackager.monitoring.exposition import CONTENT_TYPE, text_of
    from ckanpackager.monitoring.measure import measure

    measured = measure(request.settings, request.spool, time.time())
    return Response("200 OK", text_of(measured.metrics), content_type=CONTENT_TYPE)


def _knows_secret(environ: Mapping[str, Any], secret: str | None) -> bool:
    """Whether the Authorization header has it (RFC 6750), compared in constant time."""
    scheme, _, token = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
    known = (secret or "").encode("utf-8", "surrogatepass")
    sent = token.strip().encode("latin-1", "replace")  # PEP 3333 has headers as bytes in disguise
    return bool(known) and scheme.lower() == "bearer" and hmac.compare_digest(sent, known)


def _is_listed(environ: Mapping[str, Any], receiver: Receiver) -> bool:
    """Whether the client's address is one of `metrics_hosts`.

    A proxy that is not trusted has the address of the machine that it runs on, which is not the client's.
    """
    if not receiver.metrics_hosts:
        return False
    client = address_in(client_address(environ, receiver.trusted_proxies))
    if client is None or (any(name in environ for name in _OF_PROXIES) and _may_be_proxy(client, environ)):
        return False
    return any(client in ip_network(entry, strict=False) for entry in receiver.metrics_hosts)


def _may_be_proxy(client: Address, environ: Mapping[str, Any]) -> bool:
    """Whether a request came through proxies of which the nearest is not trusted, or one does not tell its client."""
    told = str(environ.get("HTTP_X_FORWARDED_FOR") or "").split(",")
    return client == address_in(str(environ.get("REMOTE_ADDR"))) or None in map(address_in, told)
