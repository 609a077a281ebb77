"""A search of the datastore, from the first question (what do you offer?) to its last row."""

import re
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from ckanpackager.ckan.fetcher import Pacer, PageFetcher
from ckanpackager.ckan.page_buffer import MemoryBuffer, PageBuffer
from ckanpackager.ckan.pages import Page
from ckanpackager.ckan.paging import PageSize, Query, Request, Strategy, read_pages
from ckanpackager.ckan.paging_keyset import Keyset, Ranges
from ckanpackager.ckan.paging_rows import DistinctRows, SortedRows
from ckanpackager.ckan.paging_simple import Offsets, Tokens
from ckanpackager.ckan.paging_windows import Windows
from ckanpackager.ckan.probe import Offer, probe
from ckanpackager.ckan.responses import Field
from ckanpackager.errors import TemporaryFailure
from ckanpackager.http_client import Client

DEFLATED_PAGE_BYTES = 16_000_000  # of text that is compressed while it arrives
MEMORY_PAGE_BYTES = 4_000_000  # of text that is kept as it is
RECORDS_PAGE_BYTES = 4_000_000  # of records, which become values a few at a time
SMALL_TABLE = 4_000  # rows: ranges would not pay
_BY_ID = re.compile(r'(_id|"_id")(\s+(asc|desc))?', re.IGNORECASE)
_CLAUSE = re.compile(r'\s*("?)(.*?)\1(\s+(asc|desc))?(\s+nulls\s+(first|last))?\s*', re.IGNORECASE)
_UNSTEADY = "if rows were added or deleted while these were read, some may be missing"


class Search(Struct, frozen=True):
    """What a search is going to give.

    `total` is the number of rows, None where the server does not say; `notes` are for the reader of the archive.
    """

    fields: list[Field]
    total: int | None
    pages: Iterator[Page]
    notes: tuple[str, ...] = ()


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
    page_size: int = 32_000,
    page_requests: int = 2,
    share: float = 1,
) -> Search:
    """Ask for the rows that `query` (parameters of `datastore_search`) finds, all or `limit` of them from `offset`.

    Args:
        records_format: What we would like the rows to come as; a server that does not know it sends objects.
        as_raw: Each record stays the JSON that the server wrote.
        deflated: Makes a buffer that compresses a page for the archive while it arrives.
        page_size: Most rows of one page.
        page_requests: Most pages fetched at the same time.
        share: The share of the time in which requests may be under way; below 1, one page at a time is fetched.

    Raises PermanentFailure and TemporaryFailure, also while the pages are read.
    """
    pacer = Pacer(share)
    offer = probe(PageFetcher(client, url, PageSize(1, 1), pacer=pacer), query, records_format)
    if offer.as_text:
        size = PageSize(page_size, DEFLATED_PAGE_BYTES if deflated else MEMORY_PAGE_BYTES, growth=16)
    else:
        size = PageSize(page_size, RECORDS_PAGE_BYTES)
    make_buffer = (deflated or MemoryBuffer) if offer.as_text else None
    fetcher = PageFetcher(client, url, size, pacer=pacer, make_buffer=make_buffer, as_raw=as_raw, stray=offer.stray)
    at_once = page_requests if share == 1 else 1
    strategy, notes = _strategy(offer, size, offset, limit, at_once)
    total = None if offer.total is None else max(0, offer.total - offset)
    if limit is not None and total is not None:
        total = min(total, limit)
    pages = read_pages(strategy, fetcher.fetch_page, at_once=at_once, ahead=at_once + 1 if offer.as_text else at_once)
    return Search(offer.fields, total, _verified(pages, total, fetcher, offer, offset), notes)


def _strategy(
    offer: Offer, size: PageSize, offset: int, limit: int | None, at_once: int
) -> tuple[Strategy, tuple[str, ...]]:
    """The way to page that suits the server and the search, and what the reader of the archive should know."""
    query, names = offer.query, [field.id for field in offer.fields]
    if offer.backend or offer.has_after:
        return _of_backend(offer, size, offset, limit), ()
    if offer.distinct:
        numeric = [at for at, field in enumerate(offer.fields) if field.type == "numeric"]
        query = {**query, "sort": _sort(query, names)}
        return DistinctRows(query, size, offset, limit, numeric=numeric), (_UNSTEADY,)
    if not ("fields" in query or "_id" in names):
        return Offsets(query, size, offset, limit), (_UNSTEADY,)
    return _by_id_or_rows(offer, size, offset, limit, at_once), ()


def _by_id_or_rows(offer: Offer, size: PageSize, offset: int, limit: int | None, at_once: int) -> Strategy:
    query, names = {**offer.query, "sort": _sort(offer.query, ["_id"])}, [field.id for field in offer.fields]
    if by_id := _direction_of_id(query["sort"]):
        query["sort"] = by_id
    if by_id and offer.include_next_page and _narrowable(query):
        whole = limit is None and not offset and not query.get("filters") and not query.get("q")
        if whole and at_once > 1 and query["sort"] == "_id" and (offer.total or 0) > SMALL_TABLE:
            return Ranges(query, size, offer.total or 0)
        return Keyset(query, size, offset, limit)
    hide_id = not (names[:1] == ["_id"] or (offer.as_objects and "_id" in names))
    if by_id and not hide_id:
        return Windows(query, size, offer.total, offset, limit)
    if hide_id:  # it is asked for as the first field, and left out again
        query = {**query, "fields": ["_id", *names]}
    return SortedRows(query, size, offset, limit, hide_id=hide_id)


def _of_backend(offer: Offer, size: PageSize, offset: int, limit: int | None) -> Strategy:
    if not offset and offer.backend == "solr":
        return Tokens(offer.query, size, limit, name="cursor", first="*")
    if not offset and offer.has_after:
        return Tokens(offer.query, size, limit, name="after")
    return Offsets(offer.query, size, offset, limit)


def _sort(query: Query, last: Sequence[str]) -> str | list[str]:
    """The sort of the query, then what no two rows have in common, or pages may repeat one and miss another."""
    sort = query.get("sort") or []
    clauses = sort if isinstance(sort, list) else [clause.strip() for clause in sort.split(",")]
    by = {found[2] for clause in clauses if (found := _CLAUSE.fullmatch(clause))}
    missing = [name for name in last if name not in by]
    if not missing:
        return sort
    return [*clauses, *missing] if clauses or len(missing) > 1 else missing[0]


def _direction_of_id(sort: str | list[str]) -> str | None:
    """`_id` or `_id desc`, if that is all that the rows are sorted by."""
    sort = ", ".join(sort) if isinstance(sort, list) else sort
    if found := _BY_ID.fullmatch(sort.strip()):
        return "_id desc" if (found[3] or "").lower() == "desc" else "_id"
    return None


def _narrowable(query: Query) -> bool:
    """A filter on `_id` can be narrowed if it is a range, but not if it is a list of values."""
    filters = query.get("filters") or {}
    return isinstance(filters, dict) and isinstance(filters.get("_id", {}), dict)


def _verified(
    pages: Iterator[Page], total: int | None, fetcher: PageFetcher, offer: Offer, offset: int
) -> Iterator[Page]:
    """The pages; an end before the announced number of rows is an error, unless rows were deleted meanwhile."""
    rows = 0
    for page in pages:
        rows += page.rows
        yield page
    if total is not None and rows < total:
        again, _ = fetcher.fetch_page(Request(offer.counting, 0))
        if again.total is not None and rows < min(total, max(0, again.total - offset)):
            raise TemporaryFailure(f"{fetcher.name} announced {total} rows but sent {rows}")
