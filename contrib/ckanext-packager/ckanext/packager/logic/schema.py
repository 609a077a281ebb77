"""What the actions take."""

from __future__ import annotations

import json
from typing import Any

import ckan.plugins.toolkit as tk


def request() -> dict[str, Any]:
    """`packager_request`: a resource or a dataset, who gets the link, which rows; without empty values."""
    valid = tk.get_validator
    optional = [valid("ignore_missing")]
    return {
        "resource_id": [*optional, valid("unicode_safe")],
        "dataset_id": [*optional, valid("unicode_safe")],
        "email": [valid("not_empty"), valid("unicode_safe"), valid("strip_value"), valid("email_validator")],
        "format": [*optional, valid("unicode_safe")],
        "filters": [*optional, _filters],
        "q": [*optional, _search],
        "plain": [*optional, valid("boolean_validator")],
        "language": [*optional, valid("unicode_safe")],
        "__junk": [valid("ignore")],
    }


def _filters(value: Any) -> Any:
    """An object of fields and values, as `datastore_search` takes it; or the same as JSON text."""
    value = _json(value)
    if not isinstance(value, dict):
        raise tk.Invalid(tk._("Expected a JSON object"))
    return {str(field): values if isinstance(values, list) else [values] for field, values in value.items()}


def _search(value: Any) -> Any:
    """A text, or an object of fields and texts; or that as JSON text."""
    if isinstance(value, str) and not value.lstrip().startswith("{"):
        return value
    value = _json(value)
    if not (isinstance(value, dict) and all(isinstance(text, str) for text in value.values())):
        raise tk.Invalid(tk._("Expected text, or a JSON object of fields and texts"))
    return value


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise tk.Invalid(tk._("Expected a JSON object")) from None
