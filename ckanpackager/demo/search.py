"""CKAN's `datastore_search` over a table in memory: the answer of a real one, down to the order of its keys."""

import json
import re
from collections.abc import Iterator
from typing import Any

from ckanpackager.demo.parameters import Query
from ckanpackager.demo.render import Column, records
from ckanpackager.demo.table import BY_ID, OPERATORS, Condition, InvalidRequest, Order, Resource, Row, matching, ordered
from ckanpackager.demo.versions import Version, has

_PARAMETER = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")  # sqlalchemy.text's
RANK = 0.0573  # what a search by text adds to every row; a real CKAN measures it


class ServerError(Exception):
    """What CKAN fails at: it answers 500, with a page."""


def search(resource: Resource, query: Query, version: Version) -> str:
    """The JSON text of the answer's `result`; raises InvalidRequest or ServerError."""
    known, ranks = query.known, _ranks(query.known.get("q"))
    types = resource.types() | dict.fromkeys(ranks, "float")
    operation = _operation(known.get("filters", {}))
    conditions = list(_conditions(operation))
    form = known.get("records_format", "objects")
    order = _check(resource, types, query, conditions, version)
    rows = _found(resource, known, conditions, form, order, version)
    if ranks:
        rows = [[*row, *[RANK] * len(ranks)] for row in rows]
    names = known.get("fields") or list(types)
    unnamed = ranks if has(version, "names all fields and adds unnamed ranks") else []
    names = [name for name in names if name not in unnamed] + unnamed
    columns = [Column(name, types[name], list(types).index(name)) for name in names]
    if resource.backend:
        return _other_backend(resource, query, columns, rows, version)
    some = _distinct(rows, columns) if known.get("distinct") else rows
    page = _page(rows, some, columns, known, form, version)
    head = dict(sorted(known.items())) | ({"filterops": operation} if operation and has(version, "ranges") else {})
    tail: dict[str, Any] = {}
    (head if "fields" in known else tail)["fields"] = _described(resource, types, known, version)
    if known.get("include_total", True):
        tail["total"] = len(some)
    # A real one takes the page's rows first and makes them distinct last: that page's last `_id` is that of all.
    tail |= _next_page(known, order, rows if known.get("distinct") else page)
    return _joined(head, records(columns, page, form, has(version, "milliseconds")), tail)


def _found(
    resource: Resource,
    known: dict[str, Any],
    conditions: list[Condition],
    form: str,
    order: list[Order],
    version: Version,
) -> list[Row]:
    """The rows that are looked for, in their order."""
    if has(version, "takes a word after a colon for a parameter") and _PARAMETER.search(str(known.get("q") or "")):
        raise ServerError
    if has(version, "refuses statements with #") and any(
        "#" in name for name in known.get("fields") or resource.types()
    ):
        raise InvalidRequest({"query": ["Query is not a single statement."]})
    if (
        known.get("distinct")
        and known.get("sort")
        and form == "lists"
        and has(version, "refuses sorted distinct lists")
    ):
        raise InvalidRequest({"query": ["Invalid query"]})
    if known.get("q") and not known.get("fields") and form == "lists" and has(version, "refuses lists with ranks"):
        raise InvalidRequest({"query": ["Invalid query"], "info": {"orig": ['syntax error at or near "||"']}})
    try:
        return ordered(resource, matching(resource, conditions, known.get("q")), order or BY_ID)
    except InvalidRequest as error:
        if form in ("csv", "tsv") and has(version, "answers 500 to a wrong value in text"):
            raise ServerError from error
        raise


def _page(
    rows: list[Row], some: list[Row], columns: list[Column], known: dict[str, Any], form: str, version: Version
) -> list[Row]:
    """The rows of the page, with what this version does to them."""
    here = slice(known.get("offset", 0), known.get("offset", 0) + known["limit"])
    kind = "lists take" if form == "lists" else "text and objects take"
    if known.get("distinct") and has(version, f"{kind} a page first and make it distinct then"):
        page = _distinct(rows[here], columns)
    else:
        page = some[here]
    if form == "lists" and has(version, "lists without the rows that have a NULL"):
        page = [row for row in page if all(row[column.place] is not None for column in columns)]
    return page


def _described(
    resource: Resource, types: dict[str, str], known: dict[str, Any], version: Version
) -> list[dict[str, Any]]:
    described = {field["id"]: field for field in resource.fields}
    if has(version, "names all fields and adds unnamed ranks"):
        return list(described.values())
    return [described.get(name, {"id": name, "type": types[name]}) for name in known.get("fields", types)]


def _other_backend(resource: Resource, query: Query, columns: list[Column], rows: list[Row], version: Version) -> str:
    """As ckanext-datasolr and ckanext-versioned-datastore answer: always objects, paged by a mark of their own."""
    is_solr = resource.backend == "solr"
    mark = query.others.get("cursor" if is_solr else "after")
    start = query.known.get("offset", 0) if mark is None else _resume(rows, mark)
    page = rows[start:][: query.known["limit"]]
    tail: dict[str, Any] = {"fields": resource.fields, "total": len(rows), "_backend": resource.backend}
    if not is_solr:
        tail["after"] = [page[-1][0]] if page else None
    elif mark is not None:
        tail["next_cursor"] = f"AoE{page[-1][0]}" if page else mark
    return _joined({}, records(columns, page, "objects", has(version, "milliseconds")), tail)


def _resume(rows: list[Row], mark: Any) -> int:
    """Where the rows after the marked one begin; where that one is gone, where those with a greater `_id` do."""
    if mark == "*":
        return 0
    try:
        last = int(str(mark).strip("AoE[]"))
    except ValueError:
        raise InvalidRequest({"cursor": [f'invalid value "{mark}"']}) from None
    ids = [row[0] for row in rows]
    return ids.index(last) + 1 if last in ids else sum(each <= last for each in ids)


def _joined(head: dict[str, Any], page: str, tail: dict[str, Any]) -> str:
    """One JSON object of both, with the page, which is JSON already, between them."""
    parts = [json.dumps(head)[1:-1], f'"records": {page}', json.dumps(tail)[1:-1]]
    return f"{{{', '.join(part for part in parts if part)}}}"


def _next_page(known: dict[str, Any], order: list[Order], rows: list[Row]) -> dict[str, Any]:
    """The filter for the page after these rows: only where `_id` alone orders them."""
    if not known.get("include_next_page") or not rows or [by.field for by in order] != ["_id"]:
        return {}
    return {"next_page": {"_id": {"lt" if order[0].descending else "gt": rows[-1][0]}}}


def _distinct(rows: list[Row], columns: list[Column]) -> list[Row]:
    firsts: dict[str, Row] = {}
    for row in rows:
        firsts.setdefault(repr([row[column.place] for column in columns]), row)
    return list(firsts.values())


def _ranks(q: str | dict[str, str] | None) -> list[str]:
    """The columns that a search by text adds."""
    if isinstance(q, dict):
        return [f"rank {field}" for field in q]
    return ["rank"] if q else []


# --- what is refused once the resource is known


def _check(
    resource: Resource, types: dict[str, str], query: Query, conditions: list[Condition], version: Version
) -> list[Order]:
    """Refuses what the table or the version does not offer, in CKAN's order; the order of the rows."""
    known = query.known
    if has(version, "ranges"):
        _check_filters(conditions, types)
    if query.others and not resource.backend:
        raise _invalid("__extras", next(iter(query.others)))
    for name in known.get("fields", []):
        if name not in types:
            raise _invalid("fields", name)
    if not has(version, "ranges"):
        _check_plain_filters(conditions, types)
    if known.get("offset", 0) < 0:
        raise _invalid("offset", known["offset"])
    q = known.get("q")
    for field in q if isinstance(q, dict) else []:
        if field not in types:
            raise _invalid("q", field)
    return _order(known, resource.types())


def _order(known: dict[str, Any], types: dict[str, str]) -> list[Order]:
    sort = known.get("sort") or []
    clauses = [clause.strip() for clause in sort.split(",")] if isinstance(sort, str) else sort
    order = []
    for clause in clauses:
        found = re.fullmatch(r"(.+?)(?: +(asc|desc))?(?: nulls +(first|last) *)?", clause, re.IGNORECASE)
        field = found[1] if found else ""
        field = field[1:-1] if field[:1] == field[-1:] == '"' else field
        if not found or field not in types:
            raise _invalid("sort", clause)
        descending = (found[2] or "").lower() == "desc"
        # PostgreSQL takes NULL for the greatest of all.
        order.append(Order(field, descending, found[3].lower() == "first" if found[3] else descending))
        if known.get("distinct") and known.get("fields") and field not in known["fields"]:
            raise InvalidRequest({"query": ["Invalid query"]})
    return order or ([] if known.get("q") or known.get("distinct") else BY_ID)


def _check_filters(conditions: list[Condition], types: dict[str, str]) -> None:
    unknown = [f"Unknown field: {condition.field}" for condition in conditions if condition.field not in types]
    if unknown:
        raise InvalidRequest({"filters": unknown})
    for field, op, value in conditions:
        if op not in OPERATORS:
            about = f"FilterOp(field={field!r}, op={op!r}, value={value!r})"
            raise InvalidRequest({"filters": [f"Unknown filter operation: {about}"]})


def _check_plain_filters(conditions: list[Condition], types: dict[str, str]) -> None:
    """Before there were ranges, a filter was a value or a list of values."""
    for condition in conditions:
        if condition.field not in types or condition.op not in ("eq", "in"):
            raise _invalid("filters", condition.field)


def _invalid(parameter: str, value: object) -> InvalidRequest:
    return InvalidRequest({parameter: [f'invalid value "{value}"']})


# --- filters


def _operation(filters: Any) -> dict[str, Any] | None:
    """The filters as the tree that CKAN repeats as `filterops`."""
    if not isinstance(filters, dict):
        raise InvalidRequest({"filters": ["Filters must be defined as a dict or a list of dicts"]})
    return _all_of([_field_operation(field, value) for field, value in filters.items()])


def _field_operation(field: str, value: Any) -> dict[str, Any] | None:
    if isinstance(value, dict):
        return _all_of([{"op": op, "field": field, "value": bound} for op, bound in value.items()])
    return {"op": "in" if isinstance(value, list) else "eq", "field": field, "value": value}


def _all_of(operations: list[dict[str, Any] | None]) -> dict[str, Any] | None:
    some = [operation for operation in operations if operation]
    return {"op": "$and", "field": None, "value": some} if len(some) > 1 else some[0] if some else None


def _conditions(operation: dict[str, Any] | None) -> Iterator[Condition]:
    if operation and operation["op"] == "$and" and operation["field"] is None:
        for part in operation["value"]:
            yield from _conditions(part)
    elif operation:
        yield Condition(operation["field"], operation["op"], operation["value"])
