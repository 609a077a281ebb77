"""meta.xml and eml.xml, and whole archives as others read them."""

import zipfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from dwca.read import DwCAReader
from lxml import etree

from ckanpackager.config.settings import DarwinCore
from ckanpackager.darwin_core import Plan, compile_plan, encode_records, fill_eml, header, meta_xml
from ckanpackager.demo import sample
from ckanpackager.errors import BadRequest
from ckanpackager.formats.json_values import Number

SCHEMA = Path(__file__).parents[2] / "support" / "data" / "tdwg_dwc_text.xsd"
DWC = "http://rs.tdwg.org/dwc/terms/"
DCTERMS = "http://purl.org/dc/terms/"
MEDIA = {"extension": "multimedia", "fields": {"identifier": None, "title": None, "type": "StillImage"}}
SETTINGS = DarwinCore(
    dwc_additional_extensions=["measurement_or_fact"], dwc_extension_fields={"Associated Media": MEDIA}
)
EML = '<?xml version="1.0"?>\n<eml packageId="{package_id}"><pubDate>{pub_date}</pubDate><x>{date_stamp}</x></eml>'


def test_meta_xml_says_where_everything_is():
    plan = compile_plan(["_id", "Event Date", "modified", "Associated Media"], SETTINGS)
    assert meta_xml(plan, {"multimedia.csv"}, eml=True).decode() == (
        """\
<?xml version="1.0" encoding="UTF-8"?>
<archive xmlns="http://rs.tdwg.org/dwc/text/" metadata="eml.xml">
  <core encoding="UTF-8" linesTerminatedBy="\\n" fieldsTerminatedBy="," fieldsEnclosedBy="&quot;" ignoreHeaderLines="1" rowType="http://rs.tdwg.org/dwc/terms/Occurrence">
    <files><location>occurrence.csv</location></files>
    <id index="0"/>
    <field index="1" term="http://rs.tdwg.org/dwc/terms/eventDate"/>
    <field index="2" term="http://purl.org/dc/terms/modified"/>
    <field index="3" term="http://rs.tdwg.org/dwc/terms/associatedMedia"/>
  </core>
  <extension encoding="UTF-8" linesTerminatedBy="\\n" fieldsTerminatedBy="," fieldsEnclosedBy="&quot;" ignoreHeaderLines="1" rowType="http://rs.gbif.org/terms/1.0/Multimedia">
    <files><location>multimedia.csv</location></files>
    <coreid index="0"/>
    <field index="1" term="http://purl.org/dc/terms/identifier"/>
    <field index="2" term="http://purl.org/dc/terms/title"/>
    <field index="3" term="http://purl.org/dc/terms/type"/>
  </extension>
</archive>
"""  # noqa: E501 - as it is written
    )


def test_extensions_without_rows_and_a_missing_eml_are_not_in_meta_xml():
    plan = compile_plan(["_id", "Associated Media"], SETTINGS)
    meta = ElementTree.fromstring(meta_xml(plan, {"occurrence.csv"}, eml=False))
    assert [child.tag.rpartition("}")[2] for child in meta] == ["core"]
    assert meta.attrib == {}


@pytest.mark.parametrize("eml", [True, False])
@pytest.mark.parametrize(
    "names", [["_id"], ["_id", "Event Date", "Odd"], ["_id", "Associated Media", "measurementValue", "measurementUnit"]]
)
def test_meta_xml_is_valid_against_the_schema_of_the_text_guide(names, eml):
    schema = etree.XMLSchema(etree.parse(SCHEMA, etree.XMLParser(no_network=True)))
    plan = compile_plan(names, SETTINGS)
    schema.assertValid(etree.fromstring(meta_xml(plan, {"multimedia.csv", "measurement_or_fact.csv"}, eml)))


def test_uris_that_need_it_are_escaped_in_meta_xml(tmp_path):
    path = tmp_path / "odd.xml"
    path.write_text(
        '<extension name="O" rowType="http://x/?a&amp;b"><property name="t" qualName="http://x/&lt;"/></extension>'
    )
    meta = ElementTree.fromstring(
        meta_xml(compile_plan(["_id", "t"], DarwinCore(dwc_core_extension=str(path))), (), eml=False)
    )
    assert meta[0].get("rowType") == "http://x/?a&b"
    assert meta[0][2].get("term") == "http://x/<"


def test_python_dwca_reader_finds_every_row_of_the_demo_s_table(tmp_path):
    names = [field["id"] for field in sample.FIELDS]
    records = [[arrived(value) for value in row] for row in sample.rows(2000)]
    path = archive(tmp_path / "a.zip", compile_plan(names, SETTINGS), records, fill_eml(EML, "p", "d", "s"))
    workspace = {name: names.index(name) for name in names}
    with DwCAReader(path) as read:
        assert read.metadata.get("packageId") == "p"
        core = read.rows
        assert [row.id for row in core] == [str(number) for number in range(1, 2001)]
        for record, row in zip(records, core, strict=True):
            assert row.data[DWC + "locality"] == (record[workspace["Locality"]] or "")
            assert row.data[DWC + "occurrenceRemarks"] == (record[workspace["Occurrence Remarks"]] or "")
            assert row.data[DWC + "decimalLatitude"] == str(record[workspace["Decimal Latitude"]] or "")
            media = [ext.data for ext in row.extensions]
            assert [item[DCTERMS + "identifier"] for item in media] == [
                item["identifier"] for item in record[workspace["Associated Media"]] or []
            ]


def test_python_dwca_reader_opens_an_archive_without_any_row(tmp_path):
    path = archive(tmp_path / "a.zip", compile_plan(["_id", "locality"], SETTINGS), [], None)
    with DwCAReader(path) as read:
        assert list(read) == []


def test_the_placeholders_of_eml_are_filled_and_escaped_and_any_other_brace_is_text():
    text = EML.replace("</eml>", "<y>{} {0} {other} {{package_id}} } { {package_id!r}</y></eml>")
    filled = fill_eml(text, '"<&>"', "2026-01-02", "2026-01-02T03:04:05")
    root = ElementTree.fromstring(filled)
    assert root.get("packageId") == '"<&>"'
    assert [child.text for child in root] == [
        "2026-01-02",
        "2026-01-02T03:04:05",
        '{} {0} {other} {"<&>"} } { {package_id!r}',
    ]


@pytest.mark.parametrize("start", ["\ufeff", "\r\n  ", ""])
def test_eml_is_written_in_utf_8_and_says_so_whatever_it_said_before(start):
    filled = fill_eml(f"{start}<?xml version='1.0' encoding='ISO-8859-1'?><eml>é {{pub_date}}</eml>", "", "ü", "")
    assert filled.decode() == "<?xml version='1.0' encoding=\"UTF-8\"?><eml>é ü</eml>"
    assert ElementTree.fromstring(filled).text == "é ü"


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "line 1: no element found"),
        ("{package_id}", "line 1: syntax error"),
        ("<eml>\n<a></eml>", "line 2: mismatched tag"),
        ("<eml/><eml/>", "junk after document element"),
        ("<eml>&nbsp;</eml>", "undefined entity"),
        ("<eml>\x00</eml>", "invalid token"),
        ("<eml>\ud800</eml>", "a character that is none"),
        ('<!DOCTYPE eml [<!ENTITY a "b">]><eml>&a;</eml>', "a document type (<!DOCTYPE …>) is not accepted"),
        ('<!DOCTYPE eml SYSTEM "file:///etc/passwd"><eml/>', "a document type (<!DOCTYPE …>) is not accepted"),
    ],
)
def test_eml_that_is_not_well_formed_or_has_a_document_type_is_refused(text, words):
    with pytest.raises(BadRequest) as caught:
        fill_eml(text, "p", "d", "s")
    assert str(caught.value).startswith("eml: not well-formed XML: ")
    assert words in str(caught.value)


def archive(path: Path, plan: Plan, records: Sequence[Sequence[Any]], eml: bytes | None) -> str:
    """An archive as a packager makes it."""
    tables = {table.name: table for table in (plan.core, *plan.extensions)}
    files = {plan.core.name: [header(plan.core)]}
    for name, content in encode_records(plan, records):
        files.setdefault(name, [header(tables[name])]).append(content)
    with zipfile.ZipFile(path, "w") as zip:
        for name, contents in files.items():
            zip.writestr(name, b"".join(contents))
        zip.writestr("meta.xml", meta_xml(plan, files, eml is not None))
        if eml is not None:
            zip.writestr("eml.xml", eml)
    return str(path)


def arrived(value: Any) -> Any:
    return Number(str(value)) if isinstance(value, Decimal | float) else value
