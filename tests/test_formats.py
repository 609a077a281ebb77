"""package_datastore in every format, from every kind of server: what is in the source is in the archive."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from place import Place

from ckanpackager.demo import sample
from ckanpackager.demo.ckan_api import JSON_NULL, CkanApi, Handler, Resource
from ckanpackager.demo.parameters import Version

SERVERS: dict[str, dict[str, Any]] = {
    "2.7": {"version": (2, 7)},
    "2.11": {"version": (2, 11)},
    "2.12": {"version": (2, 12)},
    "solr": {"backend": "solr"},
    "versioned-datastore": {"backend": "versioned-datastore"},
}
SEPARATORS = {"csv": ",", "tsv": "\t"}
AWKWARD_FIELDS: list[dict[str, Any]] = [
    {"id": "_id", "type": "int"},
    {"id": "text", "type": "text"},
    {"id": "Text", "type": "text"},
    {"id": "TEXT", "type": "text"},
    {"id": 'a "quoted", name', "type": "text"},
    {"id": "tab\tname", "type": "text"},
    {"id": "größe 🦋 %s", "type": "numeric"},
    {"id": "float", "type": "float8"},
    {"id": "big", "type": "int8"},
    {"id": "truth", "type": "bool"},
    {"id": "when", "type": "timestamp"},
    {"id": "document", "type": "json"},
]
TEXTS = [
    None,
    "",
    " ",
    '"',
    'He said "no", twice',
    "a,b;c\td",
    "two\nlines",
    "two\r\nlines\r",
    "\ufeffmark",
    "🦋 𐍈𐌰 é e\u0301 \u2028 \u202e",
    "=SUM(A1:A9)",
    "+1",
    "0012345678901234567890",
    "null",
    "\\N",
    "\\.",
    "back\\slash\\n",
    "bell \x07 escape \x1b",
    "_x0041_",
    "'",
    "x" * 70_000 + "\n",
]
DOCUMENTS = [None, JSON_NULL, [], {}, {"a": [1, 2.50, None, "ü\n"]}, "text", ["a,b", {"c": '"'}], 5, True]


def awkward() -> list[list[Any]]:
    """Rows of AWKWARD_FIELDS, each text and each document in every place that it can stand in."""
    rows = []
    for number, text in enumerate(TEXTS * 2, 1):
        other = TEXTS[number * 5 % len(TEXTS)]
        rows.append(
            [
                number,
                text,
                other,
                TEXTS[number * 11 % len(TEXTS)],
                "x" if number % 2 else None,
                text,
                [None, Decimal("70.4300"), Decimal("-0.000001230"), Decimal("123456789012345678901234567890.10")][
                    number % 4
                ],
                [None, 0.1, -2.5e-7, 1e22][number % 4],
                [None, 2**63 - 1, -(2**63), 0][number % 4],
                [True, False, None][number % 3],
                [None, "2018-12-17T11:23:06.000", "0753-04-21T00:00:00.000"][number % 3],
                DOCUMENTS[number % len(DOCUMENTS)],
            ]
        )
    return rows


def server(kind: str, fields: Sequence[dict[str, Any]], rows: list[list[Any]], **options: Any) -> CkanApi:
    """A CKAN of that kind, with these rows as the resource `r`."""
    chosen = SERVERS[kind] | options
    backend = chosen.pop("backend", None)
    return CkanApi({"r": Resource(list(fields), rows, backend=backend)}, **chosen)


def package(place: Place, api: CkanApi, **parameters: Any) -> zipfile.ZipFile:
    """Have `r` packaged by a worker; the archive."""
    id = place.queue(api, **({"limit": 0} | parameters))
    place.work()
    _, job = place.find(id)
    assert job.archive, job.failure or job.attempts
    archive = zipfile.ZipFile(place.store.directory / job.archive.name)
    assert archive.testzip() is None
    return archive


def table(place: Place, api: CkanApi, format: str, **parameters: Any) -> bytes:
    with package(place, api, format=format, **parameters) as archive:
        assert archive.namelist() == [f"resource.{format}"]
        return archive.read(f"resource.{format}")


def dump(api: CkanApi, separator: str) -> bytes:
    """What CKAN's own download has, but for the end of its header, and with that separator."""
    text = api.site.dump("r", None)
    if separator == ",":
        header, rest = text.split("\r\n", 1)
        return f"{header}\n{rest}".encode()
    columns = [field["id"] for field in api.resources["r"].fields]
    header = "\t".join('"' + name.replace('"', '""') + '"' if set(name) & set('"\t\n\r') else name for name in columns)
    response = api.site.act("datastore_search", {"resource_id": "r", "records_format": "tsv", "limit": 32000}, None)
    return f"{header}\n{json.loads(response)['records']}".encode()


def objects(api: CkanApi, limit: int = 32000) -> list[dict[str, Any]]:
    """The rows as CKAN's objects, digits kept."""
    result = api.site.act("datastore_search", {"resource_id": "r", "limit": limit, "sort": "_id"}, None)
    records: list[dict[str, Any]] = json.loads(result, parse_float=Decimal)["records"]
    return records


# CSV and TSV


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("rows", ["awkward", "specimens"])
def test_csv_is_what_ckan_s_own_download_has_from_whatever_server(place: Place, kind: str, rows: str) -> None:
    fields, source = (AWKWARD_FIELDS, awkward()) if rows == "awkward" else (sample.FIELDS, list(sample.rows(2500)))
    with server(kind, fields, source, rows_max=1000) as api:
        assert table(place, api, "csv") == dump(api, ",")


@pytest.mark.parametrize("kind", SERVERS)
def test_tsv_has_tabs_and_the_same_rows(place: Place, kind: str) -> None:
    with server(kind, AWKWARD_FIELDS, awkward()) as api:
        content = table(place, api, "tsv")
        with_tsv = kind in ("2.11", "2.12")
        if with_tsv:
            assert content == dump(api, "\t")
        rows = list(csv.reader(io.StringIO(content.decode(), newline=""), delimiter="\t"))
        assert rows == list(csv.reader(io.StringIO(dump(api, ",").decode(), newline="")))


# NDJSON


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("rows", ["awkward", "specimens"])
def test_ndjson_has_an_object_a_line_with_types_and_digits(place: Place, kind: str, rows: str) -> None:
    fields, source = (AWKWARD_FIELDS, awkward()) if rows == "awkward" else (sample.FIELDS, list(sample.rows(2500)))
    with server(kind, fields, source, rows_max=1000) as api:
        content = table(place, api, "ndjson")
        whole = CkanApi(api.resources, version=api.site.version)
        expected = objects(whole)
        whole.stop()
    lines = content.decode().split("\n")
    assert lines.pop() == ""
    assert [json.loads(line, parse_float=Decimal) for line in lines] == expected
    assert [list(json.loads(line)) for line in lines[:3]] == [[field["id"] for field in fields]] * 3
    if rows == "awkward":
        assert '"größe 🦋 %s":70.4300,' in lines[0]
        assert "123456789012345678901234567890.10" in lines[2]


def test_ndjson_has_an_object_a_line_though_the_server_s_had_several(place: Place) -> None:
    fields = [{"id": "_id", "type": "int"}, {"id": "j", "type": "json"}]
    records = ['{"_id": 1, "j": {"a":\n1.50}}', '{"_id":2,"j":"one\\nline"}', '{\r\n "_id": 3,\n "j": [\n]\n}']

    def fault(handler: Handler, action: str, params: dict[str, Any], nth: int) -> bool:
        some = records if params["limit"] and not params.get("filters") and not params.get("offset") else []
        about = json.dumps({"fields": fields, "total": 3, "limit": params["limit"]})[1:-1]
        handler.reply(200, f'{{"success": true, "result": {{{about}, "records": [{", ".join(some)}]}}}}')
        return True

    with server("2.11", fields, []) as api:
        api.fault = fault
        lines = table(place, api, "ndjson").decode().splitlines()
    assert lines == ['{"_id":1,"j":{"a":1.50}}', '{"_id":2,"j":"one\\nline"}', '{"_id":3,"j":[]}']


# XLSX


@pytest.mark.parametrize("kind", SERVERS)
def test_xlsx_has_every_row_with_types(place: Place, kind: str) -> None:
    rows = [row for row in awkward() if row[1] != TEXTS[-1]]
    for row in rows:
        row[2:6] = [text if text != TEXTS[-1] else "short" for text in row[2:6]]
    with server(kind, AWKWARD_FIELDS, rows, rows_max=10) as api:
        sheet = read_xlsx(table(place, api, "xlsx"))
    assert sheet[0] == [field["id"] for field in AWKWARD_FIELDS]
    assert len(sheet) == len(rows) + 1
    for source, row in zip(rows, sheet[1:], strict=True):
        assert row[0] == source[0]
        assert [unescaped(text) for text in row[1:6]] == [text or None for text in source[1:6]]
        if source[6] is not None and len(str(source[6])) > 17:
            assert row[6] == str(source[6])  # digits are worth more than arithmetic
        else:
            assert row[6] == (None if source[6] is None else pytest.approx(float(source[6]), rel=1e-15))
        assert row[7] == source[7]
        assert str(row[8]) == str(source[8])
        assert row[9] is source[9]
        assert when(row[10]) == (source[10] and source[10][:19])
        document = None if source[11] is JSON_NULL else source[11]
        assert (None if row[11] is None else as_document(row[11])) == document


def read_xlsx(content: bytes) -> list[list[Any]]:
    book = load_workbook(io.BytesIO(content), read_only=True)
    rows = [[cell.value for cell in row] for row in book["Data"].iter_rows()]
    return [row + [None] * (len(rows[0]) - len(row)) for row in rows]  # which ends with a row's last value


def when(value: Any) -> Any:
    """A moment as ISO text, which it is before 1900."""
    return value.isoformat() if isinstance(value, datetime) else value and value[:19]


def unescaped(value: Any) -> Any:
    """openpyxl leaves the escapes of control characters as they are (ECMA-376 part 1, 22.9.2.19)."""
    return re.sub("_x([0-9A-F]{4})_", lambda found: chr(int(found[1], 16)), value) if isinstance(value, str) else value


def as_document(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def test_a_cell_that_xlsx_cannot_hold_is_cut_and_the_requester_is_told(place: Place) -> None:
    fields = [{"id": "_id", "type": "int"}, {"id": "t", "type": "text"}]
    with server("2.12", fields, [[1, "🦋" * 20_000], [2, "y" * 32_767]]) as api:
        sheet = read_xlsx(table(place, api, "xlsx"))
    assert [row[1] for row in sheet] == ["t", "🦋" * 16_383, "y" * 32_767]
    text = "Please note: 1 cell longer than 32,767 characters was cut"
    assert text in body(place, "plain")
    assert f"<p>{text}</p>" in body(place, "html")


def body(place: Place, kind: str) -> str:
    part = place.mails[-1].get_body((kind,))
    assert part
    return str(part.get_content())


def test_a_mail_without_notes_has_no_line_for_them(place: Place, api: CkanApi) -> None:
    place.queue(api)
    place.work()
    assert "note" not in body(place, "plain") + body(place, "html")
    assert "\n\n\n" not in body(place, "plain")


# What all of them have to stand


@pytest.mark.parametrize("format", ["csv", "tsv", "ndjson", "xlsx"])
@pytest.mark.parametrize("kind", SERVERS)
def test_a_table_without_rows_has_its_header(place: Place, kind: str, format: str) -> None:
    with server(kind, AWKWARD_FIELDS[:3], []) as api:
        content = table(place, api, format)
    names = ["_id", "text", "Text"]
    if format == "xlsx":
        assert read_xlsx(content) == [names]
    else:
        assert content.decode() == ("" if format == "ndjson" else f"{SEPARATORS[format].join(names)}\n")
    assert "Rows: 0" in body(place, "plain")


def cells(format: str, content: bytes) -> list[list[Any]]:
    """The rows below the header, in any format."""
    if format == "ndjson":
        return [list(json.loads(line).values()) for line in content.decode().split("\n")[:-1]]
    if format == "xlsx":
        return [[unescaped(value) for value in row] for row in read_xlsx(content)[1:]]
    csv.field_size_limit(2**30)
    rows = csv.reader(io.StringIO(content.decode(), newline=""), delimiter=SEPARATORS[format])
    return [[int(row[0]), *row[1:]] for row in rows if row[0] != "_id"]


@pytest.mark.parametrize("format", ["csv", "tsv", "ndjson", "xlsx"])
@pytest.mark.parametrize("kind", ["2.7", "2.12", "solr"])
def test_three_hundred_columns_arrive(place: Place, kind: str, format: str) -> None:
    names = [f"Column {number}" for number in range(299)]
    fields = [{"id": "_id", "type": "int"}, *({"id": name, "type": "text"} for name in names)]
    source = [[number, *(f"{number}, {name}" for name in names)] for number in range(1, 41)]
    with server(kind, fields, source, rows_max=25) as api:
        assert cells(format, table(place, api, format)) == source


@pytest.mark.parametrize("format", ["csv", "tsv", "ndjson"])
@pytest.mark.parametrize("kind", ["2.7", "2.12", "versioned-datastore"])
def test_a_cell_of_a_megabyte_arrives(place: Place, kind: str, format: str) -> None:
    fields = [{"id": "_id", "type": "int"}, {"id": "t", "type": "text"}]
    source = [[1, "short"], [2, 'é"\n\\\t,' * 150_000], [3, "short"]]
    with server(kind, fields, source) as api:
        assert cells(format, table(place, api, format)) == source


@pytest.mark.parametrize("format", ["csv", "tsv", "ndjson", "xlsx"])
@pytest.mark.parametrize("kind", SERVERS)
def test_nul_arrives_where_json_allows_it(place: Place, kind: str, format: str) -> None:
    fields = [{"id": "_id", "type": "int"}, {"id": "t", "type": "text"}]
    with server(kind, fields, [[1, "a\x00b"], [2, "\x00"]]) as api:
        assert cells(format, table(place, api, format)) == [[1, "a\x00b"], [2, "\x00"]]


@pytest.mark.parametrize("format", ["csv", "tsv", "ndjson", "xlsx"])
@pytest.mark.parametrize("kind", ["2.7", "2.11", "2.12"])
def test_what_is_asked_for_is_what_arrives(place: Place, kind: str, format: str) -> None:
    fields = [{"id": "_id", "type": "int"}, {"id": "n", "type": "text"}, {"id": "kind", "type": "text"}]
    source = [[number, f"n{number}", "ab"[number % 2]] for number in range(1, 101)]
    with server(kind, fields, source, rows_max=15) as api:
        asked = {"filters": {"kind": "a"}, "fields": ["_id", "n"], "sort": "_id desc", "offset": 3, "limit": 20}
        content = table(place, api, format, **asked)
    assert cells(format, content) == [[number, f"n{number}"] for number in range(94, 54, -2)]


# datapackage.json


def described(archive: zipfile.ZipFile) -> dict[str, Any]:
    package: dict[str, Any] = json.loads(archive.read("datapackage.json"))
    return package


@pytest.fixture
def describing(place: Place) -> Place:
    place.configure(include_datapackage=True)
    return place


def with_dictionary(version: Version) -> CkanApi:
    fields = [dict(field) for field in sample.FIELDS]
    fields[1]["info"] = {"label": "Catalogue number", "notes": "As on\nthe label.", "type_override": ""}  # type: ignore[assignment]
    return CkanApi({"r": Resource(fields, list(sample.rows(50)))}, version=version)


@pytest.mark.parametrize("format", ["csv", "tsv", "ndjson", "xlsx"])
@pytest.mark.parametrize("kind", ["2.7", "2.12"])
def test_include_datapackage_adds_a_description(describing: Place, format: str, kind: str) -> None:
    with (
        with_dictionary(SERVERS[kind]["version"]) as api,
        package(describing, api, format=format, filters={"Kingdom": "Plantae"}) as archive,
    ):
        assert archive.namelist() == [f"resource.{format}", "datapackage.json"]
        whole = described(archive)
        assert whole["sources"] == [{"title": "r", "path": f"{api.api_url}?resource_id=r"}]
    check_package(whole, {f"resource.{format}"})
    (resource,) = whole["resources"]
    assert resource["path"] == f"resource.{format}"
    fields = {field["name"]: field for field in resource["schema"]["fields"]}
    assert list(fields) == [field["id"] for field in sample.FIELDS]
    types = {name: field["type"] for name, field in fields.items()}
    wanted = {"_id": "integer", "Decimal Latitude": "number", "Modified": "datetime", "Image Checked": "boolean"}
    assert wanted.items() <= types.items()
    assert fields["Catalog Number"]["title"] == "Catalogue number"
    assert fields["Catalog Number"]["description"] == "As on\nthe label."
    assert 0 < resource["rows"] < 50


def test_the_data_dictionary_is_asked_for_where_the_search_does_not_tell_it(describing: Place) -> None:
    with with_dictionary((2, 12)) as api, package(describing, tell_no_info(api)) as archive:
        fields = described(archive)["resources"][0]["schema"]["fields"]
    assert fields[1] == {
        "name": "Catalog Number",
        "type": "string",
        "title": "Catalogue number",
        "description": "As on\nthe label.",
    }


def tell_no_info(api: CkanApi) -> CkanApi:
    """Make it a server whose `datastore_search` keeps the data dictionary to itself."""

    def fault(handler: Handler, action: str, params: dict[str, Any], nth: int) -> bool:
        if action != "datastore_search":
            return False
        result = json.loads(api.site.act(action, params, None))
        for field in result["fields"]:
            field.pop("info", None)
        handler.reply(200, json.dumps({"success": True, "result": result}))
        return True

    api.fault = fault
    return api


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_data_dictionary_that_cannot_be_had_is_done_without(describing: Place, api: CkanApi, status: int) -> None:
    def fault(handler: Handler, action: str, params: dict[str, Any], nth: int) -> bool:
        if action == "datastore_info":
            handler.reply(status, '"Bad request"')
        return action == "datastore_info"

    api.fault = fault
    with package(describing, api) as archive:
        (resource,) = described(archive)["resources"]
    assert [field["name"] for field in resource["schema"]["fields"]] == ["_id", "name"]


# Data Package and Table Schema 1.0, as far as what is written here goes (https://specs.frictionlessdata.io)
TYPES = {"string", "number", "integer", "boolean", "object", "array", "date", "time", "datetime", "any"}


def check_package(package: dict[str, Any], files: set[str]) -> None:
    """That a description is valid, and describes these files."""
    assert re.fullmatch("[a-z0-9._/-]+", package["name"])
    assert package["profile"] == "data-package"
    assert package["resources"], "the specification wants one"
    names = [resource["name"] for resource in package["resources"]]
    assert len(set(names)) == len(names)
    for licence in package.get("licenses", []):
        assert "name" in licence or "path" in licence
        assert re.fullmatch("[A-Za-z0-9._-]+", licence.get("name", "x"))
    for url in [source["path"] for source in package["sources"]] + [package.get("homepage", "https://x")]:
        assert re.match("https?://[^ ]+$", url)
    for resource in package["resources"]:
        check_resource(resource)
    assert {resource["path"] for resource in package["resources"]} == files


def check_resource(resource: dict[str, Any]) -> None:
    assert re.fullmatch("[a-z0-9._/-]+", resource["name"])
    assert not re.match(r"[./~$]|.*\.\.[/\\]", resource["path"])
    if resource["profile"] != "tabular-data-resource":
        return
    names = [field["name"] for field in resource["schema"]["fields"]]
    assert names and len(set(names)) == len(names)
    assert {field["type"] for field in resource["schema"]["fields"]} <= TYPES
    assert resource["encoding"] == "utf-8"


@pytest.mark.parametrize("format", ["csv", "tsv", "ndjson", "xlsx"])
@pytest.mark.parametrize("rows", ["awkward", "specimens"])
def test_frictionless_finds_the_archive_valid(describing: Place, format: str, rows: str, tmp_path: Path) -> None:
    needed = "not installed; pip install 'frictionless[json,excel]' to have it look at datapackage.json"
    frictionless = pytest.importorskip("frictionless", reason=needed)
    fields, source = (AWKWARD_FIELDS, awkward()) if rows == "awkward" else (sample.FIELDS, list(sample.rows(200)))
    with server("2.12", fields, source) as api, package(describing, api, format=format) as archive:
        archive.extractall(tmp_path / "out")
    report = frictionless.validate(str(tmp_path / "out" / "datapackage.json"))
    assert report.valid, report.flatten(["type", "note", "rowNumber", "fieldName"])
    assert report.tasks[0].stats["rows"] == len(source)
