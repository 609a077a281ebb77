"""Whether the source of a named package has changed: a fingerprint of what CKAN tells of it, and of the request.

What counts: the timestamps of resource and dataset, the number of rows and the highest `_id`; with a `changed_field`,
in place of all that, its highest value and the number of rows.  A file counts by what its server says of it.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ckanpackager.errors import PermanentFailure
from ckanpackager.jobs.request import PackageDataset, PackageUrl, Request

Act = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Asks CKAN for an action, by name and parameters; gives its result, raises PermanentFailure or TemporaryFailure."""

_TIMES = ("last_modified", "metadata_modified", "created", "revision_id", "hash", "url", "size")
_QUERY = ("filters", "q", "plain", "language")  # which rows there are; what is made of them is the request's
_FILE = ("ETag", "Last-Modified", "Content-Length")


def of_source(request: Request, act: Act, changed_field: str | None) -> str:
    """The fingerprint of the rows that a request asks for.  Raises PermanentFailure and TemporaryFailure."""
    facts: dict[str, Any] = {"request": _request(request)}
    if isinstance(request, PackageDataset):
        facts["dataset"] = _dataset(act("package_show", {"id": request.dataset_id}), act)
    elif changed_field:
        facts["rows"] = _highest(request, act, changed_field)
    else:
        facts |= {"resource": _resource(request.resource_id, act), "rows": _highest(request, act, "_id")}
    return _digest(facts)


def of_file(request: PackageUrl, headers: Mapping[str, str]) -> str | None:
    """The fingerprint of a file by the headers of its answer; None if they tell of no change."""
    said = {name: headers[name] for name in _FILE if name in headers}
    if not said.keys() & {"ETag", "Last-Modified"}:
        return None
    return _digest({"request": _request(request), "file": said})


def _request(request: Request) -> dict[str, Any]:
    """What was asked for: a change of the configuration changes the archive, too."""
    return {name: value for name, value in msgspec.to_builtins(request).items() if name not in ("email", "key")}


def _digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(facts, order="sorted")).hexdigest()


def _resource(id: str, act: Act) -> Any:
    """Resource and dataset; nothing where the site does not tell of them, as of the alias of a table."""
    try:
        resource = act("resource_show", {"id": id})
        dataset = act("package_show", {"id": resource["package_id"]}) if resource.get("package_id") else {}
    except PermanentFailure:
        return None
    return [_times(resource), _times(dataset)]


def _dataset(dataset: Mapping[str, Any], act: Act) -> list[Any]:
    found: list[Any] = [_times(dataset)]
    for resource in dataset.get("resources") or ():
        rows = _rows({"resource_id": str(resource.get("id"))}, act, "_id") if resource.get("datastore_active") else None
        found.append([resource.get("id"), _times(resource), rows])
    return found


def _times(described: Mapping[str, Any]) -> list[Any]:
    return [described.get(name) for name in _TIMES]


def _highest(request: Any, act: Act, field: str) -> list[Any]:
    query = {name: value for name in _QUERY if (value := getattr(request, name)) is not None}
    return _rows({"resource_id": request.resource_id, **query}, act, field)


def _rows(query: dict[str, Any], act: Act, field: str) -> list[Any]:
    """The number of rows, and the highest value of a field."""
    quoted = '"' + field.replace('"', '""') + '"'
    query = {**query, "limit": 1, "fields": [field]}
    try:  # PostgreSQL puts nulls first, and CKAN before 2.9 cannot be told otherwise
        result = act("datastore_search", {**query, "sort": f"{quoted} desc nulls last"})
    except PermanentFailure:
        result = act("datastore_search", {**query, "sort": f"{quoted} desc"})
    records = result.get("records") or [{}]
    return [result.get("total"), records[0].get(field)]
