"""Who may call the actions."""

from __future__ import annotations

from typing import Any

import ckan.plugins.toolkit as tk

from ckanext.packager import settings


@tk.auth_allow_anonymous_access
def packager_request(context: dict[str, Any], data_dict: dict[str, Any]) -> dict[str, Any]:
    """Those who may read the data; those who are not logged in if `ckanext.packager.anonymous` allows it."""
    if not context.get("user") and not settings.anonymous():
        return {"success": False, "msg": tk._("Please log in to request a download")}
    action, entity = (
        ("resource_show", "resource_id") if data_dict.get("resource_id") else ("package_show", "dataset_id")
    )
    tk.check_access(action, {"user": context.get("user", "")}, {"id": data_dict.get(entity)})
    return {"success": True}


@tk.auth_allow_anonymous_access
def packager_status(context: dict[str, Any], data_dict: dict[str, Any]) -> dict[str, Any]:
    """One job: everyone who knows its id, which is the key to it.  The whole service: sysadmins."""
    return {"success": bool(data_dict.get("job")), "msg": tk._("Only sysadmins see the whole service")}


def packager_statistics(context: dict[str, Any], data_dict: dict[str, Any]) -> dict[str, Any]:
    """An organization's figures: its administrators.  Everything: sysadmins."""
    organization = data_dict.get("organization_id")
    if not organization:
        return {"success": False, "msg": tk._("Only sysadmins see the figures of the whole portal")}
    tk.check_access("organization_update", {"user": context.get("user", "")}, {"id": organization})
    return {"success": True}
