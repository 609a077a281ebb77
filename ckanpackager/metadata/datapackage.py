"""datapackage.json: what an archive holds, as Frictionless Data describes it.  Pure.

Data Package and Table Schema, version 1 (https://specs.frictionlessdata.io): what tools in use today read.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ckanpackager import names
from ckanpackager.formats.registry import Format

FILE = "datapackage.json"
_LICENCE = re.compile(r"[A-Za-z0-9._-]+")
_URL = re.compile(r"https?://[^\s]+", re.IGNORECASE)
_TYPES: tuple[
    tuple[re.Pattern[str], str, dict[str, Any]], ...
] = (  # PostgreSQL's type, Table Schema's type, and what else it has to say
    (re.compile(r"(big|small)?int(eger|[248])?|(big|small)?serial"), "integer", {}),
    (re.compile(r"float[48]?|numeric.*|decimal.*|double precision|real"), "number", {}),
    (re.compile(r"bool(ean)?"), "boolean", {"trueValues": ["t", "true"], "falseValues": ["f", "false"]}),
    (re.compile(r"timestamp.*"), "datetime", {"format": "any"}),
    (re.compile(r"date"), "date", {"format": "any"}),
    (re.compile(r"time.*"), "time", {"format": "any"}),
    (re.compile(r"jsonb?"), "any", {}),  # a list in one row, an object in the next
)


def package(
    *,
    name: str,
    title: str,
    resources: Iterable[Mapping[str, Any]],
    sources: Iterable[str],
    dataset: Mapping[str, Any] | None = None,
    missing: Iterable[Mapping[str, str]] = (),
) -> bytes:
    """The file: `resources` by `table` and `file`, `sources` the URLs that the data came from.

    `dataset` is CKAN's `package_show`, for description, licence and version; `missing` names what could not be had.
    """
    dataset = dataset or {}
    described: dict[str, Any] = {"profile": "data-package", "name": names.slug(name), "title": title}
    for key, theirs in (("description", "notes"), ("version", "version"), ("homepage", "url")):
        if dataset.get(theirs) and (key != "homepage" or _is_url(dataset[theirs])):
            described[key] = str(dataset[theirs])
    if licence := _licence(dataset):
        described["licenses"] = [licence]
    described["sources"] = [{"title": title, "path": source} for source in sources if _is_url(source)]
    described["resources"] = _uniquely_named(resources)
    if missing := list(missing):
        described["missing"] = missing
    return msgspec.json.format(msgspec.json.encode(described), indent=2) + b"\n"


def table(
    *, name: str, title: str, path: str, format: Format, rows: int | None, fields: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """A table in the archive; `fields` have CKAN's `id` and `type`, and `info`, the data dictionary, if any."""
    described: dict[str, Any] = {"name": name, "title": title, "path": path, "format": format.name}
    described |= {"profile": "tabular-data-resource", "mediatype": format.media_type, "encoding": "utf-8"}
    if format.dialect:
        described["dialect"] = format.dialect
    described["schema"] = {"fields": [_field(field) for field in fields], "missingValues": [""]}
    return described if rows is None else {**described, "rows": rows}


def file(*, name: str, title: str, path: str, size: int) -> dict[str, Any]:
    """A file in the archive, as it is; `size` in bytes."""
    return {"name": name, "title": title, "path": path, "profile": "data-resource", "bytes": size}


def _licence(dataset: Mapping[str, Any]) -> dict[str, str]:
    """The licence, if CKAN names one in a way that the specification allows."""
    name, path, title = (str(dataset.get(f"license_{part}") or "") for part in ("id", "url", "title"))
    licence = {"name": name} if _LICENCE.fullmatch(name) and name != "notspecified" else {}
    licence |= {"path": path} if _is_url(path) else {}
    return licence | {"title": title} if licence and title else licence


def _is_url(value: object) -> bool:
    return isinstance(value, str) and _URL.fullmatch(value) is not None


def _uniquely_named(resources: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The resources, whose names the specification wants to differ; those of files do, their slugs may not."""
    taken: set[str] = set()
    named = []
    for resource in resources:
        name = names.unused(resource["name"], taken=taken.__contains__, separator="-")
        taken.add(name)
        named.append({**resource, "name": name})
    return named


def _field(field: Mapping[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {"name": field["id"], "type": "string"}
    for theirs, kind, more in _TYPES:
        if theirs.fullmatch(str(field.get("type", ""))):
            described |= {"type": kind, **more}
            break
    info = field.get("info") or {}
    for key, name in (("title", "label"), ("description", "notes")):
        if info.get(name):
            described[key] = str(info[name])
    return described
