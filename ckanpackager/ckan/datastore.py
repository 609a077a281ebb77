"""A search of the datastore, from the first question (what do you offer?) to its last row."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin

import msgspec
from msgspec import Struct

from ckanpackager.ckan import paging
from ckanpackager.ckan.csv_text import Blocks, Text
from ckanpackager.ckan.paging import KEPT_PAGE_BYTES, PAGE_BYTES, PARSED_PAGE_BYTES, PageSize, Query
from ckanpackager.ckan.responses import Field, Page, ResponseParser, Result, StreamingCsvParser, error_message
from ckanpackager.errors import PermanentFailure, TemporaryFailure
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
    text: Callable[[], Text] = Blocks,
    offset: int = 0,
    limit: int | None = None,
    page_size: int = 20_000,
    page_requests: int = 2,
) -> Search:
    """Ask for the rows that `query` (parameters of `datastore_search`) finds, all or `limit` of them from `offset`.

    `records_format` is what we would like the rows to come as; a server that does not know it sends objects.  With
    `as_raw`, each record stays the JSON that the server wrote.  The text of each page goes into a `text()`, unless
    the way of paging has to look into it.  At most `page_size` rows come at a time, at most `page_requests` pages at
    once.  Raises PermanentFailure and TemporaryFailure, also while the pages are walked through.
    """
    talk = _Talk(client, url, PageSize(page_size, PARSED_PAGE_BYTES), as_raw, text)
    offered, result = _probe(talk, {**query, "records_format": records_format})
    if talk.text_format:
        talk.size.size = KEPT_PAGE_BYTES if text is Blocks else PAGE_BYTES
    total = None if result.total is None else max(0, result.total - offset)
    if limit is not None and total is not None:
        total = min(total, limit)
    pages = _walk(talk, offered, result, offset, limit, page_requests)
    return Search(fields=result.fields, total=total, pages=_complete(pages, total, talk, offered, offset))


class _Talk:
    """Questions to one URL, from whose answers the page size learns."""

    def __init__(
        self, client: Client, url: str, size: PageSize, as_raw: bool = False, text: Callable[[], Text] = Blocks
    ) -> None:
        self.client = client
        self.url = url
        self.size = size
        self.as_raw = as_raw
        self.text = text
        self.text_format = ""  # the records_format that comes as one text: the first answer tells

    def ask(self, query: Query) -> tuple[Result, Page]:
        """One page; asked for again, and for less, when that may help."""

        def once(tried: int) -> tuple[Result, Page]:
            began = time.monotonic()
            asked = max(query["limit"] >> tried, min(2, query["limit"]))
            reader = self._reader(query.get("records_format", "objects"))
            size = 0

            def take(chunk: bytes) -> None:
                nonlocal size
                size += len(chunk)
                reader.feed(chunk)

            self.client.post(self.url, msgspec.json.encode({**query, "limit": asked}), take, explain=error_message)
            result, page = reader.finish(self.url)
            seconds = time.monotonic() - began
            self.size.learn(asked=asked, granted=result.limit, rows=page.rows, size=size, seconds=seconds)
            return result, page

        return self.client.repeat(once)

    def _reader(self, records_format: str) -> StreamingCsvParser | ResponseParser:
        if records_format == self.text_format:
            return StreamingCsvParser(self.text)
        return ResponseParser(as_raw=self.as_raw and records_format == "objects")


def show(client: Client, api_url: str, action: str, id: str) -> dict[str, Any]:
    """The result of a `..._show` action of the site that `api_url` is an action of.

    Raises PermanentFailure and TemporaryFailure.
    """
    url = urljoin(api_url, action)

    def once(tried: int) -> dict[str, Any]:
        body: list[bytes] = []
        client.post(url, msgspec.json.encode({"id": id}), body.append, explain=error_message)
        try:
            answer = msgspec.json.decode(b"".join(body), type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise TemporaryFailure(f"{url} does not answer as CKAN's API does") from None
        if not answer.get("success") or not isinstance(answer.get("result"), dict):
            raise PermanentFailure(f"{url} refused: {error_message(b''.join(body))}")
        result: dict[str, Any] = answer["result"]
        return result

    return client.repeat(once)


def _probe(talk: _Talk, query: Query) -> tuple[Query, Result]:
    """The fields, the total, and which of our wishes the server knows: the query without those it refuses."""
    offered = {**query, "include_next_page": True, "include_total": True}
    while True:
        try:
            result, page = talk.ask({**offered, "limit": 0})
            break
        except Refused as refusal:
            unknown = [name for name in _OFFERS if name in offered and refusal.status == 409 and _extra(refusal, name)]
            if not unknown:
                raise
            offered = {name: value for name, value in offered.items() if name not in unknown}
    if page.text is not None:
        talk.text_format = offered["records_format"]
    offered.pop("include_next_page", None)
    if "include_total" in offered:
        offered["include_total"] = False  # counting a filtered search again on every page would cost the server
    return offered, result


def _extra(refusal: Refused, name: str) -> bool:
    said = str(refusal)
    return "__extras" in said and (name in said or not any(other in said for other in _OFFERS))


def _walk(talk: _Talk, query: Query, offers: Result, offset: int, limit: int | None, at_once: int) -> Iterator[Page]:
    """The way through the rows that suits the server and the search."""
    ask, size = talk.ask, talk.size
    if offers.backend == "solr" and not offset:
        return paging.prefetch(paging.by_cursor(ask, query, size, limit))
    if offers.backend == "versioned-datastore" and not offset:
        return paging.prefetch(paging.by_search_after(ask, query, size, limit))
    query = _sorted(query, offers)
    if not (offers.include_next_page and _keyset_possible(query)):
        if not _anchor_possible(query, offers):
            return paging.prefetch(paging.by_offset(ask, query, size, offset, limit))
        talk.text, size.size = Blocks, min(size.size, KEPT_PAGE_BYTES)  # whose rows can be looked at
        return paging.prefetch(paging.by_anchor(ask, query, size, offset, limit))
    whole = limit is None and not offset and not query.get("filters") and not query.get("q")
    if whole and at_once > 1 and query["sort"] == "_id" and offers.total is not None:
        return paging.by_ranges(ask, query, size, offers.total, at_once)
    return paging.prefetch(paging.by_keyset(ask, query, size, offset, limit))


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


def _complete(pages: Iterator[Page], total: int | None, talk: _Talk, query: Query, offset: int) -> Iterator[Page]:
    """The pages; an end before the announced number of rows is an error, unless rows were deleted meanwhile."""
    rows = 0
    for page in pages:
        rows += page.rows
        yield page
    if total is not None and rows < total:
        again, _ = talk.ask({**query, "limit": 0, **({"include_total": True} if "include_total" in query else {})})
        if again.total is not None and rows < min(total, max(0, again.total - offset)):
            raise TemporaryFailure(f"{talk.url} announced {total} rows but sent {rows}")


def status(client: Client, site: str) -> str:
    """Ask a site for its `status_show`; a sentence about it.  Raises TemporaryFailure, PermanentFailure."""
    body: list[bytes] = []
    client.post(f"{site}/api/3/action/status_show", b"{}", body.append, explain=error_message)
    try:
        answer = msgspec.json.decode(b"".join(body))
        version, extensions = answer["result"]["ckan_version"], list(answer["result"]["extensions"])
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        raise TemporaryFailure(f"{site} does not answer as CKAN does; is this the address of the site?") from None
    datastore = "with" if "datastore" in extensions else "WITHOUT"
    return f"{site}: CKAN {version}, {datastore} the datastore"
