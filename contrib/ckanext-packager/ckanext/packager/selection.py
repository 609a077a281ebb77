"""Which rows of a table a person looks at: filters and search, read from a view's address.  Pure: no CKAN."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Union
from urllib.parse import unquote

Words = Union[str, dict[str, str]]


class Criterion(NamedTuple):
    """One condition that rows meet, so that it can be shown in words and removed."""

    kind: str  # "filter", "search" (whole words) or "start" (beginnings of words)
    field: str | None  # None: any column
    values: tuple[str, ...]


class Selection(NamedTuple):
    """Filters by field, each a list of values of which one must match, and a search.

    The search is a text for all columns, or texts by column.  `partial`: the beginnings of words match, which is how
    the search boxes of datatables_view work.
    """

    filters: dict[str, list[Any]]
    words: Words = ""
    partial: bool = False

    def __bool__(self) -> bool:
        return bool(self.filters or self.words)

    def criteria(self) -> list[Criterion]:
        """The conditions, in the order in which `without` counts them."""
        found = [Criterion("filter", field, tuple(map(_shown, values))) for field, values in self.filters.items()]
        kind = "start" if self.partial else "search"
        if isinstance(self.words, str):
            return found + ([Criterion(kind, None, (self.words,))] if self.words else [])
        return found + [Criterion(kind, field, (text,)) for field, text in self.words.items()]

    def without(self, number: int) -> Selection:
        """The selection without that one of its criteria; unchanged if there is none of that number."""
        fields = list(self.filters)
        if 0 <= number < len(fields):
            left = {field: values for field, values in self.filters.items() if field != fields[number]}
            return self._replace(filters=left)
        number -= len(fields)
        if isinstance(self.words, dict):
            columns = list(self.words)
            if 0 <= number < len(columns):
                left_words = {field: text for field, text in self.words.items() if field != columns[number]}
                return self._replace(words=left_words or "")
        elif number == 0:
            return self._replace(words="")
        return self

    def query(self) -> dict[str, Any]:
        """The parameters of `datastore_search`, and of the packager, that select these rows."""
        query: dict[str, Any] = {"filters": self.filters} if self.filters else {}
        if self.words and not self.partial:
            query["q"] = self.words
        elif self.words:
            words = self.words
            query["q"] = _beginning(words) if isinstance(words, str) else {f: _beginning(t) for f, t in words.items()}
            query.update(plain=False, language="simple")
        return query

    def to_json(self) -> str:
        """As text, for a hidden field of a form."""
        return json.dumps({"filters": self.filters, "words": self.words, "partial": self.partial}, ensure_ascii=False)


def from_json(text: str) -> Selection:
    """What `to_json` wrote.  Raises ValueError if it is something else."""
    value = json.loads(text) if text else {}
    if not isinstance(value, dict):
        raise ValueError("expected an object")
    words = value.get("words") or ""
    if isinstance(words, dict):
        words = {str(field): str(words[field]) for field in words if words[field]} or ""
    return Selection(_filters(value.get("filters") or {}), words if words else "", value.get("partial") is True)


def from_view(arguments: Mapping[str, str], view: Mapping[str, Any] | None = None) -> Selection:
    """What the person sees, from the arguments of the page's address and the resource view's own settings.

    Args:
        arguments: `filters` and `q` of the address (as recline and CKAN's view filters write them), `search` and
            `columns` (what the page's script found in the boxes of datatables_view).
        view: the resource view, whose own filters always hold.
    """
    own = _filters((view or {}).get("filters") or {})
    filters = merged(own, _address_filters(arguments.get("filters", "")))
    columns = _columns(arguments.get("columns", ""))
    if columns:  # datatables_view passes over its general search while a column is searched
        return Selection(filters, columns, True)
    if arguments.get("search", "").strip():
        return Selection(filters, arguments["search"].strip(), True)
    if (view or {}).get("view_type") == "datatables_view":  # which does not read q
        return Selection(filters)
    return Selection(filters, arguments.get("q", "").strip())


def merged(view_filters: Mapping[str, list[Any]], asked: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """A view's filters and those of the address, together as datatables_view (CKAN 2.10 to 2.12) applies them."""
    filters = dict(view_filters)
    for field, values in asked.items():
        own = view_filters.get(field, [])
        filters[field] = values + [value for value in own if value not in values]
    return filters


def _address_filters(text: str) -> dict[str, list[Any]]:
    """`Country:Kenya|Country:Japan|Year:1901`, each part percent-encoded, as CKAN writes it; or a JSON object."""
    if text.lstrip().startswith("{"):
        try:
            return _filters(json.loads(text))
        except ValueError:
            return {}
    filters: dict[str, list[Any]] = {}
    for part in text.split("|"):
        field, colon, value = part.partition(":")
        if colon and field:
            values = filters.setdefault(unquote(field), [])
            if unquote(value) not in values:
                values.append(unquote(value))
    return filters


def _filters(value: Any) -> dict[str, list[Any]]:
    if not isinstance(value, dict):
        raise ValueError("filters: expected an object")
    return {str(field): values if isinstance(values, list) else [values] for field, values in value.items()}


def _columns(text: str) -> dict[str, str]:
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        return {}
    if not isinstance(value, dict):
        return {}
    return {str(field): str(term).strip() for field, term in value.items() if str(term).strip()}


def _beginning(text: str) -> str:
    """A term of PostgreSQL's full text search, made from what was typed as datatables_view makes it."""
    return re.sub(r"[^0-9a-zA-Z\-]+", "_", text) + ":*"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
