"""The report: a pure function of figures, one file, readable by everyone, with nothing in it that a requester wrote."""

import re
from html.parser import HTMLParser

import pytest

from ckanpackager.config.settings import Portal
from ckanpackager.errors import FAILURE_KINDS
from ckanpackager.report.contents import Contents
from ckanpackager.report.page import page
from ckanpackager.statistics.figures import Figures
from ckanpackager.statistics.periods import ALL_TIME, period_of

NOW = 1_796_000_000.0  # 2026-11-30
NASTY = "<script>alert(1)</script>\u202e\x07\"'>"


def contents(**changes: object) -> Contents:
    months = [Figures("", f"2026-{month:02}", 1000 * month, 10**6, 10**9, month, 7) for month in range(1, 12)]
    named = {
        "resource": [Figures(f"r{number}", "", 100 - number, 5, 10**6, 1, 3) for number in range(40)],
        "format": [Figures("csv", "", 50, 5, 10**6, 0, 3), Figures("", "", 2, 0, 5, 0, 1)],
        "task": [Figures("package_url", "", 7, 0, 5, 0, 1)],
        "domain": [Figures("example.org", "", 7, 0, 5, 2, 1)],
        "kind": [Figures("site", "", 0, 0, 0, 9, 0)],
    }
    total = Figures("", "", 12345, 678901, 3 * 10**9, 42, 321)
    known = {"period": period_of("2026-01-01", None), "total": total, "by": "month", "course": months, "named": named}
    return Contents(**{**known, **changes})


class _Page(HTMLParser):
    """What is in a page: its tags with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def test_the_numbers_are_there_with_thousands_separators() -> None:
    text = " ".join(_Page(page(contents(), Portal(portal_name="Museum"), NOW)).text.split())
    assert "Requested data of Museum 2026-01-01 to 2026-11-30" in text
    for words in (
        "12,345",
        "678,901",
        "3.0 GB",
        "321",
        "42",
        "Requests by month",
        "CSV",
        "the site failed: the site cannot answer",
    ):
        assert words in text


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    found = _Page(
        page(contents(), Portal(portal_name="M", portal_url="https://m.org", portal_logo="https://m.org/l"), NOW)
    )
    assert not {tag for tag, _ in found.tags} & {"script", "img", "link", "iframe", "object", "video", "image", "use"}
    assert [attributes["href"] for _, attributes in found.tags if "href" in attributes] == ["https://m.org"]
    assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on") or name == "src"]
    policy = next(attributes["content"] for tag, attributes in found.tags if attributes.get("http-equiv"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


@pytest.mark.parametrize("dimension", ["resource", "format", "task", "domain", "kind"])
def test_what_requesters_wrote_is_text_and_nothing_else(dimension: str) -> None:
    named = {**contents().named, dimension: [Figures(NASTY, "", 5, 5, 5, 5, 5)]}
    text = page(contents(named=named), Portal(portal_name=NASTY), NOW)
    found = _Page(text)
    assert "script" not in {tag for tag, _ in found.tags}
    assert "<script>alert(1)</script>" in found.text or "<SCRIPT>ALERT(1)</SCRIPT>" in found.text
    assert not re.search("[\x07\u202e]", text)


def test_a_table_has_the_numbers_of_its_chart_and_the_rest_is_added_up() -> None:
    text = " ".join(_Page(page(contents(), Portal(), NOW)).text.split())
    assert "r0 100 5 1.0 MB 3 1" in text
    assert re.search(r"others 1,825 125 25\.0 MB 25", text)  # of r15 to r39


def test_a_very_long_name_is_cut() -> None:
    named = {**contents().named, "domain": [Figures("x" * 9000, "", 5)]}
    text = page(contents(named=named), Portal(), NOW)
    assert "x" * 119 + "…" in text and "x" * 120 not in text


def test_headings_and_tables_have_their_names_for_screen_readers() -> None:
    found = _Page(page(contents(), Portal(), NOW))
    assert [tag for tag, _ in found.tags if tag in ("h1", "h2")] == ["h1"] + ["h2"] * 8
    assert ("html", {"lang": "en"}) in found.tags
    scopes = {attributes.get("scope") for tag, attributes in found.tags if tag == "th"}
    assert scopes == {"col", "row"}
    assert sum(tag == "table" for tag, _ in found.tags) == sum(tag == "caption" for tag, _ in found.tags) == 6
    assert all(attributes.get("aria-label") for tag, attributes in found.tags if tag == "svg")


def test_a_report_of_nothing_says_so() -> None:
    empty = contents(
        period=ALL_TIME, total=Figures(emails=0), course=[], named={dimension: [] for dimension in contents().named}
    )
    text = " ".join(_Page(page(empty, Portal(), NOW)).text.split())
    assert "from the first request to 2026-11-30" in text
    assert text.count("None in this period.") == 5 and "Nothing in this period" in text


def test_every_kind_of_failure_is_explained() -> None:
    kinds = [Figures(kind, "", 0, 0, 0, 1) for kind in FAILURE_KINDS]
    text = _Page(page(contents(named={"kind": kinds}), Portal(), NOW)).text
    assert all(f": {words}" in text for words in FAILURE_KINDS.values())
