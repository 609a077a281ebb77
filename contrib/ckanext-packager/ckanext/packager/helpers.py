"""What the templates ask."""

from __future__ import annotations

import datetime
from typing import Any

import ckan.plugins.toolkit as tk
from ckan.lib.formatters import localised_number

from ckanext.packager import access, parameters, settings

configured = settings.configured
number = localised_number


def offers_resource(resource: dict[str, Any]) -> bool:
    """Whether the page of a resource has the button."""
    return (
        settings.configured()
        and parameters.downloadable(resource)
        and (settings.api_token() is not None or access.public("resource_show", resource["id"]))
    )


def offers_dataset(package: dict[str, Any]) -> bool:
    """Whether the page of a dataset has the button."""
    return (
        settings.configured()
        and any(parameters.downloadable(resource) for resource in package.get("resources", []))
        and (settings.api_token() is not None or access.public("package_show", package["id"]))
    )


def request_url(resource: dict[str, Any], view: dict[str, Any] | None) -> str:
    """The form for a resource, with what the address of this page says of the selection."""
    names = ("filters", "q")
    arguments = {name: tk.request.args[name] for name in names if tk.request.args.get(name)}
    if view:
        arguments["view_id"] = view["id"]
    return str(tk.h.url_for("packager.request_resource", resource_id=resource["id"], **arguments))


def size(number: Any) -> str:
    """Bytes for people, in the decimal units that the packager's mails use."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.2g} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def date(seconds: Any) -> datetime.datetime | None:
    """The packager's times are seconds since 1970; for `h.render_datetime`."""
    if not isinstance(seconds, (int, float)):
        return None
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).replace(tzinfo=None)
