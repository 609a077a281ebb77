"""datapackage.json: what an archive holds, for machines, as Frictionless Data describes it.  Pure.

Data Package and Table Schema, version 1 (https://specs.frictionlessdata.io): what tools in use today read.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ckanpackager import names
from ckanpackager.metadata.contents import Contents, OtherFile, TableFile
from ckanpackager.metadata.dataset import Dataset, Licence
from ckanpackager.metadata.query import query_in_words

STEM, SUFFIX = "datapackage", ".json"
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


def datapackage(contents: Contents) -> bytes:
    """The content of datapackage.json."""
    described: dict[str, Any] = {"profile": "data-package", "name": names.slug(contents.name)}
    described["title"] = contents.title
    if contents.dataset:
        described |= _described(contents.dataset)
    if contents.citation:
        described["citation"] = contents.citation
    described["created"] = f"{contents.fetched:%Y-%m-%dT%H:%M:%SZ}"
    described["sources"] = [
        {"title": contents.title, "path": path} for path in contents.sources if _URL.fullmatch(path)
    ]
    described["resources"] = _uniquely_named(_resource(file, contents) for file in contents.files)
    if contents.missing:
        described["missing"] = [
            {"name": each.id, "title": each.title, "error": each.error} for each in contents.missing
        ]
    return msgspec.json.format(msgspec.json.encode(described), indent=2) + b"\n"


def _described(dataset: Dataset) -> dict[str, Any]:
    """What the package says of its dataset, as far as it is known."""
    contributors: list[dict[str, str]] = [
        {"title": person.name, "role": person.role, **({"email": person.email} if person.email else {})}
        for person in dataset.people
    ]
    if dataset.publisher:
        contributors.append({"title": dataset.publisher, "role": "publisher"})
    licence = _licence(dataset.licence)
    known = {
        "description": dataset.description,
        "version": dataset.version,
        "homepage": dataset.homepage or dataset.page,
        "licenses": [licence] if licence else [],
        "contributors": contributors,
        "keywords": list(dataset.keywords),
    }
    return {key: value for key, value in known.items() if value}


def _licence(licence: Licence) -> dict[str, str]:
    """The licence, if CKAN names one in a way that the specification allows."""
    known = {"name": licence.id} if _LICENCE.fullmatch(licence.id) and licence.id != "notspecified" else {}
    known |= {"path": licence.url} if licence.url else {}
    return known | {"title": licence.title} if known and licence.title else known


def _resource(file: TableFile | OtherFile, contents: Contents) -> dict[str, Any]:
    described: dict[str, Any] = {"name": names.slug(file.path), "title": file.title, "path": file.path}
    if isinstance(file, OtherFile):
        return described | {"profile": "data-resource", "bytes": file.size}
    described |= {"profile": "tabular-data-resource", "format": file.format.name, "mediatype": file.format.media_type}
    described |= {"encoding": "utf-8"}
    if file.format.dialect:
        described["dialect"] = file.format.dialect
    described |= {"bytes": file.size, "rows": file.rows}
    if contents.query and (words := query_in_words(contents.query)):
        described["query"] = {**contents.query, "description": "; ".join(f"{label}: {text}" for label, text in words)}
    return described | {"schema": {"fields": [_field(field) for field in file.fields], "missingValues": [""]}}


def _uniquely_named(resources: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The resources, whose names have to differ; those of files do, their slugs may not."""
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
