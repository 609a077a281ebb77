"""A request's query in words, for people: which rows, which fields, in which order.  Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

_RANGES = {"gt": "greater than", "gte": "at least", "lt": "less than", "lte": "at most", "eq": "", "ne": "not"}


def query_in_words(query: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was asked for: a heading and a sentence each; none if all rows and fields were."""
    words: list[tuple[str, str]] = []
    for condition in _conditions(query.get("filters")):
        words.append(("Filter", condition))
    if search := query.get("q"):
        words.append(("Search", _search(search, query)))
    if query.get("distinct"):
        words.append(("Duplicates", "rows that are equal appear once"))
    if fields := query.get("fields"):
        words.append(("Fields", ", ".join(map(str, fields))))
    if sort := query.get("sort"):
        words.append(("Order", sort if isinstance(sort, str) else ", ".join(map(str, sort))))
    if offset := query.get("offset"):
        words.append(("Offset", f"the first {offset:,} rows are left out"))
    if limit := query.get("limit"):
        words.append(("Limit", f"at most {limit:,} rows"))
    return words


def query_on_a_line(query: Mapping[str, Any]) -> str:
    """The same as one line; an empty text if all rows and fields were asked for."""
    return "; ".join(f"{heading}: {sentence}" for heading, sentence in query_in_words(query))


def _conditions(filters: Any) -> list[str]:
    """What each filter wants; all of them hold at once."""
    if isinstance(filters, list):
        return [condition for each in filters for condition in _conditions(each)]
    if not isinstance(filters, Mapping):
        return []
    return [f"{name} is {_wanted(value)}" for name, value in filters.items()]


def _wanted(value: Any) -> str:
    if isinstance(value, list):
        return " or ".join(map(_wanted, value)) or "nothing"
    if isinstance(value, Mapping):
        return " and ".join(f"{_RANGES.get(name, name)} {_wanted(limit)}".strip() for name, limit in value.items())
    return msgspec.json.encode(value).decode()


def _search(search: Any, query: Mapping[str, Any]) -> str:
    if isinstance(search, Mapping):
        words = " and ".join(f"{name} has {_wanted(value)}" for name, value in search.items())
    else:
        words = _wanted(search)
    if query.get("plain") is False:
        words += ", as a full-text query of PostgreSQL's"
    return words + (f", in {query['language']}" if query.get("language") else "")
