"""package_dwc_archive from end to end: what others read in the archive is what the source has."""

import json
import re
import zipfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from dwca.read import DwCAReader
from lxml import etree
from support.awkward_tables import AWKWARD_FIELDS, SERVERS, awkward, server
from support.workspace import CommandResult, Workspace
from support.zip_command import ZIP_COMMAND

from ckanpackager.demo import sample
from ckanpackager.demo.ckan_api import JSON_NULL, CkanApi, Resource
from ckanpackager.jobs.job import Job

DWC = "http://rs.tdwg.org/dwc/terms/"
DC = "http://purl.org/dc/terms/"
SCHEMA = Path(__file__).parents[1] / "support" / "data" / "tdwg_dwc_text.xsd"
MULTIMEDIA: dict[str, Any] = {
    "extension": "multimedia",
    "fields": {"type": "StillImage", "format": None, "identifier": None, "title": None, "license": "unknown"},
    "mappings": {"format": "mime"},
    "formatters": {"format": "image/{}"},
}
EML = (
    '<?xml version="1.0" encoding="utf-8"?>\n<eml packageId="{package_id}">'
    "<dataset><pubDate>{pub_date}</pubDate><dateStamp>{date_stamp}</dateStamp><note>{other} {} ü</note></dataset></eml>"
)


@pytest.fixture
def media(workspace: Workspace) -> Workspace:
    """A workspace whose configuration has a field that lists media."""
    workspace.configure(dwc_extension_fields={"Associated Media": MULTIMEDIA})
    return workspace


@pytest.fixture
def api() -> Iterator[CkanApi]:
    """A CKAN with a table that holds nothing yet."""
    with table([]) as api:
        yield api


def table(rows: list[list[Any]], *more: dict[str, Any], **options: Any) -> CkanApi:
    """A CKAN whose resource has an id, a locality, a field that lists media, and `more`."""
    fields = [{"id": "_id", "type": "int"}, {"id": "Locality", "type": "text"}]
    return CkanApi({"r": Resource([*fields, {"id": "Associated Media", "type": "json"}, *more], rows)}, **options)


def run(workspace: Workspace, api: CkanApi, **parameters: Any) -> Job:
    id = workspace.queue(api, "package_dwc_archive", **({"limit": 0} | parameters))
    workspace.work()
    return workspace.find(id)[1]


def package(workspace: Workspace, api: CkanApi, **parameters: Any) -> str:
    """Have the resource packaged; the path of the archive, whose meta.xml is valid."""
    job = run(workspace, api, **parameters)
    assert job.archive, job.failure or job.attempts
    path = workspace.store.directory / job.archive.name
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        schema = etree.XMLSchema(etree.parse(SCHEMA, etree.XMLParser(no_network=True)))
        schema.assertValid(etree.fromstring(archive.read("meta.xml")))
    return str(path)


def names(path: str) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def read(path: str) -> list[tuple[str, dict[str, str], list[dict[str, str]]]]:
    """The rows as python-dwca-reader finds them: the id, the terms of the core, those of each row of an extension."""
    with DwCAReader(path) as archive:
        return [(row.id, row.data, [line.data for line in row.extensions]) for row in archive.rows]


def texts(rows: list[list[Any]], field: str, fields: list[dict[str, Any]]) -> list[str]:
    workspace = [each["id"] for each in fields].index(field)
    return ["" if row[workspace] is None else str(row[workspace]) for row in rows]


# Every row


@pytest.mark.parametrize("kind", SERVERS)
def test_every_row_of_core_and_extension_is_that_of_the_source(media: Workspace, kind: str) -> None:
    source = list(sample.rows(700))
    with server(kind, sample.FIELDS, source, rows_max=300) as api:
        path = package(media, api)
    assert names(path) == ["occurrence.csv", "multimedia.csv", "meta.xml"]
    rows = read(path)
    assert [id for id, _, _ in rows] == [str(row[0]) for row in source]
    for field, term in (
        ("Catalog Number", "catalogNumber"),
        ("Occurrence ID", "occurrenceID"),
        ("Scientific Name", "scientificName"),
        ("Locality", "locality"),
        ("Decimal Latitude", "decimalLatitude"),
        ("Individual Count", "individualCount"),
        ("Occurrence Remarks", "occurrenceRemarks"),
    ):
        assert [core[DWC + term] for _, core, _ in rows] == texts(source, field, sample.FIELDS), field
    loose = ("Cabinet", "Drawer", "Image Checked")
    places = {field: [each["id"] for each in sample.FIELDS].index(field) for field in (*loose, "Associated Media")}
    for row, (_, core, lines) in zip(source, rows, strict=True):
        cabinet, drawer, checked = (row[places[field]] for field in loose)
        rest = {"cabinet": int(cabinet) if not cabinet.startswith("0") else cabinet, "drawer": drawer}
        rest |= {} if checked is None else {"imageChecked": checked}
        assert json.loads(core[DWC + "dynamicProperties"]) == rest
        assert lines == [
            {
                DC + "type": image["type"],
                DC + "format": image["format"],  # it has no `mime`
                DC + "identifier": image["identifier"],
                DC + "title": image["title"],
                DC + "license": image["license"],
            }
            for image in row[places["Associated Media"]] or []
        ]
    assert "Rows: 700\n" in str(media.mails[0].get_body(("plain",)))


@pytest.mark.parametrize("kind", ["2.7", "2.12", "solr"])
def test_awkward_values_arrive(workspace: Workspace, kind: str) -> None:
    fields = [{**field, "id": {"text": "Locality", "Text": "Verbatim Locality"}.get(field["id"], field["id"])}
              for field in AWKWARD_FIELDS]  # fmt: skip
    source = awkward()
    with server(kind, fields, source, rows_max=10) as api:
        rows = read(package(workspace, api))
    assert len(rows) == len(source)
    for field, term in (("Locality", "locality"), ("Verbatim Locality", "verbatimLocality")):
        assert [core[DWC + term] for _, core, _ in rows] == texts(source, field, fields)
    for row, (_, core, _) in zip(source, rows, strict=True):
        rest = json.loads(core[DWC + "dynamicProperties"], parse_float=Decimal)
        if row[6] is not None:
            assert (rest["größe🦋%s"], str(rest["größe🦋%s"])) == (row[6], str(row[6]))
        assert rest.get("truth") == row[9]
        assert rest.get("document") == (None if row[11] is JSON_NULL else row[11])


def test_a_megabyte_and_nul_arrive(workspace: Workspace) -> None:
    long = 'é"\n\\\t,' * 150_000
    with table([[1, long, None], [2, "a\x00b", None], [3, "short", None]]) as api:
        path = package(workspace, api)
    with zipfile.ZipFile(path) as archive:
        lines = archive.read("occurrence.csv").decode()
    assert lines == f'_id,locality,associatedMedia\n1,"{long.replace(chr(34), chr(34) * 2)}",\n2,a\x00b,\n3,short,\n'


def test_names_of_fields_are_terms_in_any_writing_and_two_of_one_term_share_it(workspace: Workspace) -> None:
    more = [
        {"id": name, "type": "text"} for name in ("eventDate", "Event date", "LOCALITY", "Catalog NUMBER", "Odd  one")
    ]
    with table(
        [[1, "here", None, "1999", None, "HERE", "7", "x"], [2, None, None, "2000", "2001", "", "", None]], *more
    ) as api:
        rows = read(package(workspace, api))
    cores = [core for _, core, _ in rows]
    assert [core[DWC + "locality"] for core in cores] == ["here", ""]
    assert [json.loads(core[DWC + "eventDate"]) for core in cores] == [
        {"eventdate": 1999},
        {"eventdate": 2000, "eventDate": 2001},
    ]
    rest = [json.loads(core[DWC + "dynamicProperties"]) for core in cores]
    assert rest == [{"LOCALITY": "HERE", "catalogNUMBER": 7, "oddOne": "x"}, {"LOCALITY": "", "catalogNUMBER": ""}]


def test_three_hundred_columns_arrive(workspace: Workspace) -> None:
    more = [{"id": f"Column {number}", "type": "int4"} for number in range(297)]
    source = [[row, "here", None, *range(row, row + 297)] for row in range(1, 31)]
    with table(source, *more, rows_max=20) as api:
        rows = read(package(workspace, api))
    found = [json.loads(core[DWC + "dynamicProperties"]) for _, core, _ in rows]
    assert found == [{f"column{number}": row + number for number in range(297)} for row in range(1, 31)]


def test_a_table_without_rows_is_an_archive_without_rows(media: Workspace, api: CkanApi) -> None:
    path = package(media, api, eml=EML)
    assert names(path) == ["occurrence.csv", "meta.xml", "eml.xml"]
    assert read(path) == []
    assert "Rows: 0\n" in str(media.mails[0].get_body(("plain",)))


def test_what_is_asked_for_is_what_arrives(media: Workspace, api: CkanApi) -> None:
    api.resources["r"].rows = [[number, "ab"[number % 2], None] for number in range(1, 41)]
    rows = read(package(media, api, filters={"Locality": "a"}, sort="_id desc", offset=2, limit=5))
    assert [id for id, _, _ in rows] == ["36", "34", "32", "30", "28"]


# Extensions


def item(**values: Any) -> dict[str, str]:
    """A row of multimedia, without what is not given."""
    known = {"type": "StillImage", "format": "", "identifier": "", "title": "", "license": "unknown"}
    return {DC + term: str(value) for term, value in (known | values).items()}


@pytest.mark.parametrize("kind", ["json", "text"])
@pytest.mark.parametrize(
    ("value", "expected", "rest"),
    [
        (None, [], None),
        (JSON_NULL, [], None),
        ([], [], None),
        ({}, [item()], None),
        ([{"identifier": "a"}, {"identifier": "b", "mime": "png"}],
         [item(identifier="a"), item(identifier="b", format="image/png")], None),
        ({"title": 'one, "alone"\n', "mime": None}, [item(title='one, "alone"\n')], None),
        ([{"type": None, "license": "", "identifier": 5}], [item(type="", license="", identifier=5)], None),
        ([None, {"identifier": "a"}, "b", 7], [item(identifier="a")], ["b", 7]),
        (7, [], 7),
        (True, [], True),
        ("no list", [], "no list"),
        ([{"identifier": ["x", 1]}], [item(identifier='["x",1]')], None),
    ],
)  # fmt: skip
def test_whatever_a_field_of_media_holds_is_packaged(
    media: Workspace, api: CkanApi, kind: str, value: Any, expected: list[dict[str, str]], rest: Any
) -> None:
    api.resources["r"].fields[2]["type"] = kind
    if kind == "text" and value is not None:
        value = "null" if value is JSON_NULL else json.dumps(value) if not isinstance(value, str) else value
    api.resources["r"].rows = [[1, "before", [{"identifier": "x"}] if kind == "json" else None], [2, "here", value]]
    (_, _, _), (id, core, lines) = read(package(media, api))
    assert (id, core[DWC + "locality"]) == ("2", "here")
    assert lines == expected
    text = rest if isinstance(rest, str) else "" if rest is None else json.dumps(rest, separators=(",", ":"))
    assert core[DWC + "associatedMedia"] == text


@pytest.mark.parametrize("text", ['[{"identifier": "a"', "{", "[1,]", "not JSON", '{"a": NaN}'])
def test_broken_json_in_a_field_of_media_stays_as_it_is(media: Workspace, api: CkanApi, text: str) -> None:
    api.resources["r"].fields[2]["type"] = "text"
    api.resources["r"].rows = [[1, "here", text], [2, "there", '[{"identifier": "b"}]']]
    (_, core, none), (_, _, lines) = read(package(media, api))
    assert core[DWC + "associatedMedia"] == text
    assert (none, lines) == ([], [item(identifier="b")])


def test_an_extension_without_a_row_is_left_out(media: Workspace, api: CkanApi) -> None:
    api.resources["r"].rows = [[1, "here", None], [2, "there", []]]
    path = package(media, api)
    assert names(path) == ["occurrence.csv", "meta.xml"]
    with zipfile.ZipFile(path) as archive:
        assert b"extension" not in archive.read("meta.xml")


def test_fields_of_additional_extensions_and_of_lists_go_side_by_side(workspace: Workspace) -> None:
    workspace.configure(
        dwc_additional_extensions=["measurement_or_fact", "identification_history"],
        dwc_extension_fields={"Associated Media": MULTIMEDIA},
    )
    more = [{"id": "Measurement Type", "type": "text"}, {"id": "measurementValue", "type": "numeric"}]
    source = [
        [1, "a", [{"identifier": "x"}], "length", Decimal("1.50")],
        [2, "b", None, None, None],
        [3, "c", None, "weight", None],
    ]
    with table(source, *more) as api:
        path = package(workspace, api)
    assert sorted(names(path)) == ["measurement_or_fact.csv", "meta.xml", "multimedia.csv", "occurrence.csv"]
    found = {id: sorted(lines, key=len) for id, _, lines in read(path)}
    length = {DWC + "measurementType": "length", DWC + "measurementValue": "1.50"}
    assert found == {
        "1": [length, item(identifier="x")],
        "2": [],
        "3": [{DWC + "measurementType": "weight", DWC + "measurementValue": ""}],
    }


def test_another_core_and_another_id(workspace: Workspace) -> None:
    workspace.configure(dwc_core_extension="taxon", dwc_id_field="Code")
    with table([[1, "here", None, "ZZZ-1"]], {"id": "Code", "type": "text"}) as api:
        path = package(workspace, api)
    assert names(path)[0] == "taxon.csv"
    with DwCAReader(path) as archive:
        assert archive.descriptor.core.type == DWC + "Taxon"
        (row,) = archive.rows
        assert row.id == "ZZZ-1"
        assert json.loads(row.data[DWC + "dynamicProperties"]) == {"_id": 1, "locality": "here"}


# Parameters


def test_the_eml_is_filled_and_other_braces_are_text(media: Workspace, api: CkanApi) -> None:
    path = package(media, api, eml=EML)
    with DwCAReader(path) as archive:
        assert archive.descriptor.metadata_filename == "eml.xml"
        eml = archive.metadata
    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", str(eml.get("packageId")))
    found = [element.text for element in eml.find("dataset")]
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", str(found[0]))
    assert re.fullmatch(rf"{found[0]}T\d\d:\d\d:\d\dZ", str(found[1]))
    assert found[2] == "{other} {} ü"


@pytest.mark.parametrize("eml", ["<eml>", "no XML", "{package_id}", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'])
def test_bad_eml_fails_at_once_and_says_why(media: Workspace, api: CkanApi, eml: str) -> None:
    job = run(media, api, eml=eml)
    assert str(job.failure).startswith("eml: not well-formed XML: line 1: ")
    assert media.where() == {"failed": 1}
    assert api.log == []
    assert "eml: not well-formed XML" in str(media.mails[0].get_body(("plain",)))


def test_for_gbif_adds_a_file_with_the_time(media: Workspace, api: CkanApi) -> None:
    path = package(media, api, for_gbif="true")
    with zipfile.ZipFile(path) as archive:
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", json.loads(archive.read("gbif.json"))["time"])
    assert read(path) == []
    assert "gbif.json" not in names(package(media, api, for_gbif="false"))


def test_fields_without_the_id_have_it_nevertheless(media: Workspace, api: CkanApi) -> None:
    api.resources["r"].rows = [[5, "here", [{"identifier": "x"}]]]
    assert read(package(media, api, fields="Locality")) == [("5", {DWC + "locality": "here"}, [])]
    both = read(package(media, api, fields=["Associated Media", "_id"]))
    assert both == [("5", {DWC + "associatedMedia": ""}, [item(identifier="x")])]


def test_a_resource_without_the_id_field_fails_in_words(workspace: Workspace, api: CkanApi) -> None:
    workspace.configure(dwc_id_field="No such field")
    words = "dwc_id_field: the resource has no field 'No such field'; it has: _id, Locality, Associated Media"
    assert run(workspace, api).failure == words


def test_what_portals_send_along_does_not_disturb(media: Workspace, api: CkanApi) -> None:
    more = {"format": "csv", "resource_url": "https://x.example.org/a.csv", "doi": "10.5072/x", "plain": "true"}
    assert names(package(media, api, **more)) == ["occurrence.csv", "meta.xml"]
    assert "10.5072/x" in str(media.mails[0].get_body(("plain",)))


def test_zip_command_zips_all_files(media: Workspace, api: CkanApi) -> None:
    media.configure(zip_command=ZIP_COMMAND, dwc_extension_fields={"Associated Media": MULTIMEDIA})
    api.resources["r"].rows = [[1, "here", [{"identifier": "x"}, {"identifier": "y"}]]]
    path = package(media, api, eml=EML)
    assert set(names(path)) == {"occurrence.csv", "multimedia.csv", "meta.xml", "eml.xml"}
    assert [lines for _, _, lines in read(path)] == [[item(identifier="x"), item(identifier="y")]]


# Configuration

MISSING: list[dict[str, Any]] = [
    {"dwc_core_extension": "cores/none.xml"},
    {"dwc_additional_extensions": ["multimedia", "cores/none.xml"]},
    {"dwc_extension_fields": {"Associated Media": MULTIMEDIA | {"extension": "cores/none.xml"}}},
]


@pytest.mark.parametrize("settings", MISSING, ids=lambda settings: next(iter(settings)))
def test_a_definition_that_is_missing_is_one_clear_line_and_check_reports_it(
    workspace: Workspace, api: CkanApi, settings: dict[str, Any], run: Callable[..., CommandResult]
) -> None:
    workspace.configure(**settings)
    (key,) = settings
    path = workspace.directory / "cores" / "none.xml"
    id = workspace.queue(api, "package_dwc_archive")
    workspace.work()
    failure = str(workspace.find(id)[1].failure)
    assert re.match(rf"{key}[.\w ]*: {re.escape(str(path))}: No such file or directory; expected an", failure)
    assert "\n" not in failure
    said = run("check")
    assert said.code == 1
    assert f"WRONG darwin core: {failure}" in said.out.splitlines()


def test_check_finds_a_right_configuration_fine(media: Workspace, run: Callable[..., CommandResult]) -> None:
    said = run("check")
    assert "ok    darwin core: the definitions can be read; the core is Occurrence" in said.out.splitlines()


def test_a_definition_of_gbif_s_format_is_read_from_beside_the_configuration(workspace: Workspace) -> None:
    (workspace.directory / "mine.xml").write_text(
        '<extension xmlns="http://rs.gbif.org/extension/" name="Mine" rowType="http://example.org/Mine">'
        '<property name="locality" qualName="http://example.org/locality"/></extension>'
    )
    workspace.configure(dwc_core_extension="mine.xml")
    with table([[1, "here", None]]) as api:
        path = package(workspace, api)
    with zipfile.ZipFile(path) as archive:
        meta = ElementTree.fromstring(archive.read("meta.xml"))
    assert meta[0].get("rowType") == "http://example.org/Mine"
    assert read(path)[0][1]["http://example.org/locality"] == "here"


@pytest.mark.parametrize("format", ["tsv", "TSV"])
def test_tsv_is_honoured_with_a_meta_that_says_so(media: Workspace, format: str) -> None:
    source = [[1, 'a\tb "c"\nd', [{"identifier": "x\ty"}]], [2, "plain, with comma", None]]
    with table(source) as api:
        path = package(media, api, format=format)
    assert names(path) == ["occurrence.tsv", "multimedia.tsv", "meta.xml"]
    with zipfile.ZipFile(path) as archive:
        assert archive.read("meta.xml").count(b'fieldsTerminatedBy="\\t"') == 2
        assert b"\n2\tplain, with comma\t\n" in archive.read("occurrence.tsv")
    rows = read(path)
    assert [core[DWC + "locality"] for _, core, _ in rows] == ['a\tb "c"\nd', "plain, with comma"]
    assert [lines for _, _, lines in rows] == [[item(identifier="x\ty")], []]


@pytest.mark.parametrize("format", ["csv", "xlsx", "dwca", "anything"])
def test_any_other_format_means_csv(media: Workspace, api: CkanApi, format: str) -> None:
    assert names(package(media, api, format=format)) == ["occurrence.csv", "meta.xml"]


def test_associated_media_are_multimedia_without_any_setting_and_no_licence_is_made_up(workspace: Workspace) -> None:
    source = [
        [1, "here", [{"identifier": "x", "license": None}, {"identifier": "y", "license": "CC0"}]],
        [2, "a", "url"],
    ]
    with table(source) as api:
        rows = read(package(workspace, api))
    media = [[{key.removeprefix(DC): value for key, value in line.items()} for line in lines] for _, _, lines in rows]
    empty = {"format": "", "title": "", "rightsHolder": "", "type": "StillImage"}
    assert media == [[{**empty, "identifier": "x", "license": ""}, {**empty, "identifier": "y", "license": "CC0"}], []]
    assert [core[DWC + "associatedMedia"] for _, core, _ in rows] == ["", "url"]
