"""A datastore table in memory: which of its rows a search keeps, and in which order, as PostgreSQL has it."""

import operator
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from operator import itemgetter
from typing import Any, Final, Literal, NamedTuple

from msgspec import Struct

Row = list[Any]

NUMBERS = frozenset({"int", "int2", "int4", "int8", "numeric", "float4", "float8", "float"})
DOCUMENTS = frozenset({"json", "jsonb"})


class _JsonNull:
    """The type of the one value `JSON_NULL`."""


JSON_NULL: Final = _JsonNull()
"""JSON's own null inside a json column, which is a value; None is SQL's NULL, which is none."""


class InvalidRequest(Exception):
    """What CKAN calls a Validation Error: its texts by the parameter they are about."""

    def __init__(self, errors: dict[str, Any]) -> None:
        super().__init__(errors)
        self.errors = errors


class Resource(Struct):
    """A resource and its table; `rows` may be changed between two requests.

    A row is a list of values in the order of `fields`, `_id` first, and rows stand in ascending order of `_id`.
    A field is CKAN's `{"id": …, "type": …}`, with `info` (label, notes) where the data dictionary has some.
    A `private` resource asks for the key.  `backend` names what answers in place of PostgreSQL.
    """

    fields: list[dict[str, Any]]
    rows: list[Row]
    private: bool = False
    backend: Literal["solr", "versioned-datastore"] | None = None
    name: str = "Specimens"

    def types(self) -> dict[str, str]:
        """The type of every field, in the table's order."""
        return {field["id"]: field["type"] for field in self.fields}

    def place(self, field: str) -> int:
        """Where the field stands in a row."""
        return list(self.types()).index(field)


class Condition(NamedTuple):
    """One filter on one field."""

    field: str
    op: str
    value: Any


class Order(NamedTuple):
    """One field to sort by."""

    field: str
    descending: bool = False
    nulls_first: bool = False


BY_ID = [Order("_id")]

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
OPERATORS = frozenset({"in", *_COMPARE})


def matching(resource: Resource, conditions: Iterable[Condition], q: str | dict[str, str] | None) -> list[Row]:
    """The rows that meet all conditions and hold what `q` looks for: anywhere, or field by field."""
    by_id: list[Condition] = []
    others: list[Condition] = []
    for condition in conditions:
        is_range = condition.field == "_id" and condition.op not in ("eq", "in") and condition.value is not None
        (by_id if is_range else others).append(condition)
    rows = _within(resource.rows, by_id)
    tests = [_test(resource, condition) for condition in others] + _searches(resource, q)
    return [row for row in rows if all(test(row) for test in tests)] if tests else rows


def ordered(resource: Resource, rows: list[Row], order: list[Order]) -> list[Row]:
    """The rows in this order; those that it leaves equal keep theirs."""
    if order == BY_ID:
        return rows  # as they stand; sorting them again on every page would be what takes the time
    for by in reversed(order):
        rows = _ordered_by(resource, rows, by)
    return rows


def _ordered_by(resource: Resource, rows: list[Row], by: Order) -> list[Row]:
    place, comparable = resource.place(by.field), _comparable(resource.types()[by.field])
    nulls = [row for row in rows if row[place] is None]
    values = [row for row in rows if row[place] is not None]
    values.sort(key=lambda row: comparable(row[place]), reverse=by.descending)
    return nulls + values if by.nulls_first else values + nulls


def _within(rows: list[Row], ranges: list[Condition]) -> list[Row]:
    """The slice of rows within these ranges of `_id`, found as an index finds it: keyset pages stay fast."""
    low, high, key = 0, len(rows), itemgetter(0)
    for condition in ranges:
        bound = _asked("int", condition.value)
        before = bisect_left(rows, bound, key=key)
        after = bisect_right(rows, bound, key=key)
        if condition.op.startswith("g"):
            low = max(low, after if condition.op == "gt" else before)
        else:
            high = min(high, before if condition.op == "lt" else after)
    return rows[low:high]


def _test(resource: Resource, condition: Condition) -> Callable[[Row], bool]:
    place, kind = resource.place(condition.field), resource.types()[condition.field]
    comparable = _comparable(kind)
    if condition.op == "in":
        wanted = {_asked(kind, value) for value in condition.value if value is not None}
        return lambda row: row[place] is not None and comparable(row[place]) in wanted
    if condition.value is None:
        return lambda row: False  # nothing equals NULL, not even NULL
    bound, compare = _asked(kind, condition.value), _COMPARE[condition.op]
    return lambda row: row[place] is not None and compare(comparable(row[place]), bound)


def _searches(resource: Resource, q: str | dict[str, str] | None) -> list[Callable[[Row], bool]]:
    """A plain search for a part of the text: enough to see whether `q` arrived."""
    if not q:
        return []
    if isinstance(q, dict):
        return [_holds([resource.place(field)], text) for field, text in q.items()]
    return [_holds([place for place, kind in enumerate(resource.types().values()) if kind == "text"], q)]


def _holds(places: list[int], text: str) -> Callable[[Row], bool]:
    wanted = text.casefold()
    return lambda row: any(row[place] is not None and wanted in str(row[place]).casefold() for place in places)


def _asked(kind: str, value: Any) -> Any:
    """A value of a request, ready to be compared; refused where PostgreSQL would not take it for this type."""
    try:
        return _comparable(kind)(value)
    except (ValueError, TypeError, ArithmeticError) as error:
        about = f"invalid input syntax for type {kind}: {value!r}"
        raise InvalidRequest({"query": ["Invalid query"], "info": {"orig": [about]}}) from error


def _comparable(kind: str) -> Callable[[Any], Any]:
    """What makes values of this type compare as the database compares them, however they are written."""
    if kind in DOCUMENTS:
        raise InvalidRequest({"query": ["Invalid query"], "info": {"orig": [f"no operator for type {kind}"]}})
    if kind.startswith("int"):
        return int
    if kind in NUMBERS:
        return lambda value: Decimal(str(value))
    if kind == "bool":
        return _truth
    return timestamp_text if kind == "timestamp" else str


def _truth(value: Any) -> bool:
    word = str(value).lower()
    if word in ("true", "t", "yes", "y", "on", "1"):
        return True
    if word in ("false", "f", "no", "n", "off", "0"):
        return False
    raise ValueError(value)


def timestamp_text(value: Any) -> str:
    """A moment as ISO text, whether it is kept as text or as a datetime."""
    return value.isoformat() if isinstance(value, datetime) else str(value).replace(" ", "T")
