"""Every row once: the ways to page through a search.

Keyset paging (CKAN 2.12 and later) names the last `_id` of a page to get the next: every page costs the database the
same, and rows that are added or deleted meanwhile shift nothing.  Offset paging is for all other servers and searches;
sorted by `_id`, it notices when deleted rows have shifted the others.
`fetch_page` sends a query and returns the result and its rows; nothing here knows HTTP.
"""

from collections.abc import Callable, Iterator
from typing import Any

from ckanpackager.ckan.background import ordered_map, prefetch
from ckanpackager.ckan.page_buffer import DEFLATED_PAGE_BYTES
from ckanpackager.ckan.responses import Page, Result
from ckanpackager.errors import TemporaryFailure

Query = dict[str, Any]
FetchPage = Callable[[Query], tuple[Result, Page]]

FIRST_PAGE = 2_000  # rows; what follows depends on how large and how slow they were
PARSED_PAGE_BYTES = 1_000_000  # of rows that become values, which take many times that in memory
MOST_SHIFTS = 20  # of one page
PAGE_SECONDS = 10.0  # CKAN sites cut requests off after 60


class PageSize:
    """How many rows to ask for: at most `most`, and at most what takes `max_bytes` and PAGE_SECONDS."""

    def __init__(self, most: int, max_bytes: int = DEFLATED_PAGE_BYTES) -> None:
        self.most = most
        self.max_bytes = max_bytes
        self.rows = min(most, FIRST_PAGE)

    def adapt(self, *, asked: int, granted: int | None, rows: int, size: int, seconds: float) -> None:
        """Take in what a page was like; a server that grants less than was asked has a cap (CKAN's rows_max)."""
        if granted is not None and 0 < granted < asked:
            self.most = min(self.most, granted)
        if rows:
            by_size = rows * self.max_bytes // size
            by_time = int(rows * PAGE_SECONDS / seconds) if seconds > 1 else self.most  # else it is mere overhead
            grown = max(self.rows, rows * 4)  # a page of a row or two tells little about the others
            self.rows = max(1, min(self.most, by_size, by_time, grown))


def by_offset(fetch_page: FetchPage, query: Query, size: PageSize, offset: int, limit: int | None) -> Iterator[Page]:
    """Offset paging, by what arrived: a server may grant less than was asked for."""
    left = limit
    while left is None or left > 0:
        result, page = fetch_page({**query, "limit": _least(size.rows, left), "offset": offset})
        if not page.rows:
            return
        yield page
        if _was_last(result, page):
            return
        offset += page.rows
        left = None if left is None else left - page.rows


def by_anchor(fetch_page: FetchPage, query: Query, size: PageSize, offset: int, limit: int | None) -> Iterator[Page]:
    """Offset paging over rows sorted by `_id`, their first field: each page begins with the last row of the one before.

    If it does not, rows that were passed are deleted and all others have moved up: where they are now is asked for.
    Raises TemporaryFailure if that happens again and again.
    """
    left, anchor, last, shifts = limit, None, None, 0
    while left is None or left > 0:
        overlap = 0 if anchor is None else 1
        wanted = min(_least(size.rows, left) + overlap, max(size.most, 2))
        result, page = fetch_page({**query, "limit": wanted, "offset": offset - overlap})
        rest = _following(page, anchor, last)
        if rest is None:
            offset, anchor = _behind(fetch_page, query, last or 0, offset)
            if (shifts := shifts + 1) > MOST_SHIFTS:
                raise TemporaryFailure("rows are deleted faster than pages can be fetched")
            continue
        if rest.rows:
            yield rest
            last, shifts = rest.first_and_last_id()[1], 0
        if _was_last(result, page) or not page.rows:
            return
        anchor = last if rest.rows else None  # a server that grants one row at a time: without anchor then
        offset += rest.rows
        left = None if left is None else left - rest.rows


def by_keyset(fetch_page: FetchPage, query: Query, size: PageSize, offset: int, limit: int | None) -> Iterator[Page]:
    """Keyset paging: each answer's `next_page` narrows the filters of the next query."""
    left = limit
    query = {**query, "include_next_page": True, **({"offset": offset} if offset else {})}
    while left is None or left > 0:
        result, page = fetch_page({**query, "limit": _least(size.rows, left)})
        if not page.rows:
            return
        yield page
        if result.next_page is None or _was_last(result, page):
            return
        query = {**query, "filters": _narrowed(query.get("filters"), result.next_page)}
        if _is_empty(query["filters"].get("_id")):
            return
        query.pop("offset", None)  # both would apply
        left = None if left is None else left - page.rows


def by_ranges(fetch_page: FetchPage, query: Query, size: PageSize, total: int, at_once: int) -> Iterator[Page]:
    """Ranges of `_id`, several at once, over a whole table; what was added meanwhile follows by keyset.

    It starts with one page, and goes on by keyset if there is little left or the ids have too many gaps.
    """
    result, page = fetch_page({**query, "include_next_page": True, "limit": size.rows})
    if page.rows:
        yield page
    if not page.rows or result.next_page is None or _was_last(result, page):
        return
    first, left = result.next_page["_id"]["gt"], total - page.rows
    last = _last_id(fetch_page, query) if left > 2 * size.rows else first
    if left >= (last - first) / 2 > 0:
        ranges = ({**query, "filters": {"_id": {"gt": low, "lte": high}}} for low, high in _ranges(first, last, size))
        for pages in ordered_map(lambda part: list(by_keyset(fetch_page, part, size, 0, None)), ranges, at_once):
            yield from pages
        first = last
    yield from prefetch(by_keyset(fetch_page, {**query, "filters": {"_id": {"gt": first}}}, size, 0, None))


def by_cursor(fetch_page: FetchPage, query: Query, size: PageSize, limit: int | None) -> Iterator[Page]:
    """The `solr` backend: a cursor that starts as `*` and comes with each answer."""
    yield from _by_token(fetch_page, query, size, limit, "cursor", "*", lambda result: result.next_cursor)


def by_search_after(fetch_page: FetchPage, query: Query, size: PageSize, limit: int | None) -> Iterator[Page]:
    """The `versioned-datastore` backend: `after` comes with each answer."""
    yield from _by_token(fetch_page, query, size, limit, "after", None, lambda result: result.after)


def _by_token(
    fetch_page: FetchPage,
    query: Query,
    size: PageSize,
    limit: int | None,
    name: str,
    token: Any,
    following: Callable[[Result], Any],
) -> Iterator[Page]:
    left = limit
    while left is None or left > 0:
        asked = {**query, "limit": _least(size.rows, left), **({} if token is None else {name: token})}
        result, page = fetch_page(asked)
        if not page.rows:
            return
        yield page
        token, before = following(result), token
        if token is None or token == before:
            return
        left = None if left is None else left - page.rows


def _was_last(result: Result, page: Page) -> bool:
    """Fewer rows than were granted; where the answer does not say what it granted, only an empty page is the end."""
    return result.limit is not None and page.rows < result.limit


def _least(rows: int, left: int | None) -> int:
    return rows if left is None else min(rows, left)


def _following(page: Page, anchor: int | None, last: int | None) -> Page | None:
    """What comes after the anchor; None if the page does not begin with it, or repeats what was passed."""
    if anchor is not None:
        if not page.rows or page.first_and_last_id()[0] != anchor:
            return None
        page = page.without_first()
    return None if page.rows and last is not None and page.first_and_last_id()[0] <= last else page


def _behind(fetch_page: FetchPage, query: Query, last: int, guess: int) -> tuple[int, int | None]:
    """The place of the first row behind the `_id` `last`, near `guess`, and the `_id` of the row before that place."""
    only_id = {**query, "fields": ["_id"], "limit": 1}

    def id_at(place: int) -> int | None:
        _, page = fetch_page({**only_id, "offset": place})
        return page.first_and_last_id()[0] if page.rows else None

    def passed(place: int) -> bool:
        id = id_at(place)
        return id is not None and id <= last

    low, high, step = 0, guess, 1
    while passed(high):  # what was committed late
        low, high, step = high + 1, high + step, step * 2
    step = 1
    while (probe := high - step) >= low and not passed(probe):
        high, step = probe, step * 2
    low = max(low, probe + 1)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if passed(middle) else (low, middle)
    while low > 0:
        anchor = id_at(low - 1)
        if anchor is not None and anchor <= last:  # else rows have been deleted again
            return low, anchor
        low -= 1
    return 0, None


def _narrowed(filters: Query | None, next_page: Query) -> Query:
    filters = filters or {}
    return {**filters, **{name: {**filters.get(name, {}), **limits} for name, limits in next_page.items()}}


def _is_empty(limits: Any) -> bool:
    """Whether a range of ids is at its end."""
    return isinstance(limits, dict) and "gt" in limits and "lte" in limits and bool(limits["gt"] >= limits["lte"])


def _ranges(first: int, last: int, size: PageSize) -> Iterator[tuple[int, int]]:
    while first < last:
        low, first = first, min(first + size.rows, last)  # the size may change before we are asked again
        yield low, first


def _last_id(fetch_page: FetchPage, query: Query) -> int:
    asked = {"resource_id": query["resource_id"], "fields": ["_id"], "sort": "_id desc", "limit": 1}
    _, page = fetch_page({**asked, "records_format": "lists", "include_total": False})
    return int(page.records[0][0]) if page.records else 0
