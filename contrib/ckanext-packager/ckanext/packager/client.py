"""The packager's HTTP API, as this extension uses it.  No CKAN in here."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import requests

MAX_REPLY = 1024 * 1024  # bytes of JSON
MAX_CHART = 1024 * 1024  # bytes of SVG
_BLOCK = 64 * 1024


class PackagerError(Exception):
    """The packager refused a request; the text is its own words, for people."""

    def __init__(self, message: str, status: int, retry_after: str | None = None) -> None:
        super().__init__(message)
        self.status = status  # HTTP's
        self.retry_after = retry_after  # seconds


class NotOffered(PackagerError):
    """The packager does not know this path (an older one), or not this job."""


class Unavailable(PackagerError):
    """The packager cannot be reached, or has a fault of its own."""


class Packager(NamedTuple):
    """Where the packager is.

    Attributes:
        url: of its receiver.
        secret: the shared one.
        timeout: in seconds, for the connection and for each block of the reply.
    """

    url: str
    secret: str
    timeout: float = 10

    def post(self, path: str, **parameters: Any) -> dict[str, Any]:
        """Send a request and return the reply's JSON.  Raises PackagerError."""
        reply = _json(self._send(path, parameters, MAX_REPLY))
        if not isinstance(reply, dict):
            raise Unavailable("the download service sent an answer that is none", 502)
        return reply

    def chart(self, path: str, **parameters: Any) -> bytes:
        """A chart in SVG.  Raises PackagerError; NotOffered also if the packager draws none."""
        body = self._send(path, {**parameters, "format": "svg"}, MAX_CHART)
        reply = _json(body)
        if isinstance(reply, dict) and isinstance(reply.get("svg"), str):
            body = reply["svg"].encode()
        if b"<svg" not in body[:1000]:
            raise NotOffered("no chart", 404)
        return body

    def _send(self, path: str, parameters: dict[str, Any], most: int) -> bytes:
        try:
            with requests.post(
                self.url.rstrip("/") + path,
                json={**parameters, "secret": self.secret},
                timeout=self.timeout,
                allow_redirects=False,  # the secret goes to the address that was configured, and nowhere else
                stream=True,
            ) as response:
                body = b""
                for block in response.iter_content(_BLOCK):
                    body += block
                    if len(body) > most:
                        raise Unavailable("the download service sent an answer that is too long", 502)
                status, headers = response.status_code, response.headers
        except requests.RequestException as error:
            raise Unavailable(f"the download service cannot be reached ({type(error).__name__})", 503) from error
        if status == 200:
            return body
        raise _refusal(status, _json(body), headers.get("Retry-After"))


def _refusal(status: int, reply: Any, retry_after: str | None) -> PackagerError:
    said = ""
    if isinstance(reply, dict):
        said = str(reply.get("msg") or reply.get("message") or "")
    if status in (404, 405):
        return NotOffered(said or "not offered", status)
    if status in (400, 413, 429) and said:
        return PackagerError(said, status, retry_after)
    # 401: the portal's secret is wrong.  The reader of the page can do nothing about that, nor about 500 or 503.
    return Unavailable(said or f"the download service answered {status}", status, retry_after)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
