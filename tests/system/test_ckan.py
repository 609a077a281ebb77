"""A search of the datastore against servers of every age and temper: exactly the expected rows, in order, once."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from ckanpackager.ckan import csv_parser, datastore, responses
from ckanpackager.ckan.actions import status
from ckanpackager.ckan.pages import Page
from ckanpackager.demo.ckan_api import CkanApi, Handler, Resource
from ckanpackager.errors import PermanentFailure, TemporaryFailure
from ckanpackager.formats.json_values import Number
from ckanpackager.hosts import HostPolicy
from ckanpackager.http_client import Client, Refused
from ckanpackager.http_client.client import TRIES

HERE = HostPolicy(ckan_hosts=["127.0.0.1"])

FIELDS = [
    {"id": "_id", "type": "int"},
    {"id": "name", "type": "text"},
    {"id": "records", "type": "text"},
    {"id": "taxon_id", "type": "int4"},
    {"id": "latitude", "type": "numeric"},
]
NAMES = [
    'a "quoted" one',
    "two\nlines",
    'three\n"\n"lines\n',
    "Forêt 🦋",
    "",
    None,
    "back\\slash\\n",
    'records": "',
    "x" * 90,
]


def rows(count: int) -> list[list[Any]]:
    """Rows whose ids have gaps, and whose other values come again and again."""
    return [
        [number + number // 5, NAMES[number % len(NAMES)], f"r{number % 3}", number % 4, Decimal("70.4300")]
        for number in range(1, count + 1)
    ]


def table(count: int = 23, **options: Any) -> Resource:
    return Resource(FIELDS, rows(count), **options)


KINDS: dict[str, dict[str, Any]] = {
    "2.7, objects": {"version": (2, 7)},
    "2.8, csv by offset": {"version": (2, 8)},
    "2.10": {"version": (2, 10)},
    "2.11": {"version": (2, 11)},
    "2.12, keyset and ranges": {"version": (2, 12)},
    "solr": {"version": (2, 7), "backend": "solr"},
    "versioned-datastore": {"version": (2, 9), "backend": "versioned-datastore"},
}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def site(kind: str, count: int = 23, **options: Any) -> CkanApi:
    about = dict(KINDS[kind])
    return CkanApi({"r": table(count, backend=about.pop("backend", None))}, **about, **options)


class Found:
    """A search, what it waited, and what it found: rows as lists of values, whatever they came as."""

    def __init__(self, api: CkanApi, query: dict[str, Any] | None = None, *, key: str | None = None, **options: Any):
        self.api = api
        self.waits: list[float] = []
        self.client = Client(key=key, timeout=20, hosts=HERE, wait=self.waits.append)
        query = {"resource_id": "r", **(query or {})}
        self.search = datastore.search(self.client, api.api_url, query, **{"records_format": "csv", **options})
        self.names = [field.id for field in self.search.fields]

    @property
    def rows(self) -> list[list[Any]]:
        return list(self)

    @property
    def ids(self) -> list[int]:
        return [row[self.names.index("_id")] for row in self]

    def __iter__(self) -> Iterator[list[Any]]:
        for page in self.search.pages:
            found = list(self._values(page))
            assert len(found) == page.rows
            yield from found

    def _values(self, page: Page) -> Iterator[list[Any]]:
        kinds = [field.type for field in self.search.fields]
        if page.text is not None:
            text = text_of(page).decode()
            for row in csv.reader(io.StringIO(text, newline="")):
                yield [value if kind == "text" else int(value) if "int" in kind else Decimal(value) if value else None
                       for kind, value in zip(kinds, row, strict=True)]  # fmt: skip
        for record in page.records or ():
            values = record if isinstance(record, list) else [record[name] for name in self.names]
            yield [Decimal(str(value)) if isinstance(value, Number) else value for value in values]


def text_of(page: Page) -> bytes:
    assert page.text is not None
    file = io.BytesIO()
    page.text.write_to(file)
    return file.getvalue()


def plain(found: list[list[Any]]) -> list[list[Any]]:
    """CSV as Python reads it does not tell an empty text from none."""
    return [["" if value is None else value for value in row] for row in found]


def pages_asked(api: CkanApi) -> list[dict[str, Any]]:
    """The questions for rows, without those for fields and totals."""
    return [request.params for request in api.log if request.params.get("limit") != 0]


# --- every row once, everywhere

COMBINATIONS = [(0, None), (0, 5), (0, 23), (0, 1000), (4, None), (4, 5), (7, 1), (22, None), (23, None), (1000, 3)]


@EVERY_KIND
@pytest.mark.parametrize("rows_max", [32_000, 4], ids=["generous", "rows_max below page_size"])
@pytest.mark.parametrize("page_size", [1, 5, 23, 1000])
def test_every_row_arrives_once_in_order_from_every_server(kind, rows_max, page_size):
    with site(kind, rows_max=rows_max) as api:
        for offset, limit in COMBINATIONS:
            expected = rows(23)[offset:][:limit]
            for at_once in (1, 2) if offset == 0 and limit is None else (1,):
                found = Found(api, offset=offset, limit=limit, page_size=page_size, page_requests=at_once)
                assert plain(found.rows) == plain(expected), (offset, limit)
                assert (found.search.total, found.waits) == (len(expected), [])


@EVERY_KIND
@pytest.mark.parametrize("count", [0, 1, 5, 6])
def test_small_tables_arrive_too(kind, count):
    with site(kind, count) as api:
        for at_once in (1, 2):
            assert plain(Found(api, page_size=5, page_requests=at_once).rows) == plain(rows(count))


@EVERY_KIND
@pytest.mark.parametrize("count", [8, 11])
def test_nothing_is_lost_when_every_other_answer_is_a_500(kind, count):
    def fault(handler: Handler, action: str, params: dict[str, Any], nth: int) -> bool:
        if nth % 2:
            handler.reply(500, "<h1>Internal Server Error</h1>", "text/html")
        return bool(nth % 2)

    with site(kind, count) as api:
        api.fault = fault
        assert plain(Found(api, page_size=4, page_requests=2).rows) == plain(rows(count))


@EVERY_KIND
def test_a_large_table_arrives_in_pages_that_grow(kind):
    with site(kind, 12_000) as api:
        found = Found(api, page_size=20_000, page_requests=2)
        assert [row[0] for row in found] == [row[0] for row in rows(12_000)]
        assert next(query["limit"] for query in pages_asked(api) if query["limit"] > 1) == 2000
        assert max(query["limit"] for query in pages_asked(api)) >= 8000


def test_ids_with_large_gaps_arrive_without_a_question_for_every_gap():
    resource = table(40)
    for number, row in enumerate(resource.rows):
        row[0] = number**4 + number
    with CkanApi({"r": resource}) as api:
        assert Found(api, page_size=5, page_requests=3).ids == [row[0] for row in resource.rows]
        assert len(api.log) < 15


# --- a table that changes


@pytest.mark.parametrize("at_once", [1, 2])
def test_every_row_arrives_once_when_rows_are_added_and_deleted_between_pages(at_once):
    resource = table(200)
    steady = {row[0] for row in resource.rows if row[0] % 7}

    def change(handler: Handler, action: str, params: dict[str, Any], nth: int) -> bool:
        if params.get("limit") and nth < 60:
            gone = next((row for row in resource.rows if row[0] % 7 == 0), None)
            last = resource.rows[-1][0]
            resource.rows = [row for row in resource.rows if row is not gone]
            resource.rows.append([last + 1 + (last + 1) % 7 // 6, "new", "", 0, None])
        return False

    with CkanApi({"r": resource}) as api:
        api.fault = change
        got = Found(api, page_size=10, page_requests=at_once).ids
        assert got == sorted(set(got))
        assert steady <= set(got)
        assert got[-1] > rows(200)[-1][0]


def test_deleted_rows_are_no_error_but_missing_ones_are():
    with site("2.12, keyset and ranges", 30) as api:
        found = Found(api, page_size=10, page_requests=1)
        api.resources["r"].rows = api.resources["r"].rows[:25]
        assert len(found.rows) == 25
        found = Found(api, page_size=10, page_requests=1)
        api.fault = lambda handler, action, params, nth: (
            params.get("limit") != 0 and "filters" in params and empty(handler)
        )
        with pytest.raises(TemporaryFailure, match="announced 25 rows but sent 10"):
            found.ids  # noqa: B018


def empty(handler: Handler) -> bool:
    handler.reply(200, json.dumps({"success": True, "result": {"records": "", "limit": 10}}))
    return True


@EVERY_KIND
@pytest.mark.parametrize("offset", [0, 3])
def test_fewer_rows_than_announced_are_a_failure_with_every_server(kind, offset):
    def fault(handler: Handler, action: str, params: dict[str, Any], nth: int) -> bool:
        return params["limit"] != 0 and len(pages_asked(api)) > 2 and empty_page(handler, params)

    def empty_page(handler: Handler, params: dict[str, Any]) -> bool:
        result = json.loads(handler.api.site.act("datastore_search", params, None))
        result["records"] = "" if isinstance(result["records"], str) else []
        handler.reply(200, json.dumps({"success": True, "result": result}))
        return True

    with site(kind) as api:
        found = Found(api, page_size=5, page_requests=1, offset=offset)
        api.fault = fault
        with pytest.raises(TemporaryFailure, match=f"announced {23 - offset} rows but sent (9|10)$"):
            found.rows  # noqa: B018


# --- filters, sorting, searching

FILTERED: list[tuple[dict[str, Any], Callable[[list[Any]], bool]]] = [
    ({"filters": {"records": "r1"}}, lambda row: row[2] == "r1"),
    ({"filters": {"records": ["r1", "r2"], "taxon_id": 3}}, lambda row: row[2] in ("r1", "r2") and row[3] == 3),
    ({"filters": {"_id": [3, 9, 12, 22, 25, 99]}}, lambda row: row[0] in (3, 9, 12, 22, 25)),
    ({"filters": {"_id": 9}}, lambda row: row[0] == 9),
    ({"filters": {"name": "two\nlines"}}, lambda row: row[1] == "two\nlines"),
    ({"filters": {"name": 'records": "'}}, lambda row: row[1] == 'records": "'),
    ({"filters": {"records": "nowhere"}}, lambda row: False),
]


@EVERY_KIND
@pytest.mark.parametrize("number", range(len(FILTERED)))
def test_a_filter_gives_its_rows_once(kind, number):
    query, kept = FILTERED[number]
    with site(kind, 60) as api:
        for at_once in (1, 2):
            found = Found(api, query, page_size=3, page_requests=at_once)
            assert plain(found.rows) == plain([row for row in rows(60) if kept(row)])


@pytest.mark.parametrize("limits", [{"gt": 7}, {"gte": 7, "lt": 40}, {"lte": 30}, {"gt": 20, "lt": 22}])
@pytest.mark.parametrize("sort", [None, "_id", "_id asc", "_id desc"])
@pytest.mark.parametrize("offset", [0, 2])
def test_a_range_of_ids_is_kept_while_keyset_paging_narrows_it(limits, sort, offset):
    tests = {"gt": int.__gt__, "gte": int.__ge__, "lt": int.__lt__, "lte": int.__le__}
    expected = [row[0] for row in rows(60) if all(tests[name](row[0], limit) for name, limit in limits.items())]
    query = {"filters": {"_id": limits}} | ({"sort": sort} if sort else {})
    with site("2.12, keyset and ranges", 60) as api:
        got = Found(api, query, page_size=4, offset=offset).ids
        assert got == (expected[::-1] if sort == "_id desc" else expected)[offset:]


@pytest.mark.parametrize("kind", [kind for kind, about in KINDS.items() if "backend" not in about])
@pytest.mark.parametrize("sort", ["_id desc", ["_id desc"], '"_id" desc'])
def test_backwards(kind, sort):
    with site(kind) as api:
        assert Found(api, {"sort": sort}, page_size=4).ids == [row[0] for row in rows(23)][::-1]


TIES = {
    "name": ["name", "_id"],
    "taxon_id": ["taxon_id", "_id"],
    "taxon_id desc": ["taxon_id desc", "_id"],
    "records, taxon_id asc": ["records", "taxon_id asc", "_id"],
    '"taxon_id" DESC nulls last': ['"taxon_id" DESC nulls last', "_id"],
    "_id desc": "_id desc",
    "name,_id": "name,_id",
    'name, "_id" desc': 'name, "_id" desc',
    "": "_id",
}


@pytest.mark.parametrize("sort", TIES)
@pytest.mark.parametrize("kind", ["2.8, csv by offset", "2.12, keyset and ranges"])
def test_rows_that_are_equal_in_rank_are_told_apart_by_their_id(kind, sort):
    with site(kind) as api:
        found = Found(api, {"sort": sort} if sort else {}, page_size=4, page_requests=1)
        assert sorted(found.ids) == [row[0] for row in rows(23)]
        opposite = {"_id": "_id desc", "_id desc": "_id"}  # for rows nearer to the end
        for query in pages_asked(api):
            assert query["sort"] in (TIES[sort], opposite.get(str(TIES[sort])))


@pytest.mark.parametrize("kind", ["2.7, objects", "2.8, csv by offset", "2.12, keyset and ranges"])
@pytest.mark.parametrize("sort", [None, "records", "records desc"])
def test_distinct_rows_come_once_and_never_by_keyset(kind, sort):
    query = {"distinct": True, "fields": ["taxon_id", "records"]} | ({"sort": sort} if sort else {})
    with site(kind, 60) as api:
        found = Found(api, query, page_size=5).rows
        assert sorted(found) == sorted([[taxon, f"r{one}"] for taxon in range(4) for one in range(3)])
        for asked in pages_asked(api):
            assert not {"filters", "include_next_page"} & set(asked)
            assert sorted(part.split()[0] for part in asked["sort"]) == ["records", "taxon_id"]


@pytest.mark.parametrize("kind", ["2.7, objects", "2.11", "2.12, keyset and ranges"])
@pytest.mark.parametrize("query", [{"q": "quoted"}, {"q": {"name": "quoted"}}, {"q": {"records": "r1"}}])
@pytest.mark.parametrize("fields", [None, ["_id", "name"], ["name"]])
def test_a_search_for_words_gives_its_rows_once(kind, query, fields):
    wanted = [row for row in rows(60) if ("quoted" if "r1" not in str(query) else "r1") in f"{row[1]} {row[2]}"]
    with site(kind, 60) as api:
        found = Found(api, query | ({"fields": fields} if fields else {}), page_size=4)
        got = [dict(zip(found.names, row, strict=True))["name"] or "" for row in found]
        assert got == [row[1] or "" for row in wanted]
        assert any(name.startswith("rank") for name in found.names) == (fields is None)


def test_fields_come_in_the_order_that_was_asked_for_with_what_the_dictionary_says():
    api = site("2.12, keyset and ranges")
    api.resources["r"].fields = [
        *FIELDS[:4],
        {**FIELDS[4], "info": {"label": "Breite", "notes": 'a\n"records": "x"\n'}},
    ]
    with api:
        found = Found(api, {"fields": ["latitude", "_id"]})
        assert [field.id for field in found.search.fields] == ["latitude", "_id"]
        assert found.search.fields[0].info == {"label": "Breite", "notes": 'a\n"records": "x"\n'}
        assert found.rows == [[Decimal("70.4300"), row[0]] for row in rows(23)]


# --- questions


def test_the_total_is_asked_for_once_and_what_is_absent_not_at_all():
    with site("2.12, keyset and ranges") as api:
        assert len(Found(api, page_size=5).rows) == 23
        assert [request.params.get("include_total") for request in api.log] == [True] + [False] * (len(api.log) - 1)
        assert not {"offset", "q", "filters", "fields"} & set(api.log[0].params)
        assert all(value not in ("", None, {}, []) for request in api.log for value in request.params.values())


@pytest.mark.parametrize("kind", ["2.7, objects", "2.8, csv by offset", "2.11"])
def test_what_an_older_server_does_not_know_is_found_out_once(kind):
    with site(kind, 40) as api:
        assert len(Found(api, page_size=5).rows) == 40
        refused = {"2.7, objects": 2, "2.8, csv by offset": 1, "2.11": 1}[kind]
        assert [request.params["limit"] for request in api.log][: refused + 2] == [0] * (refused + 1) + [5]
        assert not any("include_next_page" in request.params for request in api.log[refused:])


@pytest.mark.parametrize("records_format", ["csv", "tsv", "objects", "lists"])
@EVERY_KIND
def test_rows_come_in_the_wanted_format_where_the_server_knows_it(kind, records_format):
    with site(kind) as api:
        search = Found(api, records_format=records_format, page_size=5).search
        page = next(search.pages)
        known = KINDS[kind]["version"] >= (2, 8) and "backend" not in KINDS[kind]
        if known and records_format in ("csv", "tsv"):
            assert page.text is not None
            assert page.records is None
        else:
            assert page.text is None
            assert page.records is not None
            lists = records_format == "lists" and "2.12" in kind  # elsewhere they may lack rows
            assert isinstance(page.records[0], list if lists else dict)


@EVERY_KIND
def test_records_may_stay_the_json_that_they_came_as(kind):
    with site(kind) as api:
        search = Found(api, records_format="objects", as_raw=True, page_size=5).search
        raw = [bytes(record) for page in search.pages for record in page.records or ()]
        assert [json.loads(record)["_id"] for record in raw] == [row[0] for row in rows(23)]
        assert all(b'"latitude":70.4300' in record for record in raw)


def test_a_page_that_fails_is_asked_for_again_for_fewer_rows():
    with site("2.12, keyset and ranges", 300) as api:
        api.fault = lambda handler, action, params, nth: (
            params["limit"] > 30 and not handler.reply(504, "<h1>Time-out</h1>")
        )
        found = Found(api, page_size=100)
        assert len(found.rows) == 300
        assert [query["limit"] for query in pages_asked(api)][:3] == [100, 50, 25]
        assert len(found.waits) >= 2


# --- numbers


def test_numbers_keep_their_digits():
    digits = ["70.4300", "-0.0100", "12345678901234567890.12345678901234567890", "1E-10", "0.0", "3"]
    fields = [{"id": "_id", "type": "int"}, {"id": "n", "type": "numeric"}, {"id": "big", "type": "numeric"}]
    values = [
        [number, Decimal(text), Decimal("123456789012345678901234567890")] for number, text in enumerate(digits, 1)
    ]
    for version in [(2, 7), (2, 12)]:
        for records_format in ("csv", "lists", "objects"):
            with CkanApi({"r": Resource(fields, values)}, version=version) as api:
                found = Found(api, records_format=records_format, page_size=2)
                got = [[str(value) for value in row[1:]] for row in found]
                assert [Decimal(one) for one, _ in got] == [Decimal(text) for text in digits]
                assert [len(one) for one, _ in got] == [len(str(Decimal(text))) for text in digits]
                assert {big for _, big in got} == {"123456789012345678901234567890"}


# --- refusals


def test_a_missing_resource_is_named_and_final():
    with site("2.12, keyset and ranges") as api:
        with pytest.raises(Refused, match='404 Not Found: Not found: Resource "nowhere" was not found') as refusal:
            Found(api, {"resource_id": "nowhere"})
        assert refusal.value.status == 404
        assert len(api.log) == 1


@EVERY_KIND
def test_a_private_resource_opens_with_its_key(kind):
    with site(kind, key="letmein") as api:
        api.resources["r"].private = True
        with pytest.raises(Refused, match="403 Forbidden: Access denied"):
            Found(api, key="wrong")
        assert len(Found(api, key="letmein", page_size=5, page_requests=2).rows) == 23


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"sort": "nowhere"}, 'sort: invalid value "nowhere"'),
        ({"fields": ["nowhere"]}, 'fields: invalid value "nowhere"'),
        ({"filters": {"nowhere": 1}}, "filters: Unknown field: nowhere"),
        ({"filters": {"taxon_id": "x"}}, "invalid input syntax for type int4"),
    ],
)
def test_a_question_that_ckan_does_not_take_fails_in_ckans_words(query, words):
    with site("2.12, keyset and ranges") as api, pytest.raises(Refused) as refusal:
        Found(api, query)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


# --- answers that are none

GOOD = {"success": True, "result": {"fields": [{"id": "_id", "type": "int"}], "total": 30, "limit": 10}}


def with_records(records: Any) -> str:
    return json.dumps(GOOD | {"result": GOOD["result"] | {"records": records}})  # type: ignore[operator]


NO_ANSWERS = {
    "HTML": "<!DOCTYPE html>\n<html><h1>Please log in</h1></html>",
    "nothing": "",
    "a JSON text": '"Bad request"',
    "a JSON list": "[1, 2]",
    "null": "null",
    "an object of another kind": '{"status": "ok"}',
    "JSON that ends early": with_records("1\n2\n")[:-9],
    "JSON that ends within the rows": with_records("1\n2\n").partition("2")[0],
    "JSON with more behind it": with_records("1\n") + "}",
    "success is no boolean": '{"success": "yes", "result": {}}',
    "records that are a number": with_records(5),
    "records that are null": with_records(None),
    "records that are an object": with_records({"a": 1}),
    "records of numbers": with_records([1, 2]),
    "records of texts": with_records(["1", "2"]),
    "a text with a bad escape": with_records("1\n2\n").replace("2", "\\x"),
    "a text with half a character": with_records("1\n2\n").replace("2", "\\ud800"),
    "bytes that are no UTF-8": "\ufffe",
    "a total that is a text": json.dumps({"success": True, "result": {"total": "many"}}),
}


@pytest.mark.parametrize("kind", ["2.7, objects", "2.8, csv by offset", "2.12, keyset and ranges"])
@pytest.mark.parametrize("what", NO_ANSWERS)
@pytest.mark.parametrize("small_pieces", [False, True])
def test_what_is_no_answer_is_asked_for_again_and_then_a_temporary_failure(kind, what, small_pieces, monkeypatch):
    if small_pieces:
        monkeypatch.setattr(csv_parser, "_PIECE", 4)
    body = NO_ANSWERS[what].encode().replace("\ufffe".encode(), b"\xff\xfe\xff")
    with site(kind) as api:
        at_once = Found(api, page_size=5, page_requests=1)
        begun = len(api.log)
        api.fault = lambda handler, action, params, nth: nth == begun + 2 and not handler.reply(200, body)
        assert len(at_once.rows) == 23  # it was a hiccup
        assert len(at_once.waits) == 1
        for_ever = Found(api, page_size=5, page_requests=1)
        begun = len(api.log)
        api.fault = lambda handler, action, params, nth: nth >= begun + 2 and not handler.reply(200, body)
        with pytest.raises(TemporaryFailure) as failure:
            for_ever.rows  # noqa: B018
        assert str(failure.value).startswith(api.api_url)
        assert "\n" not in str(failure.value)
        assert len(for_ever.waits) >= TRIES - 1


@pytest.mark.parametrize("what", NO_ANSWERS)
def test_what_is_no_answer_to_the_first_question_is_a_temporary_failure(what):
    body = NO_ANSWERS[what].encode().replace("\ufffe".encode(), b"\xff\xfe\xff")
    with site("2.12, keyset and ranges") as api:
        api.fault = lambda handler, action, params, nth: not handler.reply(200, body)
        with pytest.raises(TemporaryFailure):
            Found(api)
        assert len(api.log) == TRIES


def test_success_false_is_a_permanent_failure_in_ckans_words():
    with site("2.12, keyset and ranges") as api:
        api.fault = lambda handler, action, params, nth: (
            not handler.reply(200, '{"success": false, "error": {"message": "No,\\nthank you", "__type": "Whim"}}')
        )
        with pytest.raises(PermanentFailure, match="refused the search: No, thank you"):
            Found(api)
        assert len(api.log) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": {"message": "Not found: x", "__type": "Not Found Error"}}', "Not found: x"),
        (b'{"error": {"fields": ["invalid \\"x\\"", "two"], "__type": "V"}}', 'fields: invalid "x", two'),
        (b'{"error": {"info": {"statement": ["SELECT"], "orig": ["no such\\nLINE 1"]}}}', "info: no such"),
        (b'"Bad request:\\n JSON Error"', "Bad request: JSON Error"),
        (b"<h1>404</h1>", ""),
        (b"", ""),
        (b"\xff", ""),
        (b"[]", "[]"),
        (b'{"error": "' + b"x" * 1000 + b'"}', "x" * 300),
    ],
)
def test_a_refusal_is_told_in_one_short_line(body, words):
    assert responses.error_message(body) == words


# --- the marker of the rows, where it is none


@pytest.mark.parametrize("small_pieces", [False, True])
@pytest.mark.parametrize("version", [(2, 8), (2, 12)])
@pytest.mark.parametrize(
    "query",
    [
        {"filters": {"records": "r1"}},
        {"filters": {"records": "line\none"}},
        {"filters": {"records": ""}},
        {"q": {"records": "r"}},
        {"fields": ["_id", "records", "name"]},
        {"filters": {"name": '"records": "'}},
        {},
    ],
    ids=str,
)
def test_something_else_named_records_is_not_taken_for_the_rows(version, query, small_pieces, monkeypatch):
    if small_pieces:
        monkeypatch.setattr(csv_parser, "_PIECE", 16)
    notes = {"notes": 'the\nfield "records": "\n" holds\n"records": "\n', "records": "x\n"}
    fields = [{**field, "info": notes} for field in FIELDS]
    resource = Resource(fields, rows(60))
    for number, name in enumerate(["r1", "line\none", ""] * 20):
        resource.rows[number][2] = name
        resource.rows[number][1] = '"records": "' if number % 2 else "\n"
    with CkanApi({"r": resource}, version=version) as api:
        wanted = query.get("filters", {})
        workspace = {"records": 2, "name": 1}
        found = Found(api, query, page_size=7, page_requests=2)
        expected = [
            row[0] for row in resource.rows if all(row[workspace[name]] == value for name, value in wanted.items())
        ]
        assert [row[found.names.index("_id")] for row in found] == (
            expected if "q" not in query else [row[0] for row in resource.rows if "r" in row[2]]
        )
        assert found.waits == []


# --- is it a CKAN at all?


def test_a_site_says_what_it_is():
    with site("2.11") as api:
        client = Client(key=None, timeout=5, hosts=HERE)
        assert re.fullmatch(rf"{api.url}: CKAN 2\.11\S*, with the datastore", status(client, api.url))


@pytest.mark.parametrize(
    "body", ["<html>", "[]", "{}", '{"result": null}', '{"result": {"ckan_version": "2.9", "extensions": null}}']
)
def test_another_site_is_told_from_a_ckan(body):
    with site("2.11") as api:
        api.fault = lambda handler, action, params, nth: not handler.reply(200, body)
        with pytest.raises(TemporaryFailure, match="is this the address of the site"):
            status(Client(key=None, timeout=5, hosts=HERE), api.url)
