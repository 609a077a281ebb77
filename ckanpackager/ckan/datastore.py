"""A search of the datastore, from the first question (what do you offer?) to its last row."""

import re
import time
from collections.abc import Callable, Iterator

import msgspec
from msgspec import Struct

from ckanpackager.ckan import paging
from ckanpackager.ckan.background import prefetch
from ckanpackager.ckan.page_buffer import Buffering, PageBuffer, buffering
from ckanpackager.ckan.paging import PARSED_PAGE_BYTES, PageSize, Query
from ckanpackager.ckan.responses import Field, Page, ResponseParser, Result, StreamingCsvParser, error_message
from ckanpackager.errors import TemporaryFailure
from ckanpackager.http_client import Client, Refused

_OFFERS = ("records_format", "include_next_page", "include_total")  # CKAN knows them from 2.8, 2.12, 2.9 on
_BY_ID = re.compile(r'(_id|"_id")(\s+(asc|desc))?', re.IGNORECASE)
_CLAUSE = re.compile(r'\s*("?)(.*?)\1(\s+(asc|desc))?(\s+nulls\s+(first|last))?\s*', re.IGNORECASE)


class Search(Struct, frozen=True):
    """What a search is going to give: `total` is the number of rows, None where the server does not say."""

    fields: list[Field]
    total: int | None
    pages: Iterator[Page]


def search(
    client: Client,
    url: str,
    query: Query,
    *,
    records_format: str,
    as_raw: bool = False,
    deflated: Callable[[], PageBuffer] | None = None,
    offset: int = 0,
    limit: int | None = None,
    page_size: int = 20_000,
    page_requests: int = 2,
) -> Search:
    """Ask for the rows that `query` (parameters of `datastore_search`) finds, all or `limit` of them from `offset`.

    Args:
        records_format: What we would like the rows to come as; a server that does not know it sends objects.
        as_raw: Each record stays the JSON that the server wrote.
        deflated: Makes a buffer that compresses a page for the archive; used where pages pass through unread.
        page_size: Most rows of one page.
        page_requests: Most pages fetched at the same time.

    Raises PermanentFailure and TemporaryFailure, also while the pages are read.
    """
    offered, result, is_text = _probe(
        PageFetcher(client, url, PageSize(1)), {**query, "records_format": records_format}
    )
    way = _Way(offered, result, offset, limit, page_requests)
    kept = buffering(deflated, rows_are_read=way.reads_rows)
    size = PageSize(page_size, kept.page_bytes if is_text else PARSED_PAGE_BYTES)
    fetcher = PageFetcher(client, url, size, kept if is_text else None, as_raw and not is_text)
    total = None if result.total is None else max(0, result.total - offset)
    if limit is not None and total is not None:
        total = min(total, limit)
    pages = verify_row_count(way.pages(fetcher), total, fetcher, offered, offset)
    return Search(fields=result.fields, total=total, pages=pages)


class PageFetcher:
    """Fetches pages from one URL; the page size adapts to what they are like.

    `text` says how pages that come as text are kept; None: they do not come as text.
    """

    def __init__(
        self, client: Client, url: str, size: PageSize, text: Buffering | None = None, as_raw: bool = False
    ) -> None:
        self.url = url
        self.size = size
        self._client = client
        self._text = text
        self._as_raw = as_raw

    def fetch_page(self, query: Query) -> tuple[Result, Page]:
        """One page; asked for again, and for fewer rows, when that may help."""

        def once(tried: int) -> tuple[Result, Page]:
            began = time.monotonic()
            asked = max(query["limit"] >> tried, min(2, query["limit"]))
            parser = self._parser(query)
            size = 0

            def take(chunk: bytes) -> None:
                nonlocal size
                size += len(chunk)
                parser.feed(chunk)

            self._client.post(self.url, msgspec.json.encode({**query, "limit": asked}), take, explain=error_message)
            result, page = parser.finish(self.url)
            seconds = time.monotonic() - began
            self.size.adapt(asked=asked, granted=result.limit, rows=page.rows, size=size, seconds=seconds)
            return result, page

        return self._client.repeat(once)

    def _parser(self, query: Query) -> StreamingCsvParser | ResponseParser:
        if self._text and query.get("records_format", "objects") in ("csv", "tsv"):
            return StreamingCsvParser(self._text.make)
        return ResponseParser(as_raw=self._as_raw and query.get("records_format", "objects") == "objects")


def _probe(fetcher: PageFetcher, query: Query) -> tuple[Query, Result, bool]:
    """The query without what the server refuses, the fields and the total, and whether rows come as text."""
    offered = {**query, "include_next_page": True, "include_total": True}
    while True:
        try:
            result, page = fetcher.fetch_page({**offered, "limit": 0})
            break
        except Refused as refusal:
            unknown = [name for name in _OFFERS if name in offered and is_unknown_parameter(refusal, name)]
            if not unknown:
                raise
            offered = {name: value for name, value in offered.items() if name not in unknown}
    offered.pop("include_next_page", None)
    if "include_total" in offered:
        offered["include_total"] = False  # counting a filtered search again on every page would cost the server
    return offered, result, page.text is not None


def is_unknown_parameter(refusal: Refused, name: str) -> bool:
    """Whether a refusal says that the server does not know this parameter; it may name only the first of several."""
    said = str(refusal)
    return (
        refusal.status == 409 and "__extras" in said and (name in said or not any(other in said for other in _OFFERS))
    )


class _Way:
    """The way of paging that suits the server and the search."""

    def __init__(self, query: Query, offers: Result, offset: int, limit: int | None, at_once: int) -> None:
        self._offset, self._limit, self._at_once, self._total = offset, limit, at_once, offers.total
        self._backend = offers.backend if not offset and offers.backend in ("solr", "versioned-datastore") else None
        self._query = query if self._backend else _sorted(query, offers)
        self._keyset = offers.include_next_page and _keyset_possible(self._query)
        self.reads_rows = not self._backend and not self._keyset and _anchor_possible(self._query, offers)

    def pages(self, fetcher: PageFetcher) -> Iterator[Page]:
        fetch, query, size, offset, limit = fetcher.fetch_page, self._query, fetcher.size, self._offset, self._limit
        if self._backend == "solr":
            return prefetch(paging.by_cursor(fetch, query, size, limit))
        if self._backend:
            return prefetch(paging.by_search_after(fetch, query, size, limit))
        if self.reads_rows:
            return prefetch(paging.by_anchor(fetch, query, size, offset, limit))
        if not self._keyset:
            return prefetch(paging.by_offset(fetch, query, size, offset, limit))
        whole = limit is None and not offset and not query.get("filters") and not query.get("q")
        if whole and self._at_once > 1 and query["sort"] == "_id" and self._total is not None:
            return paging.by_ranges(fetch, query, size, self._total, self._at_once)
        return prefetch(paging.by_keyset(fetch, query, size, offset, limit))


def _sorted(query: Query, offers: Result) -> Query:
    """Sorted so that no two rows are equal in rank, or pages may repeat one and miss another."""
    sort = query.get("sort") or []
    clauses = sort if isinstance(sort, list) else [clause.strip() for clause in sort.split(",")]
    by = {found[2] for clause in clauses if (found := _CLAUSE.fullmatch(clause))}
    names = query.get("fields") or [field.id for field in offers.fields]
    if query.get("distinct"):  # which has no `_id`: all that it has makes a row one of its kind
        return {**query, "sort": [*clauses, *(name for name in names if name not in by)]}
    if "_id" in by or not ("fields" in query or "_id" in names):
        return query
    return {**query, "sort": [*clauses, "_id"] if clauses else "_id"}


def _keyset_possible(query: Query) -> bool:
    """Only by `_id` alone; a filter on `_id` can be narrowed if it is a range, but not if it is a list of values."""
    sort, filters = query.get("sort"), query.get("filters") or {}
    if isinstance(sort, list):
        sort = ", ".join(sort)
    by_id = isinstance(sort, str) and _BY_ID.fullmatch(sort.strip()) is not None
    narrowable = isinstance(filters, dict) and isinstance(filters.get("_id", {}), dict)
    return by_id and narrowable and not query.get("distinct")


def _anchor_possible(query: Query, offers: Result) -> bool:
    """Only by `_id` upwards, where each row begins with it."""
    first = offers.fields[0].id if offers.fields else ""
    return query.get("sort") == "_id" and first == "_id" and not query.get("distinct")


def verify_row_count(
    pages: Iterator[Page], total: int | None, fetcher: PageFetcher, query: Query, offset: int
) -> Iterator[Page]:
    """The pages; an end before the announced number of rows is an error, unless rows were deleted meanwhile."""
    rows = 0
    for page in pages:
        rows += page.rows
        yield page
    if total is not None and rows < total:
        counted = {"include_total": True} if "include_total" in query else {}
        again, _ = fetcher.fetch_page({**query, "limit": 0, **counted})
        if again.total is not None and rows < min(total, max(0, again.total - offset)):
            raise TemporaryFailure(f"{fetcher.url} announced {total} rows but sent {rows}")
