"""The parameters of `datastore_search`, each read as strictly as CKAN reads it.

The texts of refusals are those of CKAN 2.12.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ckanpackager.demo.table import InvalidRequest
from ckanpackager.demo.versions import QUIRKS, Version, has

FORMATS = ["objects", "lists", "csv", "tsv"]
DEFAULTS: dict[str, Any] = {
    "limit": 100,
    "records_format": "objects",
    "include_total": True,
    "include_next_page": False,
}


class Query(NamedTuple):
    """The parameters of one request: those that CKAN knows, with its defaults, and the others."""

    known: dict[str, Any]
    others: dict[str, Any]


def read_query(params: Mapping[str, Any], version: Version, rows_max: int) -> Query:
    """The parameters as CKAN reads them before it looks for the resource."""
    given = dict(params)
    if given.get("id"):
        given["resource_id"] = given.pop("id")
    readers = {name: read for name, read in _READERS.items() if _is_known(name, version)}
    known: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    for name, read in readers.items():
        value = given.get(name)
        if value is None or (value == "" and name in DEFAULTS):
            value = DEFAULTS.get(name)
        if value is not None:
            try:
                known[name] = read(value)
            except ValueError as error:
                errors[name] = list(error.args)
    if not known.get("resource_id"):
        errors["resource_id"] = ["Missing value"]
    if errors:
        raise InvalidRequest(errors)
    if has(version, "caps limit at rows_max"):
        known["limit"] = min(known["limit"], rows_max)
    return Query(known, {name: value for name, value in given.items() if name not in readers})


def _is_known(name: str, version: Version) -> bool:
    return f"knows {name}" not in QUIRKS or has(version, f"knows {name}")


def _boolean(value: Any) -> bool:
    return value.lower() in ("true", "yes", "t", "y", "1") if isinstance(value, str) else bool(value)


def _integer(value: Any) -> int:
    try:
        whole = int(value)
    except (ValueError, TypeError):
        raise ValueError("Invalid integer") from None
    if isinstance(value, float) and whole != value:
        raise ValueError("Invalid integer")
    return whole


def _limit(value: Any) -> int:
    try:
        limit = _integer(value)
    except ValueError as error:
        raise ValueError(*error.args, *(["Please enter an integer value"] if isinstance(value, str) else [])) from None
    if limit < 0:
        raise ValueError("Must be a natural number")
    return limit


def _list_or_text(value: Any) -> list[str] | str:
    if not isinstance(value, list | str):
        raise ValueError("Not a list")
    return value


def _names(value: Any) -> list[str]:
    value = _list_or_text(value)
    names = [name.strip() for name in value.split(",") if value] if isinstance(value, str) else value
    return [name.strip('"') if name[:1] == name[-1:] else name for name in names]


def _filters(value: Any) -> Any:
    try:
        return value if isinstance(value, dict | list) else json.loads(value)
    except (ValueError, TypeError):
        raise ValueError("Cannot parse JSON") from None


def _q(value: Any) -> str | dict[str, str]:
    try:
        parsed = value if isinstance(value, dict) else json.loads(value)
    except (ValueError, TypeError):
        parsed = None
    return parsed if isinstance(parsed, dict) else str(value)


def _format(value: Any) -> str:
    if value not in FORMATS:
        raise ValueError(f"Value must be one of {FORMATS}")
    return str(value)


# What reads each parameter; its ValueError holds the texts of the refusal.
_READERS: dict[str, Callable[[Any], Any]] = {
    "resource_id": str,
    "q": _q,
    "plain": _boolean,
    "filters": _filters,
    "language": str,
    "limit": _limit,
    "offset": _integer,
    "fields": _names,
    "sort": _list_or_text,
    "distinct": _boolean,
    "include_total": _boolean,
    "total_estimation_threshold": _integer,
    "records_format": _format,
    "include_next_page": _boolean,
}
