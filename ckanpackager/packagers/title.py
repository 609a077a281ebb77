"""The title of what is packaged, for the name of the archive's file."""

from ckanpackager.ckan import actions
from ckanpackager.errors import PermanentFailure, TemporaryFailure
from ckanpackager.http_client import Client
from ckanpackager.jobs.request import DatastoreRequest, Request
from ckanpackager.packagers.description import TRIES


def title_of(request: Request, client: Client) -> str:
    """The name that the site has for the resource, or nothing: the rows are packed whether it tells that or not."""
    if not isinstance(request, DatastoreRequest):
        return ""
    try:
        shown = actions.show(client, request.api_url, "resource_show", request.resource_id, TRIES)
        return str(shown.get("name") or "")
    except (PermanentFailure, TemporaryFailure):
        return ""
