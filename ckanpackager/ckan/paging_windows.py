"""Offset paging over rows sorted by `_id`, for CKAN 2.11 and earlier: every row once, whatever is deleted meanwhile.

The database skips the rows before an offset one by one, so rows in the second half are asked for from the other end of
the table, in reverse order; that halves what it skips.  Several windows are asked for at the same time, at the places
where their rows would be in a table that does not change.  Each begins some rows before its place: if one of these is
the last row of the window before, nothing is missing and nothing comes twice.  If not, the window is moved.
"""

from bisect import bisect_right
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from ckanpackager.ckan.pages import Page, id_of
from ckanpackager.ckan.paging import Outcome, PageSize, Query, Request, Strategy, was_last
from ckanpackager.ckan.paging_id_lists import IdLists
from ckanpackager.ckan.responses import Result
from ckanpackager.ckan.row_reading import Reading

MOST_MOVES = 12  # of one window
FIRST_STEP = 32  # rows that a window is moved by; then four times as many, again and again


class Window(Struct, frozen=True):
    """Rows of the table: `rows` from the place `start` on, of which the first `head` may be known already.

    The first row that is not known should be that of the place `at`; the next window takes over at the place `until`.
    """

    at: int
    until: int
    start: int
    rows: int
    head: int
    from_end: bool = False
    moves: int = 0


class Windows:
    """Windows over a search that is sorted by `_id` alone, its first field; `total` None: their number is unknown."""

    def __init__(self, query: Query, size: PageSize, total: int | None, offset: int, limit: int | None) -> None:
        self._query = query
        self._sign = -1 if query["sort"] == "_id desc" else 1
        self._size = size
        self._total = total
        self._end = total if total is None or limit is None else min(total, offset + limit)
        self._at = offset  # the place of the next window
        self._left = limit
        self._last: int | None = None  # the key of the last row that was passed on; keys ascend
        self._behind = offset  # where the last window ended
        self._margin = 1
        self._shifts = {False: 0, True: 0}  # where rows are now, less their places, from the start and from the end
        self._under_way = 0
        self._ended = limit == 0
        self._instead: Strategy | None = None

    def next(self) -> Request | None:
        if self._instead and not self._under_way:
            return self._instead.next()
        known_place = self._last is not None and self._end is not None and self._at < self._end
        if self._ended or self._instead or (self._under_way and not known_place):
            return None
        window = self._plan(self._at)
        self._at = window.until
        self._under_way += 1
        return self._request(window)

    def _plan(self, at: int, until: int | None = None, *, from_end: bool | None = None) -> Window:
        """The window at a place: as many rows as a page may have, up to where the next one takes over."""
        page = min(self._size.rows, self._size.cap or self._size.rows)
        margin = 0 if self._last is None else min(self._margin, max(1, page // 4))
        new = max(1, page - margin)
        if self._left is not None:
            new = min(new, self._left)
        if until is not None:
            new = min(new, until - at)
        elif self._end is not None and at < self._end:
            new = min(new, self._end - at)
        if from_end is None:
            from_end = self._last is not None and self._total is not None and at + new / 2 > self._total / 2
        start = max(0, at - margin + self._shifts[from_end])
        rows = at + new + self._shifts[from_end] - start
        if self._left is None and self._end is not None and at + new >= self._end:  # to the end, wherever it is now
            rows = self._end - start if from_end else max(1, self._size.rows)
        head = margin if margin <= 1 else 2 * margin
        return self._capped(Window(at, at + new, start, rows, head, from_end))

    def _capped(self, window: Window) -> Window:
        rows = max(1, min(window.rows, self._size.cap or window.rows))
        return replace(window, rows=rows, head=min(window.head, rows))

    def _request(self, window: Window) -> Request:
        reading = Reading(ids=True, head=window.head, reverse=window.from_end)
        if not window.from_end or self._total is None:
            return Request(self._query, window.rows, window.start, reading, window)
        query = {**self._query, "sort": "_id" if self._sign < 0 else "_id desc"}
        return Request(query, window.rows, max(0, self._total - window.start - window.rows), reading, window)

    def accept(self, request: Request, result: Result, page: Page) -> Outcome:
        window = request.place
        if not isinstance(window, Window):
            return self._instead.accept(request, result, page) if self._instead else Outcome()
        self._under_way -= 1
        if self._ended or self._instead:
            return Outcome()
        heads = [self._sign * id_of(row) for row in page.head]
        keys = [*heads, *(self._sign * id for id in (page.first_id, page.last_id) if id is not None)]
        at_end = self._is_at_end(request, result, page)
        # No row behind the last window is the only end that a server shows that does not announce limits.
        shows_end = result.limit is None and not keys and window.start <= self._behind
        if not shows_end and (moved := self._moved(window, heads, keys, page, at_end)):
            return self._again(moved)
        passed = 0 if self._last is None else bisect_right(heads, self._last)
        new = len(heads) - passed + page.rows
        if self._left is not None and new > self._left:
            return self._again(replace(window, rows=passed + self._left))
        place = self._note(window, passed, keys, new, page.received)
        self._ended = at_end or self._left == 0
        again: Sequence[Request] = ()
        if place < window.until and not self._ended:
            again = self._again(self._plan(place, window.until, from_end=window.from_end)).again
        return Outcome(page.after(page.head[passed:]), again)

    def _is_at_end(self, request: Request, result: Result, page: Page) -> bool:
        if request.reading.reverse:  # a page that failed was asked for again for fewer rows, the first of them
            return request.offset == 0 and (page.received == request.rows or was_last(result, page))
        return was_last(result, page)

    def _moved(self, window: Window, heads: list[int], keys: list[int], page: Page, at_end: bool) -> Window | None:
        """The window to ask for instead of one that does not follow the last row; None if it does follow."""
        step, last = FIRST_STEP * 4**window.moves, self._last
        if self._size.cap is not None:
            step = min(step, max(1, self._size.cap - 1))
        moved = replace(window, moves=window.moves + 1)
        if last is None or (window.start == 0 and not window.from_end and not keys):
            return None
        if not keys or (keys[0] > last + 1 and (window.start > 0 or window.from_end)):
            back = min(step, window.start)
            return replace(moved, start=window.start - back, rows=window.rows + back, head=window.head + back + step)
        if page.rows and keys[len(heads)] <= last:
            return replace(moved, head=max(step, window.head * 4), rows=window.rows + step)
        if keys[-1] <= last and not at_end:
            return replace(moved, start=window.start + max(1, page.received - 1), moves=window.moves)
        return None

    def _again(self, window: Window) -> Outcome:
        """Ask for a window before all others; if windows cannot keep up with what changes, go on by lists of ids."""
        if self._last is not None and (window.moves > MOST_MOVES or self._size.cap == 1):
            self._instead = IdLists(self._query, self._size, self._sign * self._last, self._left)
            return Outcome()
        if window.moves:
            self._margin = max(self._margin, min(FIRST_STEP * 4 ** (window.moves - 1), self._size.rows))
        self._under_way += 1
        return Outcome(again=[self._request(self._capped(window))])

    def _note(self, window: Window, passed: int, keys: list[int], new: int, received: int) -> int:
        """Learn from a window that follows the last row; the place behind it."""
        shift = window.start + passed - window.at if self._last is not None else 0
        self._shifts[window.from_end] = shift
        self._behind = window.start + received
        if new:
            self._last = keys[-1]
        if self._left is not None:
            self._left -= new
        return window.start + received - shift
