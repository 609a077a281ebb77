"""Who may read what, by CKAN's own rules, and whether the packager needs a key for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ckan.plugins.toolkit as tk

from ckanext.packager import settings


class NoKey(Exception):
    """The data is private, and the administrator has configured no token for it."""


def public(action: str, entity_id: str) -> bool:
    """Whether a person who is not logged in may call `resource_show` or `package_show` for this."""
    try:
        tk.check_access(action, {"user": "", "auth_user_obj": None}, {"id": entity_id})
    except tk.NotAuthorized:
        return False
    return True


def key_for_resource(resource_id: str) -> str | None:
    """The token to send along, None if there is no need.  The person's own right has been checked before.

    Raises NoKey.
    """
    return None if public("resource_show", resource_id) else _token()


def key_for_dataset(context: Mapping[str, Any], package: Mapping[str, Any]) -> str | None:
    """The token to send along for all of a dataset, None if there is no need.

    With the token the packager could read every resource, so the person must be allowed to.
    Raises NoKey, and NotAuthorized if a resource is not for this person.
    """
    if public("package_show", package["id"]):
        return None  # then the packager gets what the public gets
    for resource in package["resources"]:
        tk.check_access("resource_show", {"user": context["user"]}, {"id": resource["id"]})
    return _token()


def _token() -> str:
    token = settings.api_token()
    if token is None:
        raise NoKey
    return token
