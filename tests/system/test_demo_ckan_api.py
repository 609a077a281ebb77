"""The demo's CKAN answers as a real one does: the literals here were answers of CKAN 2.12.0."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from urllib.parse import urlencode

import pytest

from ckanpackager.demo import sample
from ckanpackager.demo.ckan_api import JSON_NULL, CkanApi, File, Resource

FIELDS = [
    {"id": "_id", "type": "int"},
    {"id": "Locality", "type": "text"},
    {"id": "Latitude", "type": "numeric"},
    {"id": "Uncertainty", "type": "float8"},
    {"id": "Count", "type": "int4"},
    {"id": "Modified", "type": "timestamp"},
    {"id": "Media", "type": "json"},
    {"id": "Checked", "type": "bool"},
]
ROWS = [
    [1, "Forêt, 21 km", "70.4300", None, 8, "2011-05-21T18:08:11.448", [{"title": "札幌"}], True],
    [2, 'two\n"lines"', Decimal("-3.1990"), 1234.5678, None, "2018-12-17T11:23:06", JSON_NULL, False],
    [3, "", None, 50000.0, 3, None, None, None],
    [4, None, Decimal("0"), 0.1, 3, None, None, True],
]


def table(rows: int = 4, **options) -> Resource:
    more = [[number, f"Workspace {number}", *[None] * 6] for number in range(5, rows + 1)]
    return Resource(FIELDS, [*map(list, ROWS), *more][:rows], **options)


@pytest.fixture
def api() -> Iterator[CkanApi]:
    with CkanApi({"r": table()}) as api:
        yield api


def fetch(url: str, data: bytes | None = None, **headers: str) -> tuple[int, str, http.client.HTTPMessage]:
    request = urllib.request.Request(url, data, {name.replace("_", "-"): value for name, value in headers.items()})
    try:
        answer = urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.read().decode(), answer.headers


def act(api: CkanApi, action: str, params: object, **headers: str) -> tuple[int, str]:
    headers = {"Content_Type": "application/json", **headers}
    status, text, _ = fetch(f"{api.url}/api/3/action/{action}", json.dumps(params).encode(), **headers)
    return status, text


def result(api: CkanApi, **params) -> dict:
    status, text = act(api, "datastore_search", {"resource_id": "r", **params})
    assert status == 200, text
    return json.loads(text)["result"]


def refusal(api: CkanApi, **params) -> tuple[int, dict]:
    status, text = act(api, "datastore_search", {"resource_id": "r", **params})
    return status, json.loads(text)["error"]


def ids(api: CkanApi, **params) -> list[int]:
    return [row[0] for row in result(api, records_format="lists", fields=["_id"], **params)["records"]]


# --- rows, byte for byte

EXACT = {
    "objects": '[{"_id":1,"Locality":"Forêt, 21 km","Latitude":70.4300,"Uncertainty":null,"Count":8,'
    '"Modified":"2011-05-21T18:08:11.448","Media":[{"title": "\\u672d\\u5e4c"}],"Checked":true},'
    '{"_id":2,"Locality":"two\\n\\"lines\\"","Latitude":-3.1990,"Uncertainty":1234.5678,"Count":null,'
    '"Modified":"2018-12-17T11:23:06.000","Media":null,"Checked":false}]',
    "lists": '[[1,"Forêt, 21 km",70.4300,null,8,"2011-05-21T18:08:11.448",[{"title": "\\u672d\\u5e4c"}],true],'
    '[2,"two\\n\\"lines\\"",-3.1990,1234.5678,null,"2018-12-17T11:23:06.000",null,false]]',
    "csv": r'"1,\"For\u00eat, 21 km\",70.4300,,8,2011-05-21T18:08:11.448,'
    r"\"[{\"\"title\"\": \"\"\\u672d\\u5e4c\"\"}]\",t\n"
    r'2,\"two\n\"\"lines\"\"\",-3.1990,1234.5678,,2018-12-17T11:23:06.000,null,f\n"',
    "tsv": r'"1\tFor\u00eat, 21 km\t70.4300\t\t8\t2011-05-21T18:08:11.448\t'
    r"\"[{\"\"title\"\": \"\"\\u672d\\u5e4c\"\"}]\"\tt\n"
    r'2\t\"two\n\"\"lines\"\"\"\t-3.1990\t1234.5678\t\t2018-12-17T11:23:06.000\tnull\tf\n"',
}


@pytest.mark.parametrize("records_format", EXACT)
def test_records_are_written_as_postgresql_writes_them(api, records_format):
    _, text = act(api, "datastore_search", {"resource_id": "r", "limit": 2, "records_format": records_format})
    assert f'"records": {EXACT[records_format]}, "fields"' in text


def test_whole_answer_has_the_keys_in_order(api):
    params = {"resource_id": "r", "limit": 1, "fields": "_id", "filters": {"_id": {"gt": 1, "lte": 3}}}
    status, text = act(api, "datastore_search", params | {"include_next_page": True})
    assert (status, text) == (
        200,
        f'{{"help": "{api.url}/api/3/action/help_show?name=datastore_search", "success": true, "result": '
        '{"fields": [{"id": "_id", "type": "int"}], "filters": {"_id": {"gt": 1, "lte": 3}}, '
        '"include_next_page": true, "include_total": true, "limit": 1, "records_format": "objects", '
        '"resource_id": "r", "filterops": {"op": "$and", "field": null, "value": '
        '[{"op": "gt", "field": "_id", "value": 1}, {"op": "lte", "field": "_id", "value": 3}]}, '
        '"records": [{"_id":2}], "total": 2, "next_page": {"_id": {"gt": 2}}}}',
    )


def test_csv_empty_text_is_quoted_null_is_not_and_an_absent_document_is_null(api):
    records = result(api, offset=2, records_format="csv")["records"]
    assert records == '3,"",,50000,3,,null,\n4,,0,0.1,3,,null,t\n'


def test_jsonb_tells_its_own_null_from_an_absent_value():
    fields = [{"id": "_id", "type": "int"}, {"id": "Media", "type": "jsonb"}]
    with CkanApi({"r": Resource(fields, [[1, JSON_NULL], [2, None]])}) as api:
        assert result(api, records_format="csv")["records"] == "1,null\n2,\n"


def test_csv_equals_dump_body(api):
    api.resources["r"] = Resource(sample.FIELDS, list(sample.rows(200)))
    _, text, headers = fetch(f"{api.url}/datastore/dump/r")
    header, _, body = text.partition("\r\n")
    assert header == ",".join(field["id"] for field in sample.FIELDS)
    assert body == result(api, records_format="csv", limit=200)["records"]
    assert headers["Transfer-Encoding"] == "chunked"


def test_no_rows_are_an_empty_list_or_an_empty_text(api):
    assert result(api, limit=0)["records"] == []
    assert result(api, offset=99, records_format="csv")["records"] == ""


# --- pages


@pytest.mark.parametrize(
    ("params", "next_page"),
    [
        ({}, {"_id": {"gt": 2}}),
        ({"fields": ["Locality"]}, {"_id": {"gt": 2}}),
        ({"sort": "_id"}, {"_id": {"gt": 2}}),
        ({"sort": '"_id" desc'}, {"_id": {"lt": 3}}),
        ({"filters": {"_id": {"gt": 2}}}, {"_id": {"gt": 4}}),
        ({"offset": 3}, {"_id": {"gt": 4}}),
        ({"q": "e", "sort": "_id"}, {"_id": {"gt": 2}}),
        ({"q": "e"}, None),
        ({"sort": "Count"}, None),
        ({"sort": "_id, Count"}, None),
        ({"distinct": True, "fields": "Count"}, None),
        ({"distinct": True, "sort": "_id"}, {"_id": {"gt": 4}}),  # CKAN's own slip: it skips rows
        ({"filters": {"_id": 99}}, None),
        ({"limit": 0}, None),
    ],
)
def test_next_page(api, params, next_page):
    assert result(api, **{"limit": 2, "include_next_page": True, **params}).get("next_page") == next_page
    assert "next_page" not in result(api, **{"limit": 2, **params})


def test_limit_over_rows_max_is_capped_and_echoed():
    with CkanApi({"r": table(30)}, rows_max=20) as api:
        answer = result(api, limit=25)
    assert (answer["limit"], len(answer["records"]), answer["total"]) == (20, 20, 30)


def test_limit_is_100_unless_given():
    with CkanApi({"r": table(130)}) as api:
        assert [len(ids(api)), len(ids(api, limit="")), len(ids(api, limit="7"))] == [100, 100, 7]


def test_rows_may_change_between_pages(api):
    first = result(api, limit=2, include_next_page=True)
    del api.resources["r"].rows[0]
    api.resources["r"].rows.append([9, *[None] * 7])
    assert ids(api, filters=first["next_page"]) == [3, 4, 9]
    assert ids(api, offset=2) == [4, 9]


def test_total_is_told_unless_declined(api):
    assert result(api, limit=1)["total"] == 4
    assert "total" not in result(api, limit=1, include_total=False)


def test_solr_pages_by_cursor_to_the_end():
    with CkanApi({"r": table(25, backend="solr")}) as api:
        cursor, seen = "*", []
        while True:
            answer = result(api, cursor=cursor, limit=10, records_format="csv", include_next_page=True)
            assert (answer["_backend"], answer["total"]) == ("solr", 25)
            seen += [row["_id"] for row in answer["records"]]
            if answer["next_cursor"] == cursor:
                break
            cursor = answer["next_cursor"]
    assert seen == list(range(1, 26))


def test_versioned_datastore_pages_by_after_to_the_end():
    with CkanApi({"r": table(25, backend="versioned-datastore")}) as api:
        answer = result(api, limit=10, include_next_page=True)
        assert "next_page" not in answer
        seen = []
        while answer["after"] is not None:
            seen += [row["_id"] for row in answer["records"]]
            answer = result(api, after=answer["after"], limit=10)
        assert answer["_backend"] == "versioned-datastore"
    assert seen == list(range(1, 26))


# --- which rows, which columns


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"filters": {"Count": 3}}, [3, 4]),
        ({"filters": {"Count": "3"}}, [3, 4]),
        ({"filters": '{"Count": 3}'}, [3, 4]),
        ({"filters": {"Count": [8, 3], "Checked": True}}, [1, 4]),
        ({"filters": {"Checked": "false"}}, [2]),
        ({"filters": {"Latitude": "70.43"}}, [1]),
        ({"filters": {"Latitude": {"lt": 0}}}, [2]),
        ({"filters": {"_id": {"gte": 2, "lt": 4}}}, [2, 3]),
        ({"filters": {"Modified": {"gt": "2018-01-01"}}}, [2]),
        ({"filters": {"Count": None}}, []),
        ({"filters": {"Count": []}}, []),
        ({"filters": {}}, [1, 2, 3, 4]),
        ({"filters": None, "q": "", "sort": ""}, [1, 2, 3, 4]),
        ({"q": "FORÊT"}, [1]),
        ({"q": {"Count": "3", "Latitude": "0"}}, [4]),
        ({"sort": "Count desc, _id desc"}, [2, 1, 4, 3]),
        ({"sort": ["Count", "_id desc"]}, [4, 3, 1, 2]),
        ({"sort": '"Count" DESC NULLS LAST'}, [1, 3, 4, 2]),
        ({"sort": "Latitude"}, [2, 4, 1, 3]),
    ],
)
def test_rows_are_chosen_and_ordered(api, params, expected):
    assert ids(api, **params) == expected


def test_distinct_rows_are_told_once_and_counted_so(api):
    answer = result(api, distinct=True, fields="Count", sort="Count")
    assert (answer["records"], answer["total"]) == ([{"Count": 3}, {"Count": 8}, {"Count": None}], 3)


def test_fields_come_in_the_order_asked_for(api):
    answer = result(api, fields='"Count", _id', limit=1, records_format="lists")
    assert answer["fields"] == [{"id": "Count", "type": "int4"}, {"id": "_id", "type": "int"}]
    assert answer["records"] == [[8, 1]]


def test_text_search_adds_a_rank_column_unless_fields_are_named(api):
    assert result(api, q="For")["fields"][-1] == {"id": "rank", "type": "float"}
    assert result(api, q={"Count": "8"}, limit=1, records_format="csv")["records"].endswith(",t,0.0573\n")
    assert [field["id"] for field in result(api, q="For", fields="_id")["fields"]] == ["_id"]


# --- refusals


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"colour": "red"}, {"__extras": ['invalid value "colour"']}),
        ({"cursor": "*"}, {"__extras": ['invalid value "cursor"']}),
        ({"filters": ""}, {"filters": ["Cannot parse JSON"]}),
        ({"filters": ["x"]}, {"filters": ["Filters must be defined as a dict or a list of dicts"]}),
        ({"filters": {"Nope": 1}}, {"filters": ["Unknown field: Nope"]}),
        (
            {"filters": {"Count": {"above": 3}}},
            {"filters": ["Unknown filter operation: FilterOp(field='Count', op='above', value=3)"]},
        ),
        ({"fields": ["_id", "Nope"]}, {"fields": ['invalid value "Nope"']}),
        ({"sort": "_id sideways"}, {"sort": ['invalid value "_id sideways"']}),
        ({"limit": "many"}, {"limit": ["Invalid integer", "Please enter an integer value"]}),
        ({"limit": 1.5}, {"limit": ["Invalid integer"]}),
        ({"limit": -1}, {"limit": ["Must be a natural number"]}),
        ({"offset": "x"}, {"offset": ["Invalid integer"]}),
        ({"offset": -1}, {"offset": ['invalid value "-1"']}),
        ({"q": {"Nope": "x"}}, {"q": ['invalid value "Nope"']}),
        ({"resource_id": ""}, {"resource_id": ["Missing value"]}),
        ({"records_format": "x"}, {"records_format": ["Value must be one of ['objects', 'lists', 'csv', 'tsv']"]}),
    ],
)
def test_invalid_parameters_are_named(api, params, error):
    assert refusal(api, **params) == (409, {**error, "__type": "Validation Error"})


@pytest.mark.parametrize("filters", [{"Count": "many"}, {"Media": "x"}, {"Checked": "perhaps"}])
def test_value_that_the_type_does_not_take_is_an_invalid_query(api, filters):
    status, error = refusal(api, filters=filters)
    assert (status, error["query"]) == (409, ["Invalid query"])


@pytest.mark.parametrize(
    ("version", "params", "named"),
    [
        ((2, 11), {"include_next_page": True}, "__extras"),
        ((2, 11), {"filters": {"_id": {"gt": 1}}}, "filters"),
        ((2, 11), {"filters": {"Nope": 1}}, "filters"),
        ((2, 7), {"records_format": "csv"}, "__extras"),
        ((2, 7, 11), {"include_total": False}, "__extras"),
        ((2, 8), {"total_estimation_threshold": None}, "__extras"),
    ],
)
def test_versions_refuse_what_they_did_not_know(version, params, named):
    with CkanApi({"r": table()}, version=version) as api:
        status, error = refusal(api, **params)
        assert (status, set(error)) == (409, {named, "__type"})
        assert not {"include_next_page", "filterops"} & set(result(api, filters={"_id": 1}))


@pytest.mark.parametrize(
    ("version", "params", "expected"),
    [
        ((2, 10, 1), {"records_format": "lists", "fields": ["_id", "Count"]}, [[1, 8], [3, 3], [4, 3]]),
        ((2, 10, 2), {"records_format": "lists", "fields": ["_id", "Count"]}, [[1, 8], [2, None], [3, 3], [4, 3]]),
        ((2, 11), {"records_format": "csv", "fields": ["Count"], "distinct": True, "limit": 2}, "8\n\n"),
        ((2, 11), {"records_format": "csv", "fields": ["Count"], "distinct": True, "limit": 1, "offset": 2}, "3\n"),
        ((2, 11), {"records_format": "csv", "fields": ["Count"], "distinct": True, "limit": 1, "offset": 3}, "3\n"),
        ((2, 8), {"records_format": "csv", "fields": ["_id"], "q": "two"}, "2,0.0573\n"),
        ((2, 9), {"records_format": "csv", "fields": ["_id"], "q": "two"}, "2\n"),
    ],
)
def test_versions_have_their_quirks_in_rows(version, params, expected):
    with CkanApi({"r": table()}, version=version) as api:
        assert result(api, **params)["records"] == expected


def test_2_8_names_all_fields_whatever_was_asked_for():
    with CkanApi({"r": table()}, version=(2, 8)) as api:
        assert result(api, fields=["Count"])["fields"] == FIELDS


@pytest.mark.parametrize(
    ("version", "params", "status"),
    [
        ((2, 11), {"filters": {"Count": "x"}, "records_format": "csv"}, 500),
        ((2, 11), {"filters": {"Count": "x"}}, 409),
        ((2, 11), {"q": "a :word"}, 500),
        ((2, 10), {"q": "a :word"}, 200),
        ((2, 12), {"q": "two", "records_format": "lists"}, 409),
        ((2, 12), {"distinct": True, "fields": ["Count"], "sort": "Count", "records_format": "lists"}, 409),
    ],
)
def test_versions_have_their_quirks_in_refusals(version, params, status):
    with CkanApi({"r": table()}, version=version) as api:
        assert act(api, "datastore_search", {"resource_id": "r", **params})[0] == status


def test_2_11_6_refuses_a_column_with_a_hash():
    fields = [{"id": "_id", "type": "int"}, {"id": "Specimen #", "type": "text"}]
    with CkanApi({"r": Resource(fields, [[1, "a"]])}, version=(2, 11, 6)) as api:
        assert refusal(api)[1]["query"] == ["Query is not a single statement."]
        assert result(api, fields=["_id"])["records"] == [{"_id": 1}]


def test_timestamps_have_milliseconds_from_2_12_on():
    for version, expected in [((2, 12), "2011-05-21T18:08:11.448"), ((2, 11), "2011-05-21T18:08:11")]:
        with CkanApi({"r": table()}, version=version) as api:
            assert result(api, limit=1)["records"][0]["Modified"] == expected


def test_private_resource_opens_to_the_bare_key_only():
    with CkanApi({"r": table(private=True), "public": table()}, key="k") as api:
        params = {"resource_id": "r"}
        assert act(api, "datastore_search", params, Authorization="k")[0] == 200
        assert act(api, "datastore_info", {"id": "r"}, Authorization="k")[0] == 200
        for headers in [{}, {"Authorization": "Bearer k"}, {"Authorization": "wrong"}]:
            status, text = act(api, "datastore_search", params, **headers)
            message = "Access denied: User  not authorized to perform resource_show on resource r"
            assert (status, json.loads(text)["error"]["message"]) == (403, message)
            assert act(api, "resource_show", {"id": "r"}, **headers)[0] == 403
            assert act(api, "datastore_search", {"resource_id": "public"}, **headers)[0] == 200
        status, _, headers = fetch(f"{api.url}/datastore/dump/r")
        assert (status, headers.get_content_type()) == (404, "text/html")
        assert fetch(f"{api.url}/datastore/dump/r", Authorization="k")[0] == 200


def test_missing_resource_is_not_found(api):
    missing = {"__type": "Not Found Error", "message": 'Not found: Resource "x" was not found.'}
    assert refusal(api, resource_id="x", colour="red") == (404, missing)
    assert act(api, "resource_show", {"id": "x"})[0] == 404
    assert act(api, "package_show", {"id": "x"})[0] == 404
    assert act(api, "datastore_info", {"id": "x"})[0] == 404


@pytest.mark.parametrize(
    ("action", "body", "text"),
    [
        ("teleport", b"{}", '"Bad request: Action name not known: teleport"'),
        (
            "status_show",
            b'{"resource_id": ',
            "\"Bad request: JSON Error: Error decoding JSON data. Error: <BadRequest '400: Bad Request'> "
            'JSON data extracted from the request: {}"',
        ),
        (
            "status_show",
            b'["x"]',
            "\"Bad request: JSON Error: Request data JSON decoded to ['x'] but it needs to be a dictionary.\"",
        ),
    ],
)
def test_bad_request_is_a_bare_json_string(api, action, body, text):
    answer = fetch(f"{api.url}/api/3/action/{action}", body, Content_Type="application/json")
    assert answer[:2] == (400, text)


def test_json_under_another_content_type_is_answered_with_a_page(api):
    status, text, headers = fetch(api.api_url, b'{"resource_id": "r"}', Content_Type="text/plain")
    assert (status, headers["Content-Type"]) == (415, "text/html; charset=utf-8")
    assert text.startswith("<!DOCTYPE html>")


# --- what else is served


def test_parameters_may_come_in_the_url_or_as_a_form(api):
    query = urlencode({"resource_id": "r", "limit": 1, "fields": "_id,Count", "filters": '{"Count": 3}'})
    answers = [
        fetch(f"{api.api_url}?{query}"),
        fetch(f"{api.url}/api/action/datastore_search", query.encode()),
    ]
    assert [json.loads(text)["result"]["records"] for _, text, _ in answers] == [[{"_id": 3, "Count": 3}]] * 2


def test_datasets_and_resources_are_described(api):
    remote = {"id": "f", "name": "A file", "url": f"{api.url}/files/a.txt"}
    api.datasets["d"] = {"id": "1-2", "name": "specimens", "private": True, "resources": [remote]}
    assert act(api, "package_show", {"id": "specimens"})[0] == 403
    api.datasets["d"]["private"] = False
    assert [json.loads(act(api, "package_show", {"id": name})[1])["result"]["id"] for name in ("d", "1-2")] == [
        "1-2"
    ] * 2
    assert json.loads(act(api, "resource_show", {"id": "f"})[1])["result"] == {**remote, "package_id": "1-2"}
    shown = json.loads(act(api, "resource_show", {"id": "r"})[1])["result"]
    assert (shown["url"], shown["datastore_active"]) == (f"{api.url}/datastore/dump/r", True)
    assert refusal(api, resource_id="f")[0] == 404


def test_datastore_info_tells_labels_and_notes():
    fields = [FIELDS[0], {**FIELDS[1], "info": {"label": "Where", "notes": "as on the label"}}]
    with CkanApi({"r": Resource(fields, [[1, "x"]])}) as api:
        info = json.loads(act(api, "datastore_info", {"id": "r"})[1])["result"]
        assert [field["info"]["label"] for field in info["fields"]] == ["Where"]
        assert info["meta"]["count"] == 1
        assert result(api)["fields"] == fields


def test_status_tells_the_version():
    with CkanApi({}, version=(2, 9)) as api:
        assert json.loads(fetch(f"{api.url}/api/3/action/status_show")[1])["result"]["ckan_version"] == "2.9.11"


def test_files_come_with_their_headers_and_by_range(api):
    api.files["a b.csv"] = File(b"0123456789", {"Content-Type": "text/csv", "Content-Disposition": 'filename="z.csv"'})
    status, text, headers = fetch(f"{api.url}/files/a%20b.csv")
    assert (status, text, headers["Content-Length"]) == (200, "0123456789", "10")
    assert (headers["Content-Type"], headers["Content-Disposition"]) == ("text/csv", 'filename="z.csv"')
    for asked, part in [("bytes=4-", "4-9"), ("bytes=2-3", "2-3"), ("bytes=-3", "7-9"), ("bytes=8-99", "8-9")]:
        status, text, headers = fetch(f"{api.url}/files/a%20b.csv", Range=asked)
        first, last = map(int, part.split("-"))
        assert (status, text) == (206, "0123456789"[first : last + 1])
        assert headers["Content-Range"] == f"bytes {part}/10"
    assert fetch(f"{api.url}/files/a%20b.csv", Range="bytes=10-")[0] == 416
    assert fetch(f"{api.url}/files/none")[0] == 404


# --- what tests use it for


def test_log_holds_every_request(api):
    result(api, limit=1)
    fetch(f"{api.url}/files/none", X_Mark="here")
    assert [(request.action, request.params) for request in api.log] == [
        ("datastore_search", {"resource_id": "r", "limit": 1}),
        ("files", {"name": "none"}),
    ]
    assert api.log[1].headers["x-mark"] == "here"


def test_fault_may_answer_in_its_place(api):
    def fault(handler, action, params, nth):
        if action != "datastore_search" or nth != 2:
            return False
        handler.reply(503, "busy", "text/plain", Retry_After="7")
        return True

    api.fault = fault
    answers = [act(api, "datastore_search", {"resource_id": "r"})[0] for _ in range(3)]
    assert answers == [200, 503, 200]


def test_connection_is_kept_until_the_api_stops():
    with CkanApi({"r": table()}) as api:
        connection = http.client.HTTPConnection(api.url.removeprefix("http://"), timeout=10)
        for _ in range(2):
            connection.request("GET", "/api/3/action/status_show")
            first = connection.sock
            assert connection.getresponse().read()
            assert connection.sock is first is not None
    connection.request("GET", "/api/3/action/status_show")
    with pytest.raises(ConnectionError):
        connection.getresponse()


def test_sample_is_the_same_each_time_and_holds_what_is_awkward():
    rows = list(sample.rows(100))
    assert rows == list(sample.rows(200))[:100]
    assert rows != list(sample.rows(100, seed=2))
    assert {len(row) for row in rows} == {len(sample.FIELDS)}
    text = "".join(str(value) for row in rows for value in row if isinstance(value, str))
    assert all(mark in text for mark in ['"', "\n", "\r\n", "\t", "é", "高", "🦋", "=SUM"])
    assert all(value in [cell for row in rows for cell in row] for value in ["", None, True, False, 0])
