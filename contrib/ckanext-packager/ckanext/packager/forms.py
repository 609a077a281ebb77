"""What the form shows, and what was typed into it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ckan.plugins.toolkit as tk

from ckanext.packager import counts, parameters, settings
from ckanext.packager.client import PackagerError
from ckanext.packager.selection import Selection, from_json, from_view

_COUNTED = 20  # resources of a dataset whose rows are counted for its page


def user_name() -> str:
    return tk.current_user.name if tk.current_user.is_authenticated else ""


def resource_form(resource: dict[str, Any]) -> dict[str, Any]:
    """The variables of the form for a resource."""
    table = bool(resource.get("datastore_active"))
    selection = _selection(resource) if table else Selection({})
    counted = counts.count(user_name(), resource["id"], selection.query()) if table else None
    return {
        "resource": resource,
        "selection": selection.to_json(),
        "criteria": selection.criteria(),
        "counted": counted,
        "formats": _formats(dataset=False) if table else [],
        "data": _typed(),
    }


def dataset_form(package: dict[str, Any]) -> dict[str, Any]:
    """The variables of the form for a dataset."""
    resources = []
    for resource in package["resources"]:
        counted: counts.Counted | None = None
        if resource.get("datastore_active") and len(resources) < _COUNTED:
            counted = counts.count(user_name(), resource["id"], {}, sample=False)
        resources.append({"resource": resource, "counted": counted, "bytes": _bytes(resource)})
    tables = any(resource.get("datastore_active") for resource in package["resources"])
    return {
        "resource": None,
        "resources": resources,
        "formats": _formats(dataset=True) if tables else [],
        "data": _typed(),
    }


def request_data(resource: dict[str, Any] | None, package: dict[str, Any]) -> dict[str, Any]:
    """What `packager_request` gets, from the form that was sent."""
    form = tk.request.form
    data: dict[str, Any] = {"email": form.get("email", ""), "format": form.get("format", "")}
    if resource is None:
        return {**data, "dataset_id": package["id"]}
    if resource.get("datastore_active"):
        data.update(_selection(resource).query())
    return {**data, "resource_id": resource["id"]}


def _selection(resource: Mapping[str, Any]) -> Selection:
    """The form's own selection, less what was just removed; at first that of the page the person comes from."""
    form = tk.request.form
    if "selection" in form:
        try:
            selection = from_json(form["selection"])
        except ValueError:
            return Selection({})
        number = form.get("remove", "")
        return selection.without(int(number)) if number.isascii() and number.isdecimal() else selection
    return from_view(tk.request.args, _view(resource, tk.request.args.get("view_id")))


def _view(resource: Mapping[str, Any], view_id: str | None) -> dict[str, Any] | None:
    if not view_id:
        return None
    try:
        view: dict[str, Any] = tk.get_action("resource_view_show")({"user": user_name()}, {"id": view_id})
    except (tk.ObjectNotFound, tk.NotAuthorized):
        return None
    return view if view["resource_id"] == resource["id"] else None


def _formats(*, dataset: bool) -> list[str]:
    """The formats to choose from; those of the configuration if the packager does not answer just now."""
    try:
        status = settings.patient_packager().post("/status")
    except PackagerError:
        status = {}
    return parameters.offered_formats(settings.formats(), status, dataset=dataset)


def _typed() -> dict[str, str]:
    form = tk.request.form
    own = tk.current_user.email if tk.current_user.is_authenticated else ""
    return {"email": form.get("email", own or ""), "format": form.get("format", "")}


def _bytes(resource: Mapping[str, Any]) -> int | None:
    try:
        return int(resource.get("size") or 0) or None
    except (TypeError, ValueError):
        return None
