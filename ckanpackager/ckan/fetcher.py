"""One page from one URL: asked for again where that may help, and no more often than the site may be asked."""

import time
from collections.abc import Callable
from typing import Any

import msgspec

from ckanpackager.ckan.csv_parser import StreamingCsvParser
from ckanpackager.ckan.page_buffer import PageBuffer
from ckanpackager.ckan.pages import Page
from ckanpackager.ckan.paging import PageSize, Request
from ckanpackager.ckan.responses import ResponseParser, Result, error_message
from ckanpackager.errors import TemporaryFailure
from ckanpackager.hosts import without_secrets
from ckanpackager.http_client import LONGEST_WAIT, Client, Refused

_TEXT_SIZES = {
    "max_bytes": 512 * 1024 * 1024,  # of a page that is compressed as it arrives: a cell may have 100 MB
    "chunk_bytes": 896 * 1024,  # a thread that reads lets others run each time, so seldom is cheaper
}
_TOOK_TOO_LONG = ("Search took too long", "Query took too long")  # PostgreSQL's statement_timeout, a 409


class Pacer:
    """Keeps requests apart, so that they are under way for no more than a `share` of the time.

    A site that slows down gets longer pauses, since these are in proportion to the time that a request took.
    """

    def __init__(self, share: float = 1, wait: Callable[[float], Any] = time.sleep) -> None:
        self._share = share
        self._wait = wait
        self._from = 0.0  # when the next request may begin

    def wait(self) -> None:
        """Wait until a request may begin."""
        while (left := self._from - time.monotonic()) > 0:
            self._wait(min(left, LONGEST_WAIT))
            if left <= LONGEST_WAIT:
                return

    def took(self, seconds: float) -> None:
        """A request took so many seconds."""
        self.pause(seconds * (1 / self._share - 1))

    def pause(self, seconds: float) -> None:
        """The next request begins in so many seconds at the earliest."""
        self._from = max(self._from, time.monotonic() + seconds)


class PageFetcher:
    """Fetches pages from one URL; the page size adapts to what they are like.

    `make_buffer` makes what pages that come as text are kept in; None: pages do not come as text.  `stray` members of
    objects are left out.
    """

    def __init__(
        self,
        client: Client,
        url: str,
        size: PageSize,
        *,
        pacer: Pacer,
        make_buffer: Callable[[], PageBuffer] | None = None,
        as_raw: bool = False,
        stray: frozenset[str] = frozenset(),
    ) -> None:
        self.url = url
        self.name = without_secrets(url)
        self.size = size
        self._client = client
        self._pacer = pacer
        self._make_buffer = make_buffer
        self._as_raw = as_raw
        self._stray = stray

    def fetch_page(
        self, request: Request, first_failure: Callable[[TemporaryFailure], object] = lambda failure: None
    ) -> tuple[Result, Page]:
        """One page; asked for again, and for fewer rows, when that may help, unless `first_failure` raises an error."""

        def once(tried: int) -> tuple[Result, Page]:
            try:
                return self.fetch_once(request, tried)
            except TemporaryFailure as failure:
                if not tried:
                    first_failure(failure)
                raise

        return self._client.repeat(once)

    def fetch_once(self, request: Request, tried: int = 0) -> tuple[Result, Page]:
        """One page, or half of it, or a quarter, by how often it was tried before."""
        asked = max(request.rows >> tried, min(2, request.rows))
        parser = self._parser(request)
        size = 0

        def take(chunk: bytes) -> None:
            nonlocal size
            size += len(chunk)
            parser.feed(chunk)

        self._pacer.wait()
        began = time.monotonic()
        try:
            body = msgspec.json.encode(request.parameters(asked))
            sizes = _TEXT_SIZES if isinstance(parser, StreamingCsvParser) else {}
            self._client.post(self.url, body, take, explain=error_message, **sizes)
        except Refused as refusal:
            if refusal.status == 409 and any(words in str(refusal) for words in _TOOK_TOO_LONG):
                raise TemporaryFailure(str(refusal)) from refusal
            raise
        except TemporaryFailure as failure:
            self._pacer.pause(min(failure.retry_after or 0, LONGEST_WAIT))  # for the other threads, too
            raise
        finally:
            seconds = time.monotonic() - began
            self._pacer.took(seconds)
        result, page = parser.finish(self.name)
        if page.received > asked:
            raise TemporaryFailure(f"{self.name} was asked for {asked} rows but sent {page.received}")
        self.size.adapt(asked=asked, granted=result.limit, rows=page.received, size=size, seconds=seconds)
        return result, page

    def _parser(self, request: Request) -> StreamingCsvParser | ResponseParser:
        if self._make_buffer and request.query.get("records_format") in ("csv", "tsv"):
            return StreamingCsvParser(request.reading, self._make_buffer)
        return ResponseParser(request.reading, as_raw=self._as_raw, stray=self._stray)
