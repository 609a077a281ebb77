"""Definitions of cores and extensions: those that come along, and those in GBIF's format."""

import re
from pathlib import Path

import pytest

from ckanpackager.darwin_core import SHIPPED, Extension, definition
from ckanpackager.errors import ConfigError

DWC = "http://rs.tdwg.org/dwc/terms/"
DCTERMS = "http://purl.org/dc/terms/"

DIVES = """<?xml version="1.0" encoding="UTF-8"?>
<extension xmlns="http://rs.gbif.org/extension/" xmlns:dc="http://purl.org/dc/terms/"
    dc:title="Dives" name="DiveLog" namespace="http://example.org/" rowType="http://example.org/Dive">
  <property name="depth" namespace="http://example.org/" qualName="http://example.org/depth" dc:description="é"/>
  <property name="creator" namespace="http://purl.org/dc/terms/" qualName="http://purl.org/dc/terms/creator"/>
  <property name="creator" namespace="http://example.org/" qualName="http://example.org/creator"/>
</extension>
"""


def test_all_that_are_promised_come_along():
    stems = {definition(name).stem for name in SHIPPED}
    assert stems == set(SHIPPED)
    assert stems >= {"occurrence", "taxon", "event", "multimedia", "audiovisual", "measurement_or_fact"}
    assert stems >= {"identification_history", "resource_relationship"}


@pytest.mark.parametrize(
    "name, row_type, terms, some",
    [
        ("occurrence", DWC + "Occurrence", 202, {"eventDate": DWC + "eventDate", "modified": DCTERMS + "modified"}),
        ("taxon", DWC + "Taxon", 54, {"genericName": DWC + "genericName"}),
        ("event", DWC + "Event", 99, {"eventID": DWC + "eventID", "language": "http://purl.org/dc/elements/1.1/language"}),
        ("multimedia", "http://rs.gbif.org/terms/1.0/Multimedia", 15, {"format": DCTERMS + "format"}),
        ("audiovisual", "http://rs.tdwg.org/ac/terms/Multimedia", 151, {"accessURI": "http://rs.tdwg.org/ac/terms/accessURI"}),
        ("measurement_or_fact", DWC + "MeasurementOrFact", 11, {"measurementValue": DWC + "measurementValue"}),
        ("identification_history", DWC + "Identification", 50, {"typeStatus": DWC + "typeStatus"}),
        ("resource_relationship", DWC + "ResourceRelationship", 8, {"relatedResourceID": DWC + "relatedResourceID"}),
    ],
)  # fmt: skip
def test_what_comes_along_has_the_standards_terms_and_uris(name, row_type, terms, some):
    found = definition(name)
    assert (found.row_type, len(found.terms)) == (row_type, terms)
    assert found.terms.items() >= some.items()
    assert all(re.fullmatch(r"https?://[\w./-]+/" + term, uri) for term, uri in found.terms.items())


def test_a_definition_in_gbifs_format_gives_its_name_row_type_and_terms_in_order(tmp_path):
    assert read(tmp_path, DIVES) == Extension(
        "DiveLog", "http://example.org/Dive", {"depth": "http://example.org/depth", "creator": DCTERMS + "creator"}
    )


def test_of_two_terms_of_one_name_the_first_is_meant(tmp_path):
    assert read(tmp_path, DIVES).terms["creator"] == DCTERMS + "creator"


@pytest.mark.parametrize(
    "name, stem",
    [
        ("Occurrence", "occurrence"),
        ("MeasurementOrFact", "measurement_or_fact"),
        ("DNADerivedData", "dna_derived_data"),
        ("../Types & Specimen", "types_specimen"),
        ("…", "rows"),
    ],
)
def test_a_file_is_named_after_its_extension_in_small_letters_and_nothing_dangerous(name, stem):
    assert Extension(name, "x", {}).stem == stem


@pytest.mark.parametrize(
    "content, words",
    [
        ("", "line 1: no element found"),
        ("<extension", "line 1: unclosed token"),
        ("<html/>", "line 1: the outermost element is <html>, not <extension>"),
        (DIVES.replace('name="DiveLog"', ""), "line 3: <extension> has no name"),
        (DIVES.replace('rowType="http://example.org/Dive"', ""), "line 3: <extension> has no rowType"),
        (DIVES.replace('qualName="http://example.org/depth"', ""), "line 4: <property> has no qualName"),
        ('<extension name="X" rowType="y"/>', "it has no <property>, so no terms"),
        (DIVES.replace("?>", "?>\n<!DOCTYPE extension>", 1), "line 2: a document type (<!DOCTYPE …>) is not accepted"),
        (DIVES.replace('dc:title="Dives"', 'dc:title="&nbsp;"'), "undefined entity"),
    ],
)
def test_what_is_wrong_with_a_definition_is_said_with_its_file_and_line(tmp_path, content, words):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, content)
    assert str(caught.value).startswith(f"{tmp_path}/definition.xml: not an extension definition: ")
    assert words in str(caught.value)


def test_a_document_with_entities_is_refused_before_they_grow(tmp_path):
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 30))
    bomb = f'<!DOCTYPE x [<!ENTITY e0 "ha">{entities}]><extension name="&e29;" rowType="x"/>'
    with pytest.raises(ConfigError, match="document type"):
        read(tmp_path, bomb)


def test_a_definition_that_is_not_there_is_said_with_the_names_of_those_that_are(tmp_path):
    with pytest.raises(ConfigError, match=r"multimedium: No such file.*one of: occurrence, taxon, event, multimedia"):
        definition(f"{tmp_path}/multimedium")


def read(folder: Path, content: str) -> Extension:
    path = folder / "definition.xml"
    path.write_text(content, "utf-8")
    return definition(str(path))
