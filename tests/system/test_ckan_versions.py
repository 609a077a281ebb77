"""Every version of CKAN, with its quirks: whatever is asked for is in the archive, whole, once and in order."""

import json
import re
import time
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from support.archives import read_xlsx
from support.workspace import Workspace

from ckanpackager.ckan.datastore import search
from ckanpackager.demo.ckan_api import CkanApi, Handler, Resource
from ckanpackager.errors import PermanentFailure, TemporaryFailure
from ckanpackager.hosts import HostPolicy
from ckanpackager.http_client import Client, Refused

VERSIONS = [(2, 7), (2, 8), (2, 9, 0), (2, 9), (2, 10, 0), (2, 10), (2, 11, 2), (2, 11), (2, 12)]
EVERY_VERSION = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: ".".join(map(str, version)))
FIELDS = [
    {"id": "_id", "type": "int"},
    {"id": "name", "type": "text"},
    {"id": "colour", "type": "text"},
    {"id": "count", "type": "int4"},
    {"id": "latitude", "type": "numeric"},
]
COLOURS = ["red", "blue", None, "two\nlines", ""]
ROWS = [
    [
        id + id // 7,
        None if id % 3 == 0 else f"name {id}",
        COLOURS[id % 5],
        id % 4 or None,
        Decimal("1.50") if id % 2 else None,
    ]
    for id in range(1, 61)
]
Query = dict[str, Any]
HERE = HostPolicy(ckan_hosts=["127.0.0.1"])


@pytest.fixture
def work(workspace: Workspace) -> Workspace:
    workspace.configure(page_size=7)
    return workspace


def ckan(version: tuple[int, ...], rows: list[list[Any]] = ROWS) -> CkanApi:
    return CkanApi({"r": Resource(FIELDS, [list(row) for row in rows])}, version=version)


def package(work: Workspace, api: CkanApi, format: str, **query: Any) -> bytes:
    """What a worker packages: the file in the archive."""
    id = work.queue(api, format=format, limit=query.pop("limit", 0), **query)
    work.work()
    _, job = work.find(id)
    assert job.archive, job.failure or job.attempts
    assert job.archive.rows is not None
    with zipfile.ZipFile(work.store.directory / job.archive.name) as archive:
        return archive.read(f"resource.{format}")


def read(content: bytes, format: str) -> list[list[Any]]:
    """The header and the rows; NULL and an empty text are the same."""
    if format == "xlsx":
        rows = read_xlsx(content)
    elif format == "ndjson":
        objects = [json.loads(line, parse_float=Decimal) for line in content.decode().splitlines()]
        rows = [list(objects[0]), *(list(each.values()) for each in objects)]
    else:
        rows = list(read_text(content.decode(), "\t" if format == "tsv" else ","))
    return [["" if cell is None else str(cell) for cell in row] for row in rows]


def read_text(text: str, delimiter: str) -> Iterator[list[str]]:
    for row in re.findall(r'((?:"(?:[^"]|"")*"|[^"\n])*)\n', text):
        cells = re.findall(rf'(?:^|{delimiter})("(?:[^"]|"")*"|[^{delimiter}]*)', row)
        yield [cell.strip('"').replace('""', '"') for cell in cells]


def expected(rows: list[list[Any]], names: list[str]) -> list[list[str]]:
    places = [[field["id"] for field in FIELDS].index(name) for name in names]
    return [names, *([("" if row[at] is None else str(row[at])) for at in places] for row in rows)]


def same(got: list[list[str]], wanted: list[list[str]]) -> bool:
    """Numbers in a workbook have no zeros behind them."""
    return [[cell.replace("1.50", "1.5") for cell in row] for row in got] == [
        [cell.replace("1.50", "1.5") for cell in row] for row in wanted
    ]


NAMES = [field["id"] for field in FIELDS]
EVERY_FORMAT = pytest.mark.parametrize("format", ["csv", "tsv", "ndjson", "xlsx"])


@EVERY_VERSION
@EVERY_FORMAT
def test_every_row_is_there_though_values_are_null(version, format, work):
    with ckan(version) as api:
        assert same(read(package(work, api, format), format), expected(ROWS, NAMES))


@EVERY_VERSION
def test_a_darwin_core_archive_has_every_row_though_values_are_null(version, work):
    with ckan(version) as api:
        id = work.queue(api, "package_dwc_archive", limit=0)
        work.work()
        _, job = work.find(id)
        assert job.archive, job.failure
        assert job.archive.rows == len(ROWS)


@EVERY_VERSION
@EVERY_FORMAT
@pytest.mark.parametrize("fields", [["colour", "count"], ["latitude", "_id"], "name,colour"], ids=str)
def test_only_the_fields_that_were_asked_for_are_there_in_their_order(version, format, fields, work):
    names = fields.split(",") if isinstance(fields, str) else fields
    with ckan(version) as api:
        assert same(read(package(work, api, format, fields=names), format), expected(ROWS, names))


@EVERY_VERSION
@EVERY_FORMAT
@pytest.mark.parametrize("fields", [["colour", "count"], ["count", "_id"]], ids=str)
@pytest.mark.parametrize("sort", ["count desc", ["colour", "count desc"]], ids=str)
def test_rows_come_in_the_order_that_was_asked_for(version, format, fields, sort, work):
    rows = sorted(ROWS, key=lambda row: row[0])
    if sort == "count desc":
        rows.sort(key=lambda row: (row[3] is not None, -(row[3] or 0)))
    else:
        rows.sort(key=lambda row: (row[2] is None, row[2] or "", row[3] is not None, -(row[3] or 0)))
    with ckan(version) as api:
        assert same(read(package(work, api, format, fields=fields, sort=sort), format), expected(rows, fields))


@EVERY_VERSION
@EVERY_FORMAT
@pytest.mark.parametrize("offset", [0, 3])
def test_distinct_rows_come_once_in_every_format(version, format, offset, work):
    distinct = {(row[2], row[3]) for row in ROWS}
    with ckan(version) as api:
        content = package(work, api, format, fields=["colour", "count"], distinct=True, offset=offset)
    got = [tuple(row) for row in read(content, format)[1:]]
    wanted = {("" if colour is None else colour, "" if count is None else str(count)) for colour, count in distinct}
    assert len(got) == len(distinct) - offset
    assert set(got) <= wanted
    assert offset or set(got) == wanted


@EVERY_VERSION
def test_distinct_rows_are_noted_as_unsteady(version, work):
    with ckan(version) as api:
        id = work.queue(api, limit=0, fields=["colour"], distinct=True)
        work.work()
        _, job = work.find(id)
        assert job.archive
        assert any("added or deleted" in note for note in job.archive.notes)


@EVERY_VERSION
@EVERY_FORMAT
@pytest.mark.parametrize("fields", [None, ["name", "count"]], ids=str)
def test_a_search_for_words_has_the_same_columns_everywhere(version, format, fields, work):
    with ckan(version) as api:
        content = package(work, api, format, q="name 1", **({"fields": fields} if fields else {}))
    rows = [row for row in ROWS if "name 1" in str(row[1])]
    got = read(content, format)
    wanted = expected(rows, fields or NAMES)
    width = len(fields or NAMES)
    assert same([row[:width] for row in got], wanted)
    assert [row[width:] for row in got[:1]] == [[] if fields else ["rank"]]
    assert len({len(row) for row in got}) == 1


@EVERY_VERSION
@EVERY_FORMAT
def test_a_filter_gives_its_rows(version, format, work):
    with ckan(version) as api:
        content = package(work, api, format, filters={"colour": ["red", "blue"], "count": 3})
    assert same(
        read(content, format), expected([row for row in ROWS if row[2] in ("red", "blue") and row[3] == 3], NAMES)
    )


# --- what cannot be had, told at once


def ask(api: CkanApi, records_format: str = "csv", *, page_requests: int = 2, **query: Any) -> list[float]:
    """Ask for rows; the seconds that were waited."""
    waits: list[float] = []
    client = Client(key=None, timeout=20, hosts=HERE, wait=waits.append)
    found = search(
        client,
        api.api_url,
        {"resource_id": "r", **query},
        records_format=records_format,
        page_size=7,
        page_requests=page_requests,
    )
    assert sum(page.rows for page in found.pages) == found.total
    return waits


@EVERY_VERSION
@pytest.mark.parametrize("records_format", ["csv", "tsv", "objects", "lists"])
def test_a_wrong_value_is_told_at_once_in_ckans_words(version, records_format):
    with ckan(version) as api:
        with pytest.raises(Refused, match="409 Conflict: query: Invalid query; info: invalid input syntax"):
            ask(api, records_format, filters={"count": "many"})
        assert len(api.log) <= 6


@pytest.mark.parametrize("version", [(2, 11), (2, 12)])
def test_a_search_that_ckan_cannot_do_is_told_with_the_words_that_it_stumbles_over(version):
    with ckan(version) as api, pytest.raises(PermanentFailure, match="cannot search for ':word'; leave the colon out"):
        ask(api, q="a :word")


def test_a_column_that_ckan_stumbles_over_is_told_with_the_remedy():
    with ckan((2, 11, 6)) as api:
        api.resources["r"].fields = [*FIELDS[:4], {"id": "Specimen #", "type": "text"}]
        with pytest.raises(Refused, match=r"single statement.*contain '#' or ';': rename the column, or leave it out"):
            ask(api)


@EVERY_VERSION
def test_a_search_that_took_too_long_is_tried_again(version):
    def fault(handler: Handler, action: str, params: Query, nth: int) -> bool:
        error = {"query": ["Search took too long"], "__type": "Validation Error"}
        slow = params["limit"] and nth % 2
        if slow:
            handler.reply(409, json.dumps({"success": False, "error": error}))
        return bool(slow)

    with ckan(version) as api:
        api.fault = fault
        assert len(ask(api, page_requests=1)) >= 1
        api.fault = lambda handler, action, params, nth: fault(handler, action, params, 1)
        with pytest.raises(TemporaryFailure, match="Search took too long"):
            ask(api)


def test_a_server_that_sends_more_rows_than_asked_for_is_not_believed():
    def fault(handler: Handler, action: str, params: Query, nth: int) -> bool:
        if not params["limit"]:
            return False
        answer = json.loads(handler.api.site.act(action, {**params, "limit": 50}, None))
        handler.reply(200, json.dumps({"success": True, "result": answer}))
        return True

    with ckan((2, 12)) as api:
        api.fault = fault
        with pytest.raises(TemporaryFailure, match=r"was asked for \d rows but sent 50"):
            ask(api)


# --- backends


def test_after_is_used_where_it_is_there_without_the_name_of_the_backend():
    def fault(handler: Handler, action: str, params: Query, nth: int) -> bool:
        answer = json.loads(handler.api.site.act(action, params, None))
        del answer["_backend"]
        handler.reply(200, json.dumps({"success": True, "result": answer}))
        return True

    with ckan((2, 9)) as api:
        api.resources["r"].backend = "versioned-datastore"
        api.fault = fault
        ask(api, "objects")
        assert [request.params.get("after") is None for request in api.log].count(False) >= 8


# --- rows that are deleted meanwhile


@pytest.mark.parametrize("version", [(2, 9), (2, 11), (2, 12)])
@pytest.mark.parametrize(("rows", "cap"), [(60_000, 1000), (600, 1), (600, 2), (3000, 10)])
def test_every_survivor_comes_once_while_40_rows_a_second_are_deleted(version, rows, cap):
    began = time.monotonic()
    resource = Resource(FIELDS[:1], [[id] for id in range(1, rows + 1)])
    gone: set[int] = set()

    def delete(handler: Handler, action: str, params: Query, nth: int) -> bool:
        due = int((time.monotonic() - began) * 40)
        for number in range(len(gone), min(due, rows // 3)):
            row = resource.rows[number * 7919 % len(resource.rows)]
            gone.add(row[0])
            resource.rows = [each for each in resource.rows if each is not row]
        return False

    with CkanApi({"r": resource}, version=version, rows_max=cap) as api:
        api.fault = delete
        client = Client(key=None, timeout=20, hosts=HERE)
        found = search(client, api.api_url, {"resource_id": "r"}, records_format="objects")
        ids = [record["_id"] for page in found.pages for record in page.records or ()]
    assert ids == sorted(set(ids))
    assert {row[0] for row in resource.rows} <= set(ids)
    assert time.monotonic() - began < 60


# --- politeness


def test_requests_are_under_way_for_no_more_than_their_share_of_the_time():
    begun: list[float] = []

    def slow(handler: Handler, action: str, params: Query, nth: int) -> bool:
        begun.append(time.monotonic())
        time.sleep(0.02)
        return False

    with ckan((2, 11)) as api:
        api.fault = slow
        client = Client(key=None, timeout=20, hosts=HERE)
        found = search(client, api.api_url, {"resource_id": "r"}, records_format="csv", page_size=6, share=0.25)
        assert sum(page.rows for page in found.pages) == 60
    assert min(later - earlier for earlier, later in pairwise(begun)) >= 0.08  # four times what each took
