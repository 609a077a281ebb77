"""One page after the other, from where the answer says that the next one begins, or by plain offset."""

from typing import Any

from msgspec import UNSET

from ckanpackager.ckan.pages import Page
from ckanpackager.ckan.paging import Outcome, PageSize, Query, Request, was_last
from ckanpackager.ckan.responses import Result


class Offsets:
    """Plain offset paging, by what arrived: rows that are deleted meanwhile make others be missed."""

    def __init__(self, query: Query, size: PageSize, offset: int, limit: int | None) -> None:
        self._query = query
        self._size = size
        self._at = offset
        self._left = limit
        self._waiting = False
        self._ended = limit == 0

    def next(self) -> Request | None:
        if self._waiting or self._ended:
            return None
        self._waiting = True
        return Request(self._query, self._size.at_most(self._left), self._at)

    def accept(self, request: Request, result: Result, page: Page) -> Outcome:
        self._waiting = False
        self._at += page.received
        if self._left is not None:
            self._left -= page.rows
        self._ended = was_last(result, page) or self._left == 0
        return Outcome(page)


class Tokens:
    """Each answer has the token of the next page.

    ckanext-datasolr calls it a cursor, which begins as `*`; ckanext-versioned-datastore calls it `after`.
    """

    def __init__(self, query: Query, size: PageSize, limit: int | None, *, name: str, first: Any = None) -> None:
        self._query = query
        self._size = size
        self._left = limit
        self._name = name
        self._token = first
        self._waiting = False
        self._ended = limit == 0

    def next(self) -> Request | None:
        if self._waiting or self._ended:
            return None
        self._waiting = True
        token = {} if self._token is None else {self._name: self._token}
        return Request({**self._query, **token}, self._size.at_most(self._left))

    def accept(self, request: Request, result: Result, page: Page) -> Outcome:
        self._waiting = False
        token = result.next_cursor if self._name == "cursor" else result.after
        if self._left is not None:
            self._left -= page.rows
        self._ended = not page.received or token in (None, UNSET, self._token) or self._left == 0
        self._token = token
        return Outcome(page)
