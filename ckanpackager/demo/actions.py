"""The actions of a CKAN site: what they answer, to which keys, and how they refuse."""

import csv
import io
import json
from http import HTTPStatus
from typing import Any

from msgspec import Struct

from ckanpackager.demo.parameters import read_query
from ckanpackager.demo.render import Column, delimited
from ckanpackager.demo.search import search
from ckanpackager.demo.table import InvalidRequest, Resource
from ckanpackager.demo.versions import Version, has

ACTIONS = frozenset({"datastore_search", "datastore_info", "resource_show", "package_show", "status_show"})


class Refusal(Exception):
    """A refusal: its HTTP status and CKAN's `error` object."""

    def __init__(self, status: HTTPStatus, error: dict[str, Any]) -> None:
        super().__init__(status, error)
        self.status, self.error = status, error


class Site(Struct):
    """The resources by id and the datasets by id or name, behind the key that opens what is private."""

    url: str
    resources: dict[str, Resource]
    datasets: dict[str, dict[str, Any]]
    version: Version
    rows_max: int
    key: str

    def act(self, action: str, params: dict[str, Any], key: str | None) -> str:
        """The JSON text of the action's `result` for a caller with this key.

        Raises Refusal, InvalidRequest or ServerError.
        """
        may_read = key == self.key
        if action == "datastore_search":
            query = read_query(params, self.version, self.rows_max)
            resource_id = query.known["resource_id"]
            resource = self._table(resource_id, "Resource", may_read)
            return search(resource, query, self.version)
        if action == "datastore_info":
            return json.dumps(self._datastore_info(params, may_read))
        if action == "resource_show":
            return json.dumps(self._resource_show(params, may_read))
        if action == "package_show":
            return json.dumps(self._package_show(params, may_read))
        return json.dumps(self._status_show())

    def dump(self, resource_id: str, key: str | None) -> str:
        """The whole table as CKAN's own download has it: a header and CSV; raises Refusal."""
        resource = self._table(resource_id, "Resource", key == self.key)
        columns = [Column(name, kind, place) for place, (name, kind) in enumerate(resource.types().items())]
        header = io.StringIO()
        csv.writer(header).writerow([column.name for column in columns])  # which ends it in \r\n, as CKAN does
        return header.getvalue() + delimited(columns, resource.rows, ",", has(self.version, "milliseconds"))

    def _table(self, resource_id: str, what: str, may_read: bool) -> Resource:
        resource = self.resources.get(resource_id)
        if resource is None:
            raise _not_found(f': {what} "{resource_id}" was not found.')
        if resource.private and not may_read:
            raise _denied(f"perform resource_show on resource {resource_id}")
        return resource

    def _datastore_info(self, params: dict[str, Any], may_read: bool) -> dict[str, Any]:
        resource_id = _required(params, "id", "resource_id", missing="resource_id")
        resource = self._table(resource_id, "Resource/Alias", may_read)
        meta = {"id": resource_id, "count": len(resource.rows), "table_type": "BASE TABLE", "aliases": []}
        fields = [{**field, "schema": {"native_type": field["type"]}} for field in resource.fields]
        return {"fields": [field for field in fields if not field["id"].startswith("_")], "meta": meta}

    def _resource_show(self, params: dict[str, Any], may_read: bool) -> dict[str, Any]:
        resource_id = _required(params, "id", missing="id")
        resource = self.resources.get(resource_id)
        listed = [(each, dataset) for dataset in self.datasets.values() for each in dataset.get("resources", [])]
        description = next((each for each, _ in listed if each["id"] == resource_id), None)
        private = any(dataset.get("private") for each, dataset in listed if each["id"] == resource_id)
        if resource is None and description is None:
            raise _not_found()
        if (private or (resource and resource.private)) and not may_read:
            raise _denied(f"read resource {resource_id}")
        package = next(({"package_id": each.get("id", "")} for entry, each in listed if entry["id"] == resource_id), {})
        return {**(description or self.description(resource_id)), **package}

    def description(self, resource_id: str) -> dict[str, Any]:
        """A datastore's resource as `resource_show` has it, and as a dataset lists it."""
        return {
            "datastore_active": True,
            "description": None,
            "format": "CSV",
            "id": resource_id,
            "mimetype": None,
            "name": self.resources[resource_id].name,
            "size": None,
            "state": "active",
            "url": f"{self.url}/datastore/dump/{resource_id}",
            "url_type": "datastore",
        }

    def _package_show(self, params: dict[str, Any], may_read: bool) -> dict[str, Any]:
        wanted = _required(params, "id", "name_or_id", missing="name_or_id")
        for name, dataset in self.datasets.items():
            if wanted in (name, dataset.get("id"), dataset.get("name")):
                if dataset.get("private") and not may_read:
                    raise _denied(f"read package {dataset.get('id', name)}")
                return dataset
        raise _not_found()

    def _status_show(self) -> dict[str, Any]:
        version = ".".join(map(str, self.version))
        return {"site_title": "CKAN", "site_url": self.url, "extensions": ["datastore"], "ckan_version": version}


def _required(params: dict[str, Any], *names: str, missing: str) -> str:
    for name in names:
        if params.get(name):
            return str(params[name])
    raise InvalidRequest({missing: ["Missing value"]})


def _not_found(about: str = "") -> Refusal:
    return Refusal(HTTPStatus.NOT_FOUND, {"__type": "Not Found Error", "message": f"Not found{about}"})


def _denied(what: str) -> Refusal:
    message = f"Access denied: User  not authorized to {what}"
    return Refusal(HTTPStatus.FORBIDDEN, {"__type": "Authorization Error", "message": message})
