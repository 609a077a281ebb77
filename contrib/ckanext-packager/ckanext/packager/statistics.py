"""The portal's download figures: the packager's totals, beside the names of CKAN's resources."""

from __future__ import annotations

from typing import Any

from ckan import model

from ckanext.packager.client import Packager

CHARTS = ("resources", "domains", "formats")


def figures(packager: Packager, organization: str | None) -> dict[str, Any]:
    """Totals by resource, the most requested first; those of one organization, or all.  Raises PackagerError."""
    totals = {
        str(key): value
        for key, value in (packager.post("/statistics").get("totals") or {}).items()
        if isinstance(value, dict)
    }
    everything = totals.pop("*", None)
    rows = _named(totals, organization)
    rows.sort(key=lambda row: (-row["requests"], row["name"]))
    total = {name: sum(row[name] for row in rows) for name in ("requests", "errors")}
    if not organization and everything is not None:
        total = {name: int(everything.get(name) or 0) for name in ("requests", "emails", "errors")}
    return {"resources": rows, "total": total}


def _named(totals: dict[str, dict[str, Any]], organization: str | None) -> list[dict[str, Any]]:
    """A row for each resource, and for each dataset that was requested as a whole.

    What CKAN does not know any more is listed by its id, for sysadmins alone: it belongs to no organization.
    """
    known = {**_datasets(list(totals), organization), **_resources(list(totals), organization)}
    return [
        {
            "id": entity,
            **known.get(entity, {"name": entity, "dataset": None, "dataset_title": "", "is_dataset": False}),
            **{name: int(numbers.get(name) or 0) for name in ("requests", "emails", "errors")},
        }
        for entity, numbers in totals.items()
        if entity in known or not organization
    ]


def _resources(ids: list[str], organization: str | None) -> dict[str, dict[str, Any]]:
    query = (
        model.Session.query(model.Resource.id, model.Resource.name, model.Package.name, model.Package.title)
        .join(model.Package, model.Package.id == model.Resource.package_id)
        .filter(model.Resource.id.in_(ids))
    )
    return {
        entity: {
            "name": name or title or dataset,
            "dataset": dataset,
            "dataset_title": title or dataset,
            "is_dataset": False,
        }
        for entity, name, dataset, title in _of(query, organization)
    }


def _datasets(ids: list[str], organization: str | None) -> dict[str, dict[str, Any]]:
    query = model.Session.query(model.Package.id, model.Package.name, model.Package.title)
    return {
        entity: {"name": title or dataset, "dataset": dataset, "dataset_title": title or dataset, "is_dataset": True}
        for entity, dataset, title in _of(query.filter(model.Package.id.in_(ids)), organization)
    }


def _of(query: Any, organization: str | None) -> Any:
    if not organization:
        return query
    group = model.Group.get(organization)
    return query.filter(model.Package.owner_org == (group.id if group else None))
