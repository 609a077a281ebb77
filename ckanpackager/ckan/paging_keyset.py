"""Keyset paging, for CKAN 2.12 and later: filters on ranges of `_id`.

Every page costs the database the same, and rows that are added or deleted meanwhile shift nothing.
"""

from itertools import pairwise
from typing import Any

from ckanpackager.ckan.pages import Page, id_of
from ckanpackager.ckan.paging import Outcome, PageSize, Query, Request, Turns, was_last
from ckanpackager.ckan.responses import Result
from ckanpackager.ckan.row_reading import Reading


class Keyset:
    """One page after the other: each answer's `next_page` narrows the filters of the next query."""

    def __init__(self, query: Query, size: PageSize, offset: int, limit: int | None) -> None:
        self._query = {**query, "include_next_page": True}
        self._turns = Turns(size, limit)
        self._offset = offset

    def next(self) -> Request | None:
        rows = self._turns.begin()
        return None if rows is None else Request(self._query, rows, self._offset)

    def accept(self, request: Request, result: Result, page: Page) -> Outcome:
        self._offset = 0  # an offset and a key would both apply
        last = was_last(result, page) or result.next_page is None
        if result.next_page is not None:
            filters = _narrowed(self._query.get("filters"), result.next_page)
            self._query = {**self._query, "filters": filters}
            last = last or _is_empty(filters.get("_id"))
        self._turns.end(page, last=last)
        return Outcome(page)


class Ranges:
    """Ranges of `_id` over a whole table, which can be asked for at the same time; then what was added meanwhile.

    Where the ids have more gaps than rows, the table is read by keyset instead.
    """

    def __init__(self, query: Query, size: PageSize, total: int) -> None:
        self._query = query
        self._size = size
        self._total = total
        self._edges: list[int] = []  # the first and the last id
        self._last = 0  # of the ranges that were asked for
        self._under_way = 0
        self._begun = False
        self._keyset: Keyset | None = None

    def next(self) -> Request | None:
        if self._keyset:
            return self._keyset.next() if not self._under_way else None
        if len(self._edges) < 2:
            if self._under_way:
                return None
            self._under_way += 1
            sort = "_id desc" if self._edges else "_id"
            return Request({**self._query, "fields": ["_id"], "sort": sort}, 1, reading=Reading(head=1), place="edge")
        if self._under_way and not self._begun:
            return None  # the first range tells how large they may be
        if self._last >= self._edges[1]:
            self._go_on_by_keyset()
            return self.next()
        low, self._last = self._last, min(self._last + self._size.rows, self._edges[1])
        return self._range(low, self._last)

    def _range(self, low: int, high: int) -> Request:
        self._under_way += 1
        query = {**self._query, "filters": {"_id": {"gt": low, "lte": high}}}
        return Request(query, high - low, place=(low, high))

    def _go_on_by_keyset(self) -> None:
        query = {**self._query, "filters": {"_id": {"gt": self._last}}} if self._last else self._query
        self._keyset = Keyset(query, self._size, 0, None)

    def accept(self, request: Request, result: Result, page: Page) -> Outcome:
        if request.place is None and self._keyset:
            return self._keyset.accept(request, result, page)
        self._under_way -= 1
        if request.place == "edge":
            self._edges += [id_of(row) for row in page.head] or [0, 0]
            if len(self._edges) == 2:
                self._last = self._edges[0] - 1
                if self._total < (self._edges[1] - self._last) / 2:
                    self._last = 0
                    self._go_on_by_keyset()
            return Outcome()
        self._begun = True
        low, high = request.place
        granted = result.limit or request.rows
        if page.received >= granted and granted < high - low:
            # There may be more rows in it than were granted: ask for smaller ranges in its place.
            edges = [*range(low, high, granted), high]
            return Outcome(again=[self._range(*pair) for pair in pairwise(edges)])
        return Outcome(page)


def _narrowed(filters: Query | None, next_page: Query) -> Query:
    filters = filters or {}
    return {**filters, **{name: {**filters.get(name, {}), **limits} for name, limits in next_page.items()}}


def _is_empty(limits: Any) -> bool:
    """Whether a range of ids is at its end."""
    return isinstance(limits, dict) and "gt" in limits and "lte" in limits and bool(limits["gt"] >= limits["lte"])
