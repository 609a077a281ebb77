"""One page after the other, from where the answer says that the next one begins, or by plain offset."""

from typing import Any

from msgspec import UNSET

from ckanpackager.ckan.pages import Page
from ckanpackager.ckan.paging import Outcome, PageSize, Query, Request, Turns, was_last
from ckanpackager.ckan.responses import Result


class Offsets:
    """Plain offset paging, by what arrived: rows that are deleted meanwhile make others be missed."""

    def __init__(self, query: Query, size: PageSize, offset: int, limit: int | None) -> None:
        self._query = query
        self._turns = Turns(size, limit)
        self._at = offset

    def next(self) -> Request | None:
        rows = self._turns.begin()
        return None if rows is None else Request(self._query, rows, self._at)

    def accept(self, request: Request, result: Result, page: Page) -> Outcome:
        self._at += page.received
        self._turns.end(page, last=was_last(result, page))
        return Outcome(page)


class Tokens:
    """Each answer has the token of the next page.

    ckanext-datasolr calls it a cursor, which begins as `*`; ckanext-versioned-datastore calls it `after`.
    """

    def __init__(self, query: Query, size: PageSize, limit: int | None, *, name: str, first: Any = None) -> None:
        self._query = query
        self._turns = Turns(size, limit)
        self._name = name
        self._token = first

    def next(self) -> Request | None:
        rows = self._turns.begin()
        token = {} if self._token is None else {self._name: self._token}
        return None if rows is None else Request({**self._query, **token}, rows)

    def accept(self, request: Request, result: Result, page: Page) -> Outcome:
        token = result.next_cursor if self._name == "cursor" else result.after
        self._turns.end(page, last=not page.received or token in (None, UNSET, self._token))
        self._token = token
        return Outcome(page)
