"""Reading all pages of a search: one loop, and a strategy that says what to ask for next.

The strategies are in the modules whose names begin with `paging_`.  They know nothing of HTTP, and the loop knows
nothing of offsets and keys.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from ckanpackager.ckan.background import ThreadPool
from ckanpackager.ckan.pages import Page
from ckanpackager.ckan.responses import Result
from ckanpackager.ckan.row_reading import Reading

Query = dict[str, Any]

FIRST_PAGE = 2_000  # rows; what follows depends on how large and how slow they were
PAGE_SECONDS = 10.0  # CKAN sites cut requests off after 60


class Request(Struct, frozen=True):
    """A page to ask for: `rows` rows of a query, from `offset` on, and how they are read.

    `place` is for the strategy that asks; it gets the request back with its answer.
    """

    query: Query
    rows: int
    offset: int = 0
    reading: Reading = Reading()
    place: Any = None

    def parameters(self, rows: int) -> Query:
        """The parameters of `datastore_search`, for at most so many rows: in reverse order, the last of them."""
        offset = self.offset + (max(0, self.rows - rows) if self.reading.reverse else 0)
        return {**self.query, "limit": rows, **({"offset": offset} if offset else {})}


class Outcome(NamedTuple):
    """What an answer leads to: a page of the search, and requests that have to be answered before all others."""

    page: Page | None = None
    again: Sequence[Request] = ()


class Strategy(Protocol):
    """A way to page through a search."""

    def next(self) -> Request | None:
        """The request that can be made now; None: nothing before another answer is there, or nothing any more."""

    def accept(self, request: Request, result: Result, page: Page) -> Outcome:
        """Take an answer; answers come in the order of the requests."""


Fetch = Callable[[Request], tuple[Result, Page]]


def read_pages(strategy: Strategy, fetch: Fetch, *, at_once: int, ahead: int) -> Iterator[Page]:
    """All pages, in order; `at_once` are fetched at the same time, `ahead` are fetched or wait at most."""
    waiting: deque[tuple[Request, Future[tuple[Result, Page]]]] = deque()
    with ThreadPool(at_once) as pool:

        def start(request: Request) -> tuple[Request, Future[tuple[Result, Page]]]:
            return request, pool.submit(partial(fetch, request))

        def fill() -> None:
            while len(waiting) < ahead and (request := strategy.next()) is not None:
                waiting.append(start(request))

        fill()
        while waiting:
            request, future = waiting.popleft()
            page, again = strategy.accept(request, *future.result())
            del future  # it holds the page, too
            waiting.extendleft(reversed([start(each) for each in again]))
            fill()
            if page is not None and page.rows:
                yield page
            del page


class PageSize:
    """How many rows to ask for: at most `most`, and at most what takes `max_bytes` and PAGE_SECONDS.

    `cap` is the most rows that the server grants, None where it is not known.
    """

    def __init__(self, most: int, max_bytes: int, growth: int = 4) -> None:
        self.most = most
        self.max_bytes = max_bytes
        self.cap: int | None = None
        self.rows = min(most, FIRST_PAGE)
        self._growth = growth

    def adapt(self, *, asked: int, granted: int | None, rows: int, size: int, seconds: float) -> None:
        """Learn from a page; a server that grants less than was asked for has a cap (CKAN's rows_max)."""
        if granted is not None and 0 < granted < asked:
            self.cap = granted
            self.most = min(self.most, granted)
        elif granted is None and 0 < rows < asked:
            self.cap = rows  # it may also be the end of the table; then this does no harm
        if rows:
            by_size = rows * self.max_bytes // size
            by_time = int(rows * PAGE_SECONDS / seconds) if seconds > 1 else self.most  # else it is mere overhead
            grown = max(self.rows, rows * self._growth)  # a page of a row or two tells little about the others
            self.rows = max(1, min(self.most, by_size, by_time, grown))

    def at_most(self, left: int | None) -> int:
        """The rows of the next page if so many are left; None: their number is unknown."""
        return self.rows if left is None else max(1, min(self.rows, left))


class Turns:
    """Whose turn it is where each page begins where the one before it ended: one request, then its answer.

    `limit` is how many rows are wanted at most, None: all.
    """

    def __init__(self, size: PageSize, limit: int | None) -> None:
        self._size = size
        self._left = limit
        self._waiting = False
        self._ended = limit == 0

    def begin(self) -> int | None:
        """How many rows to ask for; None before the answer to the last request is there, and after the last page."""
        if self._waiting or self._ended:
            return None
        self._waiting = True
        return self._size.at_most(self._left)

    def end(self, page: Page, *, last: bool) -> None:
        """The answer is there."""
        self._waiting = False
        if self._left is not None:
            self._left -= page.rows
        self._ended = last or self._left == 0


def was_last(result: Result, page: Page) -> bool:
    """Fewer rows than were granted; where the answer does not say what it granted, only an empty page is the end."""
    return page.received == 0 or (result.limit is not None and page.received < result.limit)
