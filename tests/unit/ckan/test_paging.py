"""Every row once, in order: the strategies of paging, over a table that may change between any two pages."""

import json
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from ckanpackager.ckan import background
from ckanpackager.ckan.pages import Page
from ckanpackager.ckan.paging import PageSize, Query, Request, Strategy, read_pages
from ckanpackager.ckan.paging_id_lists import IdLists
from ckanpackager.ckan.paging_keyset import Keyset, Ranges
from ckanpackager.ckan.paging_rows import DistinctRows, SortedRows
from ckanpackager.ckan.paging_simple import Offsets, Tokens
from ckanpackager.ckan.paging_windows import Windows
from ckanpackager.ckan.responses import Result
from ckanpackager.ckan.row_reading import read_records
from ckanpackager.errors import TemporaryFailure

CHANGES = st.lists(st.integers(1, 9), min_size=1, max_size=9)
IDS = st.lists(st.integers(1, 300), unique=True, max_size=80).map(sorted)
QUERY: Query = {"resource_id": "r", "sort": "_id"}


class Table:
    """A datastore's table of ids and colours, asked as the strategies ask.

    `before` is called with the number of each question before it is answered, and may change `ids`.  A table that
    `fails` now and then grants a page of half the rows, as the fetcher asks for after a failure.
    """

    def __init__(self, ids: list[int], *, cap: int = 1000, announces_limit: bool = True, fails: int = 0) -> None:
        self.ids = ids
        self.size = PageSize(1000, 10**9)
        self.cap = cap
        self.announces_limit = announces_limit
        self.fails = fails
        self.asked: list[Query] = []
        self.before: Callable[[int], object] = lambda number: None
        self._lock = threading.Lock()

    def fetch(self, request: Request) -> tuple[Result, Page]:
        with self._lock:
            rows = request.rows
            if self.fails and len(self.asked) % self.fails == 1:
                rows = max(rows // 2, min(2, rows))
            query = request.parameters(rows)
            self.asked.append(query)
            self.before(len(self.asked))
            found = sorted(self._kept(query), key=_order(query["sort"]))
            granted = min(query["limit"], self.cap)
            if granted < query["limit"]:
                self.size.cap = granted
            page = found[query.get("offset", 0) :][:granted]
            if not self.announces_limit and 0 < len(page) < query["limit"]:
                self.size.cap = len(page)
        following = {"_id": {"lt" if query["sort"] == "_id desc" else "gt": page[-1]}} if page else None
        result = Result(
            limit=granted if self.announces_limit else None,
            next_page=following if query.get("include_next_page") else None,
        )
        records = [Raw(msgspec.json.encode(_record(id, query.get("fields")))) for id in page]
        return result, read_records(request.reading, records, as_raw=False)

    def _kept(self, query: Query) -> list[int]:
        wanted = query.get("filters", {}).get("_id", {})
        if isinstance(wanted, list):
            return [id for id in self.ids if id in set(wanted)]
        return [id for id in self.ids if all(_TESTS[name](id, limit) for name, limit in wanted.items())]


_TESTS: dict[str, Callable[[int, int], bool]] = {
    "gt": int.__gt__,
    "gte": int.__ge__,
    "lt": int.__lt__,
    "lte": int.__le__,
}


def colour(id: int) -> int:
    return id * 7919 % 5


def _record(id: int, fields: list[str] | None) -> list[Any]:
    values = {"_id": id, "colour": colour(id)}
    return [values[name] for name in fields or ("_id", "colour")]


def _order(sort: Any) -> Callable[[int], Any]:
    orders: dict[str, Callable[[int], Any]] = {"_id": lambda id: id, "_id desc": lambda id: -id, "colour": colour}
    clauses = sort if isinstance(sort, list) else [sort]
    return lambda id: [orders[clause](id) for clause in clauses]


def sized(table: Table, rows: int) -> PageSize:
    table.size = PageSize(1000, 10**9)
    table.size.rows = rows
    return table.size


def pages(strategy: Strategy, table: Table, at_once: int = 2) -> Iterator[Page]:
    return read_pages(strategy, table.fetch, at_once=at_once, ahead=at_once + 1)


def ids(strategy: Strategy, table: Table, at_once: int = 2) -> list[int]:
    found = []
    for page in pages(strategy, table, at_once):
        rows = [record[0] for record in page.records or ()]
        assert len(rows) == page.rows
        found += rows
    return found


# --- page sizes that change


def resizing(table: Table, size: PageSize, changes: list[int]) -> None:
    """Change the size at every question, as answers that are large, slow or small do."""

    def change(number: int) -> None:
        size.rows = changes[number % len(changes)]

    table.before = change


@given(ids_=IDS, changes=CHANGES, at_once=st.integers(2, 4), cap=st.integers(1, 50), fails=st.sampled_from([0, 2, 3]))
def test_every_row_arrives_once_in_ranges_of_any_sizes(ids_, changes, at_once, cap, fails):
    table = Table(ids_, cap=cap, fails=fails)
    size = sized(table, changes[0])
    resizing(table, size, changes)
    assert ids(Ranges(QUERY, size, len(ids_)), table, at_once) == ids_


WALKS: dict[str, Callable[..., Strategy]] = {
    "offsets": lambda table, size, offset, limit: Offsets(QUERY, size, offset, limit),
    "windows": lambda table, size, offset, limit: Windows(QUERY, size, len(table.ids), offset, limit),
    "windows, total unknown": lambda table, size, offset, limit: Windows(QUERY, size, None, offset, limit),
    "sorted rows": lambda table, size, offset, limit: SortedRows(QUERY, size, offset, limit, hide_id=False),
    "keyset": lambda table, size, offset, limit: Keyset(QUERY, size, offset, limit),
}


@pytest.mark.parametrize("walk", WALKS)
@given(
    ids_=IDS,
    changes=CHANGES,
    cap=st.integers(1, 50),
    offset=st.integers(0, 90),
    limit=st.none() | st.integers(1, 90),
    announces=st.booleans(),
    at_once=st.integers(1, 3),
    fails=st.sampled_from([0, 2, 3]),
)
def test_every_row_arrives_once_in_pages_of_any_sizes(
    walk, ids_, changes, cap, offset, limit, announces, at_once, fails
):
    table = Table(ids_, cap=cap, announces_limit=announces, fails=fails if announces else 0)
    size = sized(table, changes[0])
    resizing(table, size, changes)
    expected = ids_[offset:] if limit is None else ids_[offset : offset + limit]
    assert ids(WALKS[walk](table, size, offset, limit), table, at_once) == expected


def test_an_empty_page_beyond_the_last_rows_is_no_end():
    """From a server that tells neither how many rows there are nor how many it grants, which is two."""
    table = Table([1, 2, 3, 4], cap=2, announces_limit=False)
    assert ids(Windows(QUERY, sized(table, 5), None, 0, None), table) == table.ids


@given(ids_=IDS, rows=st.integers(1, 30), offset=st.integers(0, 90), limit=st.none() | st.integers(1, 90))
def test_windows_from_the_last_row_to_the_first(ids_, rows, offset, limit):
    table = Table(ids_)
    expected = ids_[::-1][offset:] if limit is None else ids_[::-1][offset : offset + limit]
    strategy = Windows({**QUERY, "sort": "_id desc"}, sized(table, rows), len(ids_), offset, limit)
    assert ids(strategy, table) == expected


@given(ids_=IDS, rows=st.integers(1, 90), last=st.integers(0, 300), cap=st.integers(1, 90), backwards=st.booleans())
def test_lists_of_ids_give_what_follows_a_row(ids_, rows, last, cap, backwards):
    table = Table(ids_, cap=cap)
    query = {**QUERY, "sort": "_id desc"} if backwards else QUERY
    expected = [id for id in reversed(ids_) if id < last] if backwards else [id for id in ids_ if id > last]
    assert ids(IdLists(query, sized(table, rows), last, None), table) == expected
    assert ids(IdLists(query, sized(table, rows), last, 7), table) == expected[:7]


# --- rows that come and go


def by_keyset(table: Table, total: int) -> Strategy:
    return Keyset(QUERY, sized(table, 5), 0, None)


def by_ranges(table: Table, total: int) -> Strategy:
    return Ranges(QUERY, sized(table, 5), total)


def by_windows(table: Table, total: int) -> Strategy:
    return Windows(QUERY, sized(table, 5), total, 0, None)


def by_large_windows(table: Table, total: int) -> Strategy:
    return Windows(QUERY, sized(table, 40), total, 0, None)


def by_sorted_rows(table: Table, total: int) -> Strategy:
    return SortedRows(QUERY, sized(table, 5), 0, None, hide_id=False)


STEADY = pytest.mark.parametrize("walk", [by_keyset, by_ranges, by_windows, by_large_windows, by_sorted_rows])


@STEADY
def test_every_row_arrives_once_when_rows_are_added_between_pages(walk):
    table = Table(list(range(1, 101)))
    table.before = lambda number: table.ids.append(table.ids[-1] + 1) if len(table.ids) < 115 else None
    found = ids(walk(table, 100), table)
    assert found == list(range(1, found[-1] + 1))
    assert found[-1] >= 100


@STEADY
def test_no_row_is_missed_or_doubled_when_rows_are_deleted_between_pages(walk):
    table, chance = Table(list(range(1, 201))), random.Random(1)
    table.before = lambda number: table.ids.remove(chance.choice(table.ids)) if number < 150 else None
    got = ids(walk(table, 200), table)
    assert got == sorted(set(got))
    assert set(table.ids) <= set(got)


@STEADY
@given(seed=st.integers(0, 10_000), count=st.integers(0, 120), cap=st.sampled_from([1, 2, 3, 7, 1000]))
def test_what_is_there_throughout_arrives_once_whatever_comes_and_goes(walk, seed, count, cap):
    cap = 2 if cap == 1 and walk is by_sorted_rows else cap  # which cannot see more than one row at a time
    chance = random.Random(seed)
    table, steady = Table(list(range(1, count * 2, 2)), cap=cap), set(range(1, count * 2, 2))

    def change(number: int) -> None:
        for _ in range(3):
            if table.ids and chance.random() < 0.3 and number < 100:
                gone = chance.choice(table.ids)
                table.ids.remove(gone)
                steady.discard(gone)
            if number < 100 and chance.random() < 0.3 and walk is not by_sorted_rows:
                table.ids = sorted({*table.ids, chance.randrange(1, count * 2 + 20)})

    table.before = change
    got = ids(walk(table, count), table)
    assert got == sorted(set(got))
    assert steady <= set(got)


@STEADY
def test_a_table_that_is_emptied_meanwhile_ends(walk):
    table = Table(list(range(1, 101)))
    table.before = lambda number: table.ids.clear() if number == 5 else None
    got = ids(walk(table, 100), table)
    assert got == sorted(set(got))  # of two pages that are asked for at once, the first may be the one without rows


@pytest.mark.parametrize("gone", [1, 31, 200, 700])
@pytest.mark.parametrize("at", [3, 8, 12])
def test_many_rows_that_are_deleted_at_once_shift_nothing(gone, at):
    table = Table(list(range(1, 1001)))
    table.before = lambda number: table.ids.__delitem__(slice(0, gone)) if number == at else None
    got = ids(Windows(QUERY, sized(table, 50), 1000, 0, None), table)
    assert got == sorted(set(got))
    assert set(table.ids) <= set(got)
    assert len(table.asked) < 60


@given(seed=st.integers(0, 1000), rows=st.integers(1, 20))
def test_rows_in_another_order_arrive_once_while_others_are_deleted(seed, rows):
    chance, table = random.Random(seed), Table(list(range(1, 81)))
    table.before = lambda number: table.ids.remove(chance.choice(table.ids)) if number < 40 else None
    got = ids(SortedRows({**QUERY, "sort": ["colour", "_id"]}, sized(table, rows), 0, None, hide_id=False), table)
    assert got == sorted(set(got), key=lambda id: (colour(id), id))
    assert set(table.ids) <= set(got)


def test_a_row_that_moves_to_a_later_place_is_not_passed_on_again():
    table = Table(list(range(1, 31)))
    strategy = SortedRows({**QUERY, "sort": ["colour", "_id"]}, sized(table, 4), 0, None, hide_id=False)
    before = list(pages(strategy, table))
    again = SortedRows(QUERY, sized(table, 4), 0, None, hide_id=False)
    assert sum(page.rows for page in before) == len(ids(again, table)) == 30


def test_an_id_that_was_asked_for_only_to_page_is_left_out_again():
    table = Table(list(range(1, 31)))
    query = {**QUERY, "sort": ["colour", "_id"], "fields": ["_id", "colour"]}
    found = pages(SortedRows(query, sized(table, 4), 0, None, hide_id=True), table)
    assert [record for page in found for record in page.records or ()] == [[n] for n in range(5) for _ in range(6)]


# --- distinct rows


@given(ids_=IDS, rows=st.integers(1, 30), offset=st.integers(0, 6), limit=st.none() | st.integers(1, 6))
def test_equal_rows_are_dropped_wherever_the_pages_end(ids_, rows, offset, limit):
    table = Table(ids_)
    strategy = DistinctRows({**QUERY, "fields": ["colour"], "sort": "colour"}, sized(table, rows), offset, limit)
    colours = sorted({colour(id) for id in ids_})
    assert ids(strategy, table) == (colours[offset:] if limit is None else colours[offset : offset + limit])


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_numbers_with_more_zeros_are_equal_and_an_empty_text_is_not_null(delimiter):
    query = {"sort": "n", "records_format": "csv" if delimiter == "," else "tsv"}
    key = DistinctRows(query, PageSize(5, 5), 0, None, numeric=[1])._key
    row = f'"a{delimiter}b"{delimiter}%s{delimiter}1.50'
    assert key((row % "1.0").encode()) == key((row % "1.000").encode()) == key((row % "1").encode())
    assert key((row % "100").encode()) != key((row % "1").encode())
    assert key(f"{delimiter}1{delimiter}".encode()) != key(f'""{delimiter}1{delimiter}'.encode())
    assert key(Raw(b"[1.0]")) == key(Raw(b"[1.000]")) == key(Raw(b"[1]")) != key(Raw(b"[1.001]"))


# --- which questions are asked


def test_ids_with_large_gaps_are_not_asked_for_range_by_range():
    table = Table([*range(1, 50), *range(10_000_000, 10_000_050)])
    assert ids(Ranges(QUERY, sized(table, 10), 99), table) == table.ids
    assert len(table.asked) < 15


def test_a_table_with_few_gaps_is_asked_for_in_ranges():
    table = Table([id for id in range(1, 101) if id % 3])
    assert ids(Ranges(QUERY, sized(table, 10), len(table.ids)), table) == table.ids
    assert sum("lte" in query.get("filters", {}).get("_id", {}) for query in table.asked) > 8


def test_a_full_page_of_a_range_is_followed_by_no_question_that_has_no_answer():
    table = Table(list(range(1, 101)))
    assert ids(Ranges(QUERY, sized(table, 10), 100), table) == table.ids
    assert len(table.asked) == 10 + len(["the first id", "the last id", "what was added"])


def test_rows_in_the_second_half_are_asked_for_from_the_other_end():
    table = Table(list(range(1, 1001)))
    assert ids(Windows(QUERY, sized(table, 101), 1000, 0, None), table) == table.ids
    assert len(table.asked) == 10
    assert max(query.get("offset", 0) for query in table.asked) < 500
    assert [query["sort"] for query in table.asked].count("_id desc") == 5


@pytest.mark.parametrize("strategy", ["ranges", "windows"])
def test_as_many_pages_are_fetched_at_a_time_as_allowed_and_no_more(strategy):
    table, lock = Table(list(range(1, 201))), threading.Lock()
    running = most = meeting = 0
    together = threading.Barrier(3, timeout=10)

    def fetch(request: Request) -> tuple[Result, Page]:
        nonlocal running, most, meeting
        with lock:
            running, most = running + 1, max(most, running + 1)
            meets = len(table.asked) > 4 and meeting < 3
            meeting += meets
        if meets:
            together.wait()  # passes only when three are here
        try:
            return table.fetch(request)
        finally:
            with lock:
                running -= 1

    size = sized(table, 10)
    chosen = Ranges(QUERY, size, 200) if strategy == "ranges" else Windows(QUERY, size, 200, 0, None)
    found = read_pages(chosen, fetch, at_once=3, ahead=9)  # a late thread must not keep the third page from its turn
    assert [record[0] for page in found for record in page.records or ()] == table.ids
    assert most == 3


def test_a_filter_that_is_a_range_is_narrowed_and_keeps_its_other_end():
    table = Table(list(range(1, 101)))
    query = {**QUERY, "filters": {"_id": {"gte": 5, "lt": 40}}}
    assert ids(Keyset(query, sized(table, 7), 0, None), table) == list(range(5, 40))
    assert table.asked[1]["filters"] == {"_id": {"gte": 5, "lt": 40, "gt": 11}}
    assert query == {**QUERY, "filters": {"_id": {"gte": 5, "lt": 40}}}


def test_an_offset_is_sent_with_the_first_keyset_page_only():
    table = Table(list(range(1, 31)))
    assert ids(Keyset(QUERY, sized(table, 10), 7, None), table) == list(range(8, 31))
    assert [query.get("offset") for query in table.asked] == [7, None, None]


def test_backwards_by_keyset():
    table = Table(list(range(1, 31)))
    query = {**QUERY, "sort": "_id desc"}
    assert ids(Keyset(query, sized(table, 7), 2, 20), table) == list(range(28, 8, -1))


@pytest.mark.parametrize("walk", WALKS)
def test_no_more_is_asked_for_than_is_wanted(walk):
    table = Table(list(range(1, 101)))
    assert len(ids(WALKS[walk](table, sized(table, 10), 0, 25), table)) == 25
    overlap = 2 if walk not in ("offsets", "keyset") else 0
    assert sum(query["limit"] for query in table.asked) in range(25, 26 + overlap)


def test_a_cursor_that_does_not_move_ends_the_walk():
    def fetch(request: Request) -> tuple[Result, Page]:
        return Result(next_cursor="AoE1"), Page(rows=1, received=1)

    strategy = Tokens(QUERY, PageSize(10, 10), None, name="cursor", first="*")
    assert sum(page.rows for page in read_pages(strategy, fetch, at_once=1, ahead=1)) == 2  # of the first, and of AoE1


def test_a_query_is_json():
    table = Table(list(range(1, 51)))
    ids(Ranges(QUERY, sized(table, 5), 50), table)
    assert json.loads(json.dumps(table.asked)) == table.asked


# --- page sizes that learn


def adapt(pages: PageSize, **facts: Any) -> int:
    rows = pages.rows
    pages.adapt(**{"asked": rows, "granted": rows, "rows": rows, "size": rows, "seconds": 0.01, **facts})
    return pages.rows


def test_pages_begin_modestly_and_grow_to_what_was_configured():
    size = PageSize(20_000, 8_000_000)
    assert [size.rows, adapt(size), adapt(size), adapt(size)] == [2000, 8000, 20_000, 20_000]


def test_a_small_page_size_is_never_exceeded():
    size = PageSize(50, 8_000_000)
    assert [size.rows, adapt(size), adapt(size)] == [50, 50, 50]


def test_wide_rows_are_asked_for_in_small_pages():
    size = PageSize(20_000, 4_000_000)
    assert adapt(size, size=40_000_000) == 200
    assert adapt(size, size=4_000_000_000) == 1


def test_slow_pages_become_smaller():
    size = PageSize(20_000, 8_000_000)
    assert adapt(size, seconds=40) == 500


def test_a_server_that_grants_less_is_believed():
    size = PageSize(20_000, 8_000_000)
    adapt(size)
    assert adapt(size, granted=300, rows=300) == 300
    assert adapt(size) == 300


@given(
    facts=st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(0, 10**10), st.floats(0, 1e5), st.none() | st.integers(0, 10**6))
    )
)
def test_a_page_is_never_empty_nor_beyond_the_limit_whatever_was_learnt(facts):
    size = PageSize(20_000, 8_000_000)
    for rows, bytes_, seconds, granted in facts:
        adapt(size, rows=rows, size=max(rows, bytes_), seconds=seconds, granted=granted)
        assert 1 <= size.rows <= 20_000


# --- threads


def test_the_next_page_is_fetched_while_this_one_is_worked_on():
    table, asked = Table(list(range(1, 31))), threading.Event()
    table.before = lambda number: asked.set() if number == 2 else None
    coming = pages(by_keyset(table, 30), table)
    next(coming)
    assert asked.wait(10)  # without being asked for
    assert sum(page.rows for page in coming) == 25


@pytest.mark.parametrize("failing", [1, 2, 6])
@pytest.mark.parametrize("walk", [by_keyset, by_ranges, by_windows])
def test_a_failure_in_the_background_comes_where_its_page_would(failing, walk):
    table = Table(list(range(1, 51)))

    def fail(number: int) -> None:
        if number == failing:
            raise TemporaryFailure("broken")

    table.before = fail
    got: list[int] = []
    with pytest.raises(TemporaryFailure, match="broken"):
        for page in pages(walk(table, 50), table):
            got += [record[0] for record in page.records or ()]
    assert got == list(range(1, len(got) + 1))
    assert len(got) <= 5 * failing  # of two threads the later page may be asked for first


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "_run" in thread.name]


def test_a_walk_that_is_left_early_leaves_no_thread_behind():
    before = set(threading.enumerate())
    table = Table(list(range(1, 1001)))
    for walk in (by_keyset, by_ranges, by_windows):
        coming = pages(walk(table, 1000), table)
        next(coming)
        next(coming)
        coming.close()  # type: ignore[attr-defined]
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


def test_threads_do_not_keep_a_process_alive():
    with background.ThreadPool(2):
        assert all(thread.daemon for thread in threads())
        assert threads()
