"""Every row once, in order: the ways through a search, over a table that may change between any two pages."""

import json
import random
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckanpackager.ckan import background, paging
from ckanpackager.ckan.paging import PageSize, Query
from ckanpackager.ckan.responses import Page, Result
from ckanpackager.errors import TemporaryFailure

CHANGES = st.lists(st.integers(1, 9), min_size=1, max_size=9)
IDS = st.lists(st.integers(1, 300), unique=True, max_size=80).map(sorted)


class Table:
    """A datastore's table of nothing but ids, asked as `paging` asks.

    `before` is called with the number of each question before it is answered, and may change `ids`.
    """

    def __init__(self, ids: list[int], *, cap: int = 1000, announces_limit: bool = True) -> None:
        self.ids = ids
        self.cap = cap
        self.announces_limit = announces_limit
        self.asked: list[Query] = []
        self.before: Callable[[int], object] = lambda number: None
        self._lock = threading.Lock()

    def ask(self, query: Query) -> tuple[Result, Page]:
        with self._lock:
            self.asked.append(query)
            self.before(len(self.asked))
            limits = query.get("filters", {}).get("_id", {})
            found = [one for one in self.ids if all(_TESTS[name](one, limit) for name, limit in limits.items())]
            descending = str(query.get("sort", "")).endswith("desc")
            granted = min(query["limit"], self.cap)
            page = sorted(found, reverse=descending)[query.get("offset", 0) :][:granted]
        following = {"_id": {"lt" if descending else "gt": page[-1]}} if page else None
        result = Result(
            limit=granted if self.announces_limit else None,
            next_page=following if query.get("include_next_page") else None,
        )
        return result, Page(rows=len(page), records=[[one] for one in page])


_TESTS: dict[str, Callable[[int, int], bool]] = {
    "gt": int.__gt__,
    "gte": int.__ge__,
    "lt": int.__lt__,
    "lte": int.__le__,
}
QUERY: Query = {"resource_id": "r", "sort": "_id"}


def ids(pages: Iterator[Page]) -> list[int]:
    return [record[0] for page in pages for record in page.records or ()]


def sized(most: int) -> PageSize:
    size = PageSize(most)
    size.rows = most
    return size


# --- page sizes that change


def resizing(table: Table, size: PageSize, changes: list[int]) -> None:
    """Change the size at every question, as answers that are large, slow or small do."""

    def change(number: int) -> None:
        size.rows = changes[number % len(changes)]

    table.before = change


@given(first=st.integers(0, 50), length=st.integers(0, 200), changes=CHANGES)
def test_ranges_neither_overlap_nor_leave_gaps_when_the_size_changes_between_them(first, length, changes):
    size, ranges = sized(changes[0]), []
    for number, one in enumerate(paging._ranges(first, first + length, size)):
        ranges.append(one)
        size.rows = changes[number % len(changes)]
    edges = [first, *(high for _, high in ranges)]
    assert ranges == list(pairwise(edges))
    assert edges[-1] == first + length
    assert all(low < high for low, high in ranges)


@given(ids=IDS, changes=CHANGES, at_once=st.integers(2, 4), cap=st.integers(1, 50))
def test_every_row_arrives_once_in_ranges_of_any_sizes(ids, changes, at_once, cap):
    table, size = Table(ids, cap=cap), sized(changes[0])
    resizing(table, size, changes)
    assert globals()["ids"](paging.by_ranges(table.ask, QUERY, size, len(ids), at_once)) == ids


WALKS: dict[str, Callable[..., Iterator[Page]]] = {
    "offset": paging.by_offset,
    "anchor": paging.by_anchor,
    "keyset": paging.by_keyset,
}


@pytest.mark.parametrize("walk", WALKS)
@given(
    ids=IDS,
    changes=CHANGES,
    cap=st.integers(1, 50),
    offset=st.integers(0, 90),
    limit=st.none() | st.integers(1, 90),
    announces=st.booleans(),
)
def test_every_row_arrives_once_in_pages_of_any_sizes(walk, ids, changes, cap, offset, limit, announces):
    table, size = Table(ids, cap=cap, announces_limit=announces), sized(changes[0])
    resizing(table, size, changes)
    expected = ids[offset:] if limit is None else ids[offset : offset + limit]
    assert globals()["ids"](WALKS[walk](table.ask, QUERY, size, offset, limit)) == expected


# --- rows that come and go


def by_keyset(table: Table, total: int) -> Iterator[Page]:
    return paging.by_keyset(table.ask, QUERY, sized(5), 0, None)


def by_ranges(table: Table, total: int) -> Iterator[Page]:
    return paging.by_ranges(table.ask, QUERY, sized(5), total, 2)


def by_anchor(table: Table, total: int) -> Iterator[Page]:
    return paging.by_anchor(table.ask, QUERY, sized(5), 0, None)


STEADY = pytest.mark.parametrize("walk", [by_keyset, by_ranges, by_anchor])


@STEADY
def test_every_row_arrives_once_when_rows_are_added_between_pages(walk):
    table = Table(list(range(1, 101)))
    table.before = lambda number: table.ids.append(table.ids[-1] + 1) if len(table.ids) < 115 else None
    assert ids(walk(table, 100)) == list(range(1, len(table.ids) + 1))


@STEADY
def test_no_row_is_missed_or_doubled_when_rows_are_deleted_between_pages(walk):
    table, chance = Table(list(range(1, 201))), random.Random(1)
    table.before = lambda number: table.ids.remove(chance.choice(table.ids))
    got = ids(walk(table, 200))
    assert got == sorted(set(got))
    assert set(table.ids) <= set(got)


@STEADY
@given(seed=st.integers(0, 10_000), count=st.integers(0, 120))
def test_what_is_there_throughout_arrives_once_whatever_comes_and_goes(walk, seed, count):
    chance = random.Random(seed)
    table, steady = Table(list(range(1, count * 2, 2))), set(range(1, count * 2, 2))

    def change(number: int) -> None:
        for _ in range(3):
            if table.ids and chance.random() < 0.3:
                gone = chance.choice(table.ids)
                table.ids.remove(gone)
                steady.discard(gone)
            if number < 100 and chance.random() < 0.3:
                table.ids = sorted({*table.ids, chance.randrange(1, count * 2 + 20)})

    table.before = change
    got = ids(walk(table, count))
    assert got == sorted(set(got))
    assert steady <= set(got)


@STEADY
def test_a_table_that_is_emptied_meanwhile_ends(walk):
    table = Table(list(range(1, 101)))
    table.before = lambda number: table.ids.clear() if number == 3 else None
    got = ids(walk(table, 100))
    assert got == list(range(1, len(got) + 1))
    assert 5 <= len(got) <= 10


# --- which questions are asked


def test_ids_with_large_gaps_are_not_asked_for_range_by_range():
    table = Table([*range(1, 50), *range(10_000_000, 10_000_050)])
    assert ids(paging.by_ranges(table.ask, QUERY, sized(10), 99, 2)) == table.ids
    assert len(table.asked) < 15


def test_a_table_with_few_gaps_is_asked_for_in_ranges():
    table = Table([one for one in range(1, 101) if one % 3])
    assert ids(paging.by_ranges(table.ask, QUERY, sized(10), len(table.ids), 2)) == table.ids
    assert sum("lte" in query.get("filters", {}).get("_id", {}) for query in table.asked) > 8


def test_a_full_page_of_a_range_is_followed_by_no_question_that_has_no_answer():
    table = Table(list(range(1, 101)))
    assert ids(paging.by_ranges(table.ask, QUERY, sized(10), 100, 2)) == table.ids
    assert len(table.asked) == 10 + len(["the last id", "what was added"])


def test_ranges_are_fetched_as_many_at_a_time_as_allowed_and_no_more():
    table, running, most, lock = Table(list(range(1, 201))), 0, 0, threading.Lock()
    together = threading.Barrier(3, timeout=10)

    def ask(query: Query) -> tuple[Result, Page]:
        nonlocal running, most
        with lock:
            running, most = running + 1, max(most, running + 1)
        if query.get("filters", {}).get("_id") in ({"gt": 10, "lte": 20}, {"gt": 20, "lte": 30}, {"gt": 30, "lte": 40}):
            together.wait()  # passes only when three are here
        try:
            return table.ask(query)
        finally:
            with lock:
                running -= 1

    assert ids(paging.by_ranges(ask, QUERY, sized(10), 200, 3)) == table.ids
    assert most == 3


def test_a_filter_that_is_a_range_is_narrowed_and_keeps_its_other_end():
    table = Table(list(range(1, 101)))
    query = {**QUERY, "filters": {"_id": {"gte": 5, "lt": 40}}}
    assert ids(paging.by_keyset(table.ask, query, sized(7), 0, None)) == list(range(5, 40))
    assert table.asked[1]["filters"] == {"_id": {"gte": 5, "lt": 40, "gt": 11}}
    assert query == {**QUERY, "filters": {"_id": {"gte": 5, "lt": 40}}}


def test_an_offset_is_sent_with_the_first_keyset_page_only():
    table = Table(list(range(1, 31)))
    assert ids(paging.by_keyset(table.ask, QUERY, sized(10), 7, None)) == list(range(8, 31))
    assert [query.get("offset") for query in table.asked] == [7, None, None]


def test_backwards_by_keyset():
    table = Table(list(range(1, 31)))
    assert ids(paging.by_keyset(table.ask, {**QUERY, "sort": "_id desc"}, sized(7), 2, 20)) == list(range(28, 8, -1))


def test_no_more_is_asked_for_than_is_wanted():
    for name, walk in WALKS.items():
        table = Table(list(range(1, 101)))
        assert len(ids(walk(table.ask, QUERY, sized(10), 0, 25))) == 25
        anchors = 2 if name == "anchor" else 0
        assert [query["limit"] for query in table.asked] == [10, 10, 5 + anchors]


def test_a_cursor_that_does_not_move_ends_the_walk():
    def ask(query: Query) -> tuple[Result, Page]:
        return Result(next_cursor="AoE1"), Page(rows=1, records=[[1]])

    assert ids(paging.by_cursor(ask, QUERY, sized(10), None)) == [1, 1]  # one of the first, one of AoE1


# --- page sizes that learn


def adapt(pages: PageSize, **facts: Any) -> int:
    rows = pages.rows
    pages.adapt(**{"asked": rows, "granted": rows, "rows": rows, "size": rows, "seconds": 0.01, **facts})
    return pages.rows


def test_pages_begin_modestly_and_grow_to_what_was_configured():
    size = PageSize(20_000)
    assert [size.rows, adapt(size), adapt(size), adapt(size)] == [2000, 8000, 20_000, 20_000]


def test_a_small_page_size_is_never_exceeded():
    size = PageSize(50)
    assert [size.rows, adapt(size), adapt(size)] == [50, 50, 50]


def test_wide_rows_are_asked_for_in_small_pages():
    size = PageSize(20_000, 4_000_000)
    assert adapt(size, size=40_000_000) == 200
    assert adapt(size, size=4_000_000_000) == 1


def test_slow_pages_become_smaller():
    size = PageSize(20_000)
    assert adapt(size, seconds=40) == 500


def test_a_server_that_grants_less_is_believed():
    size = PageSize(20_000)
    adapt(size)
    assert adapt(size, granted=300, rows=300) == 300
    assert adapt(size) == 300


@given(
    facts=st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(0, 10**10), st.floats(0, 1e5), st.none() | st.integers(0, 10**6))
    )
)
def test_a_page_is_never_empty_nor_beyond_the_limit_whatever_was_learnt(facts):
    size = PageSize(20_000)
    for rows, bytes_, seconds, granted in facts:
        adapt(size, rows=rows, size=max(rows, bytes_), seconds=seconds, granted=granted)
        assert 1 <= size.rows <= 20_000


# --- threads


def test_the_next_page_is_fetched_while_this_one_is_worked_on():
    asked, arrived = [], threading.Event()

    def pages() -> Iterator[Page]:
        for number in range(3):
            asked.append(number)
            if number == 1:
                arrived.set()
            yield Page(rows=number)

    coming = background.prefetch(pages())
    assert next(coming).rows == 0
    assert arrived.wait(10)  # without being asked for
    assert [page.rows for page in coming] == [1, 2]


@pytest.mark.parametrize("failing", [0, 1, 5])
def test_a_failure_in_the_background_comes_where_its_page_would(failing):
    def pages() -> Iterator[Page]:
        for number in range(10):
            yield Page(rows=work({"n": number}))

    def work(query: Query) -> int:
        if query["n"] == failing:
            raise TemporaryFailure("broken")
        return int(query["n"])

    tasks = iter([{"n": number} for number in range(10)])
    for coming in ((page.rows for page in background.prefetch(pages())), background.ordered_map(work, tasks, 2)):
        got: list[int] = []
        with pytest.raises(TemporaryFailure, match="broken"):
            for one in coming:
                got.append(one)
        assert got == list(range(failing))


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "_run" in thread.name]


def test_a_walk_that_is_left_early_leaves_no_thread_behind():
    before = set(threading.enumerate())
    table = Table(list(range(1, 1001)))
    for pages in (background.prefetch(by_keyset(table, 1000)), by_ranges(table, 1000)):
        next(pages)
        next(pages)
        pages.close()  # type: ignore[attr-defined]
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


def test_threads_do_not_keep_a_process_alive():
    with background.ThreadPool(2):
        assert all(thread.daemon for thread in threads())
        assert threads()


def test_a_query_is_json():
    table = Table(list(range(1, 51)))
    list(paging.by_ranges(table.ask, QUERY, sized(5), 50, 2))
    assert json.loads(json.dumps(table.asked)) == table.asked
