"""package_datastore in every format, from every kind of server: what is in the source is in the archive."""

import csv
import io
import json
import re
import zipfile
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from support.archives import body, check_package, read_xlsx, tell_no_info
from support.awkward_tables import AWKWARD_FIELDS, SERVERS, TEXTS, awkward, server
from support.workspace import Workspace

from ckanpackager.demo import sample
from ckanpackager.demo.ckan_api import JSON_NULL, CkanApi, Handler, Resource
from ckanpackager.demo.parameters import Version

SEPARATORS = {"csv": ",", "tsv": "\t"}


def package(workspace: Workspace, api: CkanApi, **parameters: Any) -> zipfile.ZipFile:
    """Have `r` packaged by a worker; the archive."""
    id = workspace.queue(api, **({"limit": 0} | parameters))
    workspace.work()
    _, job = workspace.find(id)
    assert job.archive, job.failure or job.attempts
    archive = zipfile.ZipFile(workspace.store.directory / job.archive.name)
    assert archive.testzip() is None
    return archive


def table(workspace: Workspace, api: CkanApi, format: str, **parameters: Any) -> bytes:
    with package(workspace, api, format=format, **parameters) as archive:
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
def test_csv_is_what_ckan_s_own_download_has_from_whatever_server(workspace: Workspace, kind: str, rows: str) -> None:
    fields, source = (AWKWARD_FIELDS, awkward()) if rows == "awkward" else (sample.FIELDS, list(sample.rows(2500)))
    with server(kind, fields, source, rows_max=1000) as api:
        assert table(workspace, api, "csv") == dump(api, ",")


@pytest.mark.parametrize("kind", SERVERS)
def test_tsv_has_tabs_and_the_same_rows(workspace: Workspace, kind: str) -> None:
    with server(kind, AWKWARD_FIELDS, awkward()) as api:
        content = table(workspace, api, "tsv")
        with_tsv = kind in ("2.11", "2.12")
        if with_tsv:
            assert content == dump(api, "\t")
        rows = list(csv.reader(io.StringIO(content.decode(), newline=""), delimiter="\t"))
        assert rows == list(csv.reader(io.StringIO(dump(api, ",").decode(), newline="")))


# NDJSON


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("rows", ["awkward", "specimens"])
def test_ndjson_has_an_object_a_line_with_types_and_digits(workspace: Workspace, kind: str, rows: str) -> None:
    fields, source = (AWKWARD_FIELDS, awkward()) if rows == "awkward" else (sample.FIELDS, list(sample.rows(2500)))
    with server(kind, fields, source, rows_max=1000) as api:
        content = table(workspace, api, "ndjson")
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


def test_ndjson_has_an_object_a_line_though_the_server_s_had_several(workspace: Workspace) -> None:
    fields = [{"id": "_id", "type": "int"}, {"id": "j", "type": "json"}]
    records = ['{"_id": 1, "j": {"a":\n1.50}}', '{"_id":2,"j":"one\\nline"}', '{\r\n "_id": 3,\n "j": [\n]\n}']

    def fault(handler: Handler, action: str, params: dict[str, Any], nth: int) -> bool:
        some = records if params["limit"] and not params.get("filters") and not params.get("offset") else []
        about = json.dumps({"fields": fields, "total": 3, "limit": params["limit"]})[1:-1]
        handler.reply(200, f'{{"success": true, "result": {{{about}, "records": [{", ".join(some)}]}}}}')
        return True

    with server("2.11", fields, []) as api:
        api.fault = fault
        lines = table(workspace, api, "ndjson").decode().splitlines()
    assert lines == ['{"_id":1,"j":{"a":1.50}}', '{"_id":2,"j":"one\\nline"}', '{"_id":3,"j":[]}']


# XLSX


@pytest.mark.parametrize("kind", SERVERS)
def test_xlsx_has_every_row_with_types(workspace: Workspace, kind: str) -> None:
    rows = [row for row in awkward() if row[1] != TEXTS[-1]]
    for row in rows:
        row[2:6] = [text if text != TEXTS[-1] else "short" for text in row[2:6]]
    with server(kind, AWKWARD_FIELDS, rows, rows_max=10) as api:
        sheet = read_xlsx(table(workspace, api, "xlsx"))
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


def test_a_cell_that_xlsx_cannot_hold_is_cut_and_the_requester_is_told(workspace: Workspace) -> None:
    fields = [{"id": "_id", "type": "int"}, {"id": "t", "type": "text"}]
    with server("2.12", fields, [[1, "🦋" * 20_000], [2, "y" * 32_767]]) as api:
        sheet = read_xlsx(table(workspace, api, "xlsx"))
    assert [row[1] for row in sheet] == ["t", "🦋" * 16_383, "y" * 32_767]
    text = "Please note: 1 cell longer than 32,767 characters was cut"
    assert text in body(workspace, "plain")
    assert f"<p>{text}</p>" in body(workspace, "html")


def test_a_mail_without_notes_has_no_line_for_them(workspace: Workspace, api: CkanApi) -> None:
    workspace.queue(api)
    workspace.work()
    assert "note" not in body(workspace, "plain") + body(workspace, "html")
    assert "\n\n\n" not in body(workspace, "plain")


# What all of them have to stand


@pytest.mark.parametrize("format", ["csv", "tsv", "ndjson", "xlsx"])
@pytest.mark.parametrize("kind", SERVERS)
def test_a_table_without_rows_has_its_header(workspace: Workspace, kind: str, format: str) -> None:
    with server(kind, AWKWARD_FIELDS[:3], []) as api:
        content = table(workspace, api, format)
    names = ["_id", "text", "Text"]
    if format == "xlsx":
        assert read_xlsx(content) == [names]
    else:
        assert content.decode() == ("" if format == "ndjson" else f"{SEPARATORS[format].join(names)}\n")
    assert "Rows: 0" in body(workspace, "plain")


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
def test_three_hundred_columns_arrive(workspace: Workspace, kind: str, format: str) -> None:
    names = [f"Column {number}" for number in range(299)]
    fields = [{"id": "_id", "type": "int"}, *({"id": name, "type": "text"} for name in names)]
    source = [[number, *(f"{number}, {name}" for name in names)] for number in range(1, 41)]
    with server(kind, fields, source, rows_max=25) as api:
        assert cells(format, table(workspace, api, format)) == source


@pytest.mark.parametrize("format", ["csv", "tsv", "ndjson"])
@pytest.mark.parametrize("kind", ["2.7", "2.12", "versioned-datastore"])
def test_a_cell_of_a_megabyte_arrives(workspace: Workspace, kind: str, format: str) -> None:
    fields = [{"id": "_id", "type": "int"}, {"id": "t", "type": "text"}]
    source = [[1, "short"], [2, 'é"\n\\\t,' * 150_000], [3, "short"]]
    with server(kind, fields, source) as api:
        assert cells(format, table(workspace, api, format)) == source


@pytest.mark.parametrize("format", ["csv", "tsv", "ndjson", "xlsx"])
@pytest.mark.parametrize("kind", SERVERS)
def test_nul_arrives_where_json_allows_it(workspace: Workspace, kind: str, format: str) -> None:
    fields = [{"id": "_id", "type": "int"}, {"id": "t", "type": "text"}]
    with server(kind, fields, [[1, "a\x00b"], [2, "\x00"]]) as api:
        assert cells(format, table(workspace, api, format)) == [[1, "a\x00b"], [2, "\x00"]]


@pytest.mark.parametrize("format", ["csv", "tsv", "ndjson", "xlsx"])
@pytest.mark.parametrize("kind", ["2.7", "2.11", "2.12"])
def test_what_is_asked_for_is_what_arrives(workspace: Workspace, kind: str, format: str) -> None:
    fields = [{"id": "_id", "type": "int"}, {"id": "n", "type": "text"}, {"id": "kind", "type": "text"}]
    source = [[number, f"n{number}", "ab"[number % 2]] for number in range(1, 101)]
    with server(kind, fields, source, rows_max=15) as api:
        asked = {"filters": {"kind": "a"}, "fields": ["_id", "n"], "sort": "_id desc", "offset": 3, "limit": 20}
        content = table(workspace, api, format, **asked)
    assert cells(format, content) == [[number, f"n{number}"] for number in range(94, 54, -2)]


# datapackage.json


def described(archive: zipfile.ZipFile) -> dict[str, Any]:
    package: dict[str, Any] = json.loads(archive.read("datapackage.json"))
    return package


@pytest.fixture
def describing(workspace: Workspace) -> Workspace:
    workspace.configure(include_datapackage=True)
    return workspace


def with_dictionary(version: Version) -> CkanApi:
    fields = [dict(field) for field in sample.FIELDS]
    fields[1]["info"] = {"label": "Catalogue number", "notes": "As on\nthe label.", "type_override": ""}  # type: ignore[assignment]
    return CkanApi({"r": Resource(fields, list(sample.rows(50)))}, version=version)


@pytest.mark.parametrize("format", ["csv", "tsv", "ndjson", "xlsx"])
@pytest.mark.parametrize("kind", ["2.7", "2.12"])
def test_include_datapackage_adds_a_description(describing: Workspace, format: str, kind: str) -> None:
    with (
        with_dictionary(SERVERS[kind]["version"]) as api,
        package(describing, api, format=format, filters={"Kingdom": "Plantae"}) as archive,
    ):
        assert archive.namelist() == [f"resource.{format}", "datapackage.json"]
        whole = described(archive)
        assert whole["sources"] == [{"title": "Specimens", "path": f"{api.api_url}?resource_id=r"}]
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


def test_the_data_dictionary_is_asked_for_where_the_search_does_not_tell_it(describing: Workspace) -> None:
    with with_dictionary((2, 12)) as api, package(describing, tell_no_info(api)) as archive:
        fields = described(archive)["resources"][0]["schema"]["fields"]
    assert fields[1] == {
        "name": "Catalog Number",
        "type": "string",
        "title": "Catalogue number",
        "description": "As on\nthe label.",
    }


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_data_dictionary_that_cannot_be_had_is_done_without(describing: Workspace, api: CkanApi, status: int) -> None:
    def fault(handler: Handler, action: str, params: dict[str, Any], nth: int) -> bool:
        if action == "datastore_info":
            handler.reply(status, '"Bad request"')
        return action == "datastore_info"

    api.fault = fault
    with package(describing, api) as archive:
        (resource,) = described(archive)["resources"]
    assert [field["name"] for field in resource["schema"]["fields"]] == ["_id", "name"]
