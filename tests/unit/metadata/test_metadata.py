"""What an archive says of its data: from whatever a site's metadata holds, in words and in valid files."""

from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import pytest

from ckanpackager.formats.registry import FORMATS
from ckanpackager.metadata.citation import citation
from ckanpackager.metadata.contents import Contents, Missing, OtherFile, TableFile
from ckanpackager.metadata.dataset import Dataset, dataset_from, doi_in, resource_from, site_of
from ckanpackager.metadata.eml import eml_xml
from ckanpackager.metadata.query import query_in_words
from ckanpackager.metadata.readme import readme

NOW = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
SITE = "https://data.example.org"
WHOLE: dict[str, Any] = {
    "name": "beetles",
    "title": "Beetles & <co>",
    "notes": "One.\n\nTwo\x00.",
    "version": "1.2",
    "organization": {"title": "The Museum"},
    "author": "Ann Smith",
    "maintainer": "Bob",
    "maintainer_email": "bob@example.org",
    "license_id": "cc-by",
    "license_title": "CC BY",
    "license_url": "https://creativecommons.org/licenses/by/4.0/",
    "metadata_created": "2019-05-06T07:08:09",
    "metadata_modified": "2020-05-06T07:08:09",
    "tags": [{"name": "a"}, {"name": "b"}],
}
ODD: list[dict[str, Any]] = [
    {},
    dict.fromkeys(WHOLE),
    {key: [1, {"x": None}] for key in WHOLE},
    {key: {"en": "text"} for key in WHOLE},
    dict.fromkeys(WHOLE, 5),
    dict.fromkeys(WHOLE, " \n "),
    {"license_id": "notspecified", "license_title": "Licence not specified", "organization": {"name": "m"}},
    {"tags": [None, {}, {"name": ""}], "extras": [None, {"key": "DOI", "value": "doi:10.5072/x"}]},
]


def contents(dataset: Dataset | None, **known: Any) -> Contents:
    return Contents(name="r", dataset=dataset, fetched=NOW, **known)


@pytest.mark.parametrize("package", [WHOLE, *ODD], ids=range(len(ODD) + 1))
def test_whatever_a_site_says_of_a_dataset_makes_a_readme_and_an_eml(package: dict[str, Any]) -> None:
    dataset = dataset_from(package, SITE, "fallback")
    assert dataset.title
    described = contents(dataset, resource=resource_from(package, dataset))
    text = readme(described).decode()
    assert text.startswith(described.title.split("\n")[0])
    assert "Licence\n-------\n" in text
    assert "\x00" not in text
    root = ElementTree.fromstring(eml_xml(dataset, described, "id/v1"))
    (inner,) = root.findall("dataset")
    names = [element.tag for element in inner]
    assert names == sorted(names, key=ORDER.index)
    assert {"title", "creator", "metadataProvider", "contact"} <= set(names)
    assert all(element.text or len(element) for element in inner.iter())


# Of the elements of EML 2.2.0 in their order, those that are used.
ORDER = ["alternateIdentifier", "title", "creator", "metadataProvider", "pubDate", "abstract", "keywordSet"]
ORDER += ["intellectualRights", "licensed", "distribution", "contact"]


def test_the_eml_says_all_that_is_known() -> None:
    dataset = dataset_from(WHOLE, SITE)
    root = ElementTree.fromstring(eml_xml(dataset, contents(dataset, doi="10.5072/x"), "id/v1"))
    assert root.tag == "{https://eml.ecoinformatics.org/eml-2.2.0}eml"
    assert root.attrib["packageId"] == "id/v1"
    texts = {element.tag: element.text for element in root.iter() if element.text and element.text.strip()}
    assert texts["alternateIdentifier"] == "https://doi.org/10.5072/x"
    assert texts["title"] == "Beetles & <co>"
    assert texts["pubDate"] == "2020-05-06"
    assert [para.text for para in root.iter("para")][:2] == ["One.", "Two."]
    assert [word.text for word in root.iter("keyword")] == ["a", "b"]
    assert root.find("dataset/creator/individualName/surName").text == "Ann Smith"  # type: ignore[union-attr]
    assert root.find("dataset/contact/electronicMailAddress").text == "bob@example.org"  # type: ignore[union-attr]
    assert root.find("dataset/intellectualRights/para/ulink").attrib["url"] == WHOLE["license_url"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("package", "doi", "cited"),
    [
        (WHOLE, "", "Ann Smith (2019). Beetles & <co> (version 1.2) [Data set]. The Museum. "
                    "https://data.example.org/dataset/beetles. Accessed 2026-11-24."),
        ({"name": "b", "organization": {"title": "The Museum"}}, "10.5072/x",
         "The Museum. b [Data set]. https://doi.org/10.5072/x. Accessed 2026-11-24."),
        ({"name": "b", "title": "B.", "doi": "https://doi.org/10.5072/Y"}, "",
         "B. [Data set]. https://doi.org/10.5072/Y. Accessed 2026-11-24."),
    ],
)  # fmt: skip
def test_a_citation_has_what_is_known_in_datacites_order(package: dict[str, Any], doi: str, cited: str) -> None:
    assert citation(dataset_from(package, SITE), None, doi, NOW) == cited


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({}, []),
        ({"filters": {}, "q": "", "fields": [], "offset": 0}, []),
        ({"filters": {"Country": "Peru", "n": [1, 2]}}, [("Filter", 'Country is "Peru"'), ("Filter", "n is 1 or 2")]),
        ({"filters": {"_id": {"gt": 5, "lte": 9}}}, [("Filter", "_id is greater than 5 and at most 9")]),
        ({"filters": [{"a": None}, {"b": True}]}, [("Filter", "a is null"), ("Filter", "b is true")]),
        ({"q": "red\nbeetle"}, [("Search", r'"red\nbeetle"')]),
        ({"q": {"name": "x"}, "plain": False, "language": "french"},
         [("Search", "name has \"x\", as a full-text query of PostgreSQL's, in french")]),
        ({"fields": ["a", "b"], "sort": ["a desc", "b"], "distinct": True},
         [("Duplicates", "rows that are equal appear once"), ("Fields", "a, b"), ("Order", "a desc, b")]),
        ({"sort": "a", "offset": 1000, "limit": 5000},
         [("Order", "a"), ("Offset", "the first 1,000 rows are left out"), ("Limit", "at most 5,000 rows")]),
    ],
)  # fmt: skip
def test_a_query_is_told_in_words(query: dict[str, Any], words: list[tuple[str, str]]) -> None:
    assert query_in_words(query) == words


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("https://x.org/api/3/action/datastore_search", "https://x.org"),
        ("https://x.org/data/api/action/datastore_search", "https://x.org/data"),
        ("https://x.org/dataset/a/resource/b/download/c.csv", "https://x.org"),
        ("https://x.org/dataset/a.csv", ""),
        ("ftp://x.org/api/", ""),
    ],
)
def test_the_site_of_an_address_is_found(address: str, site: str) -> None:
    assert site_of(address) == site


@pytest.mark.parametrize(
    ("text", "doi"),
    [("10.5072/x", "10.5072/x"), ("doi:10.5072/x", "10.5072/x"), ("https://dx.doi.org/10.5072/x", "10.5072/x"),
     ("see 10.5072/x", ""), ("", "")],
)  # fmt: skip
def test_a_doi_is_told_from_other_text(text: str, doi: str) -> None:
    assert doi_in(text) == doi


def test_no_text_of_a_site_begins_a_line_or_hides_one() -> None:
    dataset = dataset_from({**WHOLE, "title": "One\nHow to cite\r\u202ex\x1b[2J"}, SITE)
    table = TableFile(
        path="t.csv", title="T\n\nLicence", format=FORMATS["csv"], rows=1, size=5,
        fields=[{"id": "a\nb", "type": "text", "info": {"label": "x\r\ny", "notes": 5}}, {"id": "c", "type": "int"}],
    )  # fmt: skip
    other = OtherFile(path="o", title="o", size=0)
    described = contents(dataset, files=[table, other], missing=[Missing("i", "m\nm", "e\ne")], notes=["n\nn"])
    lines = readme(described).decode().split("\n")
    assert lines[0] == "One How to cite x[2J"
    assert "t.csv (1 rows, 5 bytes): T Licence" in lines
    assert "a b (text): x y. 5" in lines
    assert "m m: e e" in lines and "n n" in lines
    assert not {"\r", "\x1b", "\u202e"} & set("\n".join(lines))
