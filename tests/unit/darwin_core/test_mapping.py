"""Which field goes into which column of which file."""

import csv
import json
from collections.abc import Sequence
from typing import Any

import pytest

from ckanpackager.config.settings import DarwinCore
from ckanpackager.darwin_core import Plan, compile_plan, encode_records, header
from ckanpackager.darwin_core.mapping import term_name
from ckanpackager.errors import ConfigError, PermanentFailure

MEDIA = {
    "extension": "multimedia",
    "fields": {"type": "StillImage", "format": "image/jpeg", "identifier": None, "title": ""},
}


@pytest.mark.parametrize(
    "name, term",
    [
        ("Taxon resource ID", "taxonResourceID"),
        ("Event date", "eventDate"),
        ("decimal latitude", "decimalLatitude"),
        ("Coordinate  Uncertainty In METERS", "coordinateUncertaintyInMETERS"),
        ("unknownField", "unknownfield"),
        ("GUID", "GUID"),
        ("DNA sequence", "DNASequence"),
        ("_id", "_id"),
        ("", ""),
    ],
)
def test_a_name_is_written_as_terms_are_with_words_in_capitals_kept(name, term):
    assert term_name(name) == term


def test_a_field_goes_into_the_term_of_its_name_or_of_its_name_in_camel_case():
    files = written(["_id", "eventDate", "Catalog Number", "Taxon ID"], [[1, "1900", "A1", "t"]])
    assert files == {"occurrence.csv": [["_id", "eventDate", "catalogNumber", "taxonID"], ["1", "1900", "A1", "t"]]}


def test_columns_follow_the_order_of_the_fields_behind_the_id():
    files = written(["locality", "_id", "country"], [["Hill", 7, "Japan"]])
    assert files["occurrence.csv"] == [["_id", "locality", "country"], ["7", "Hill", "Japan"]]


def test_fields_without_a_term_become_one_json_object_of_what_is_not_null():
    files = written(
        ["_id", "unknownField", "lesserKnownField", "Shelf Mark", "locality"],
        [[1, "u", None, 3, "Hill"], [2, None, None, None, None]],
    )
    head, first, second = files["occurrence.csv"]
    assert head == ["_id", "dynamicProperties", "locality"]
    assert json.loads(first[1]) == {"unknownfield": "u", "shelfMark": 3}
    assert second == ["2", "", ""]


def test_a_single_field_without_a_term_is_a_json_object_too():
    files = written(["_id", "Cabinet"], [[1, "B 12"]])
    assert files["occurrence.csv"] == [["_id", "dynamicProperties"], ["1", '{"cabinet":"B 12"}']]


def test_texts_that_are_json_are_embedded_as_values_and_numbers_keep_their_digits():
    names = ["_id", "number", "list", "text", "date", "zeros", "word", "broken"]
    row = [1, " 70.4300 ", '[1.50, {"a": 1e400}]', '"quoted"', "2018-05", "007", "true", '{"a": 1']
    (_, (_, cell)) = written(names, [row])["occurrence.csv"]
    assert cell == (
        '{"number":70.4300,"list":[1.50,{"a":1e400}],"text":"quoted","date":"2018-05","zeros":"007","word":true,'
        '"broken":"{\\"a\\": 1"}'
    )


def test_fields_that_share_a_term_become_a_json_object_under_their_names():
    files = written(["_id", "eventDate", "Event date"], [[1, "1900-01-01", "1 Jan. 1900"], [2, None, None]])
    (head, first, second) = files["occurrence.csv"]
    assert head == ["_id", "eventDate"]
    assert json.loads(first[1]) == {"eventdate": "1900-01-01", "eventDate": "1 Jan. 1900"}
    assert second == ["2", ""]


def test_no_value_is_lost_where_two_names_are_the_same_as_terms_are_written():
    (_, (_, cell)) = written(["_id", "Shelf mark", "shelf Mark", "Foo", "foo"], [[1, "a", "b", "c", "d"]])[
        "occurrence.csv"
    ]
    assert cell == '{"shelfMark":"a","shelf Mark":"b","foo":"c","foo_2":"d"}'


def test_a_field_named_as_the_dynamic_term_joins_the_fields_without_a_term():
    (_, (_, cell)) = written(["_id", "Dynamic Properties", "Drawer"], [[1, '{"a": 1}', 4]])["occurrence.csv"]
    assert cell == '{"dynamicProperties":{"a":1},"drawer":4}'
    (_, (_, cell)) = written(["_id", "Dynamic Properties"], [[1, "as it is"]])["occurrence.csv"]
    assert cell == "as it is"


def test_the_id_field_is_also_a_column_if_it_is_a_term():
    files = written(["_id", "Occurrence ID"], [[1, "o-1"]], dwc_id_field="Occurrence ID")
    assert files["occurrence.csv"] == [
        ["Occurrence ID", "dynamicProperties", "occurrenceID"],
        ["o-1", '{"_id":1}', "o-1"],
    ]


def test_a_table_of_nothing_but_ids_still_has_the_column_that_the_schema_wants():
    assert written(["_id"], [[1]])["occurrence.csv"] == [["_id", "dynamicProperties"], ["1", ""]]


def test_terms_of_an_additional_extension_make_one_row_there_for_each_record():
    files = written(
        ["_id", "Measurement Value", "locality", "Measurement unit"],
        [[1, 3, "Hill", "mm"], [2, None, "Dale", "cm"]],
        dwc_additional_extensions=["measurement_or_fact"],
    )
    assert files == {
        "occurrence.csv": [["_id", "locality"], ["1", "Hill"], ["2", "Dale"]],
        "measurement_or_fact.csv": [
            ["_id", "measurementValue", "measurementUnit"],
            ["1", "3", "mm"],
            ["2", "", "cm"],
        ],
    }


def test_a_record_without_any_value_for_an_extension_has_no_row_there():
    files = written(
        ["_id", "measurementValue"], [[1, None], [2, 0], [3, ""]], dwc_additional_extensions=["measurement_or_fact"]
    )
    assert files["measurement_or_fact.csv"][1:] == [["2", "0"]]


def test_a_term_of_several_definitions_belongs_to_the_core_else_to_the_first():
    plan = compile_plan(
        ["_id", "typeStatus", "title", "creator"],
        DarwinCore(dwc_additional_extensions=["identification_history", "multimedia", "audiovisual"]),
    )
    assert columns(plan) == {"occurrence.csv": ["typeStatus"], "multimedia.csv": ["title", "creator"]}


def test_each_object_in_a_nested_field_is_a_row_with_defaults_for_what_is_missing():
    files = written(
        ["_id", "associatedMedia"],
        [
            [1, [{"identifier": "a.jpg", "title": "Back", "size": 3}, {"type": "Sound", "title": None, "format": ""}]],
            [2, None],
            [3, {"identifier": "c.jpg"}],
        ],
        dwc_extension_fields={"associatedMedia": MEDIA},
    )
    assert files["multimedia.csv"] == [
        ["_id", "type", "format", "identifier", "title"],
        ["1", "StillImage", "image/jpeg", "a.jpg", "Back"],
        ["1", "Sound", "", "", ""],
        ["3", "StillImage", "image/jpeg", "c.jpg", ""],
    ]


def test_a_field_that_lists_rows_may_be_named_in_camel_case_too():
    files = written(["_id", "Associated Media"], [[1, [{}]]], dwc_extension_fields={"associatedMedia": MEDIA})
    assert len(files["multimedia.csv"]) == 2


def test_a_mapping_names_the_key_and_a_formatter_surrounds_values_not_defaults():
    media = MEDIA | {"mappings": {"format": "mime"}, "formatters": {"format": "image/{}"}}
    files = written(
        ["_id", "media"],
        [[1, [{"mime": "png", "format": "x"}, {}, {"mime": 3}, {"mime": ""}]]],
        dwc_extension_fields={"media": media},
    )
    assert [row[2] for row in files["multimedia.csv"][1:]] == ["image/png", "image/jpeg", "image/3", ""]


def test_an_explicit_null_stays_empty_where_a_missing_value_takes_the_default():
    media = MEDIA | {"mappings": {"format": "mime"}}
    files = written(
        ["_id", "media"],
        [[1, [{"mime": None, "type": None}, {"mime": None, "format": "image/gif"}, {}]]],
        dwc_extension_fields={"media": media},
    )
    assert [row[1:3] for row in files["multimedia.csv"][1:]] == [
        ["", ""],
        ["StillImage", ""],
        ["StillImage", "image/jpeg"],
    ]


def test_an_object_without_the_mapped_name_is_asked_for_the_terms_own():
    media = MEDIA | {"mappings": {"format": "mime"}, "formatters": {"format": "image/{}"}}
    files = written(
        ["_id", "media"], [[1, [{"format": "image/gif"}, {"format": None}]]], dwc_extension_fields={"media": media}
    )
    assert [row[2] for row in files["multimedia.csv"][1:]] == ["image/gif", ""]


def test_a_formatter_is_text_in_which_no_other_brace_or_name_means_anything():
    media = MEDIA | {"formatters": {"title": "{0.__class__} %s {} {title}"}}
    files = written(["_id", "media"], [[1, [{"title": "{}"}]]], dwc_extension_fields={"media": media})
    assert files["multimedia.csv"][1][4] == "{0.__class__} %s {} {title}"


@pytest.mark.parametrize(
    "value, rows, left",
    [
        (None, 0, None),
        ([], 0, None),
        ([None, None], 0, None),
        ("", 0, None),
        ("  ", 0, None),
        ("null", 0, None),
        ([{"title": "a"}, None, {"title": "b"}], 2, None),
        ('[{"title": "a"}]', 1, None),
        ('{"title": "a"}', 1, None),
        ("http://example.org/1.jpg", 0, "http://example.org/1.jpg"),
        ('[{"title": "a"', 0, '[{"title": "a"'),
        (["1.jpg", {"title": "a"}, ["x"]], 1, ["1.jpg", ["x"]]),
        (12, 0, 12),
        (0, 0, 0),
        ("12", 0, 12),
        (True, 0, True),
        (False, 0, False),
        ("[" * 100_000, 0, "[" * 100_000),
    ],
)
def test_what_a_field_of_objects_holds_besides_them_is_kept_in_the_dynamic_term(value, rows, left):
    files = written(["_id", "media"], [[1, value]], dwc_extension_fields={"media": MEDIA})
    assert len(files.get("multimedia.csv", [None])) - 1 == rows
    cell = files["occurrence.csv"][1][1]
    assert (json.loads(cell)["media"] if cell else None) == left


def test_surprising_values_within_the_objects_become_text_or_json():
    item = {"type": ["a", 1], "format": {"b": None}, "identifier": False, "title": "1\n2"}
    files = written(["_id", "media"], [[1, [item]]], dwc_extension_fields={"media": MEDIA})
    assert files["multimedia.csv"][1] == ["1", '["a",1]', '{"b":null}', "false", "1\n2"]


def test_numbers_in_a_text_of_objects_keep_their_digits():
    files = written(
        ["_id", "media"], [[1, '[{"title": 1.50, "type": [70.4300]}]']], dwc_extension_fields={"media": MEDIA}
    )
    assert files["multimedia.csv"][1] == ["1", "[70.4300]", "image/jpeg", "", "1.50"]


def test_nested_fields_of_one_extension_share_its_file_in_the_order_of_the_records():
    sounds = {"extension": "multimedia", "fields": {"identifier": "", "creator": "unknown"}}
    files = written(
        ["_id", "sounds", "images", "audience"],
        [[1, [{"identifier": "1.wav"}], [{"identifier": "1.jpg"}], None], [2, [{"identifier": "2.wav"}], None, "all"]],
        dwc_extension_fields={"images": MEDIA, "sounds": sounds},
        dwc_additional_extensions=["multimedia"],
    )
    assert files["multimedia.csv"] == [
        ["_id", "audience", "identifier", "creator", "type", "format", "title"],
        ["1", "", "1.wav", "unknown", "", "", ""],
        ["1", "", "1.jpg", "", "StillImage", "image/jpeg", ""],
        ["2", "all", "", "", "", "", ""],
        ["2", "", "2.wav", "unknown", "", "", ""],
    ]


def test_two_extensions_of_one_name_get_files_of_their_own(tmp_path):
    path = tmp_path / "ac.xml"
    path.write_text(
        '<extension name="Multimedia" rowType="http://example.org/M"><property name="tag" qualName="http://example.org/t"/>'
        "</extension>"
    )
    plan = compile_plan(["_id", "title", "tag"], DarwinCore(dwc_additional_extensions=["multimedia", str(path)]))
    assert columns(plan) == {
        "occurrence.csv": ["dynamicProperties"], "multimedia.csv": ["title"], "multimedia_2.csv": ["tag"]
    }  # fmt: skip


def test_the_core_may_be_another_one_and_has_dynamic_properties_whatever_it_is():
    plan = compile_plan(["_id", "Scientific Name", "Shelf"], DarwinCore(dwc_core_extension="taxon"))
    assert columns(plan) == {"taxon.csv": ["scientificName", "dynamicProperties"]}
    assert plan.core.columns[1].uri == "http://rs.tdwg.org/dwc/terms/dynamicProperties"


def test_the_dynamic_term_is_the_one_that_the_settings_name():
    plan = compile_plan(["_id", "Shelf"], DarwinCore(dwc_dynamic_term="occurrenceRemarks"))
    assert columns(plan) == {"occurrence.csv": ["occurrenceRemarks"]}


def test_a_resource_without_the_id_field_is_refused_with_what_it_has():
    with pytest.raises(PermanentFailure, match="dwc_id_field: the resource has no field 'guid'; it has: _id, name"):
        compile_plan(["_id", "name"], DarwinCore(dwc_id_field="guid"))


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"dwc_dynamic_term": "property"}, "dwc_dynamic_term: 'property' is no term of Occurrence"),
        ({"dwc_dynamic_term": "dynamicProperty"}, "; did you mean dynamicProperties?"),
        ({"dwc_core_extension": "/none"}, "dwc_core_extension: /none: No such file or directory; expected an"),
        ({"dwc_additional_extensions": ["/none"]}, "dwc_additional_extensions: /none: No such file"),
    ],
)
def test_what_is_wrong_in_the_settings_is_said_with_its_key(settings, words):
    with pytest.raises(ConfigError) as caught:
        compile_plan(["_id"], DarwinCore(**settings))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"extension": "/none"}, "extension: /none: No such file"),
        ({"fields": {}}, "fields: expected at least one term of Multimedia"),
        ({"fields": {"Format": ""}}, "fields: 'Format' is no term of Multimedia; did you mean format?"),
        ({"mappings": {"mime": "format"}}, "mappings.mime: expected a term that is among the fields"),
        ({"formatters": {"size": "{}"}}, "formatters.size: expected a term that is among the fields"),
        ({"formatters": {"format": "image"}}, "formatters.format: expected a text with one {} in it"),
        ({"formatters": {"format": "{}{}"}}, "formatters.format: expected a text with one {} in it"),
        ({"formatters": {"format": 3}}, "formatters.format: expected a text with one {} in it"),
    ],
)
def test_faults_of_a_nested_field_are_told_whether_a_resource_has_it_or_not(changes, words):
    with pytest.raises(ConfigError) as caught:
        compile_plan(["_id"], DarwinCore(dwc_extension_fields={"media": MEDIA | changes}))
    assert f"dwc_extension_fields.media.{words}" in str(caught.value)


def columns(plan: Plan) -> dict[str, list[str]]:
    return {table.name: [column.name for column in table.columns] for table in (plan.core, *plan.extensions)}


def written(names: Sequence[str], records: Sequence[Sequence[Any]], **settings: Any) -> dict[str, list[list[str]]]:
    """The files that have rows, as a reader of CSV sees them."""
    plan = compile_plan(names, DarwinCore(**settings))
    heads = {table.name: header(table) for table in (plan.core, *plan.extensions)}
    files: dict[str, bytes] = {}
    for name, content in encode_records(plan, records):
        files[name] = files.get(name, heads[name]) + content
    csv.field_size_limit(10_000_000)
    return {name: list(csv.reader(content.decode().splitlines(keepends=True))) for name, content in files.items()}
