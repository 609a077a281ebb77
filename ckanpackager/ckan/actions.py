"""CKAN's actions besides `datastore_search`."""

from typing import Any
from urllib.parse import urljoin

import msgspec

from ckanpackager.ckan.responses import error_message
from ckanpackager.errors import PermanentFailure, TemporaryFailure
from ckanpackager.hosts import without_secrets
from ckanpackager.http_client import Client

MAX_ACTION = 8 * 1024 * 1024  # bytes; the largest package_show describes some thousand resources


def show(client: Client, api_url: str, action: str, id: str, tries: int | None = None) -> dict[str, Any]:
    """The result of a `..._show` action of the site that `api_url` is an action of.

    Raises PermanentFailure and TemporaryFailure.
    """
    return call(client, api_url, action, {"id": id}, tries)


def call(
    client: Client, api_url: str, action: str, parameters: dict[str, Any], tries: int | None = None
) -> dict[str, Any]:
    """The result of any action whose result is an object.  Raises PermanentFailure and TemporaryFailure."""
    url = urljoin(api_url, action)

    def once(tried: int) -> dict[str, Any]:
        body: list[bytes] = []
        client.post(url, msgspec.json.encode(parameters), body.append, explain=error_message, max_bytes=MAX_ACTION)
        try:
            answer = msgspec.json.decode(b"".join(body), type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise TemporaryFailure(f"{without_secrets(url)} does not answer as CKAN's API does") from None
        if not answer.get("success") or not isinstance(answer.get("result"), dict):
            raise PermanentFailure(f"{without_secrets(url)} refused: {error_message(b''.join(body))}", kind="refused")
        result: dict[str, Any] = answer["result"]
        return result

    return client.repeat(once, tries)


def status(client: Client, site: str) -> str:
    """Ask a site for its `status_show`; a sentence about it.  Raises TemporaryFailure, PermanentFailure."""
    name, body = without_secrets(site), list[bytes]()
    client.post(f"{site}/api/3/action/status_show", b"{}", body.append, explain=error_message)
    try:
        answer = msgspec.json.decode(b"".join(body))
        version, extensions = answer["result"]["ckan_version"], list(answer["result"]["extensions"])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        raise TemporaryFailure(f"{name} does not answer as CKAN does; is this the address of the site?") from None
    datastore = "with" if "datastore" in extensions else "WITHOUT"
    return f"{name}: CKAN {version}, {datastore} the datastore"
