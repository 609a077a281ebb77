"""An HTTP response, and the JSON responses of the receiver.

They carry the names that the original documented (`success`, `msg`) and those that it sent (`status`, `message`).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec


class Response(NamedTuple):
    """Status line, body, headers and content type."""

    status: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"


def success_response(values: Mapping[str, Any]) -> Response:
    return Response("200 OK", msgspec.json.encode({"status": "success", "success": True, **values}))


def error_response(status: str, words: str, headers: Mapping[str, str] = MappingProxyType({})) -> Response:
    body = {"status": "failed", "success": False, "error": status.partition(" ")[2], "message": words, "msg": words}
    return Response(status, msgspec.json.encode(body), tuple(headers.items()))
