"""Charts: what is drawn, what never gets into them, and how they read without a picture."""

import re
from xml.etree import ElementTree

import pytest

from ckanpackager.report.charts import STYLE, bars, columns

SVG = "{http://www.w3.org/2000/svg}"
NASTY = "<script>alert(1)</script>\x01\x00\u202e\ud800\ufffe&\"' é"
DAYS = [(f"2026-{1 + day // 28:02}-{1 + day % 28:02}", day * 1000) for day in range(90)]


def widths(chart: str, attribute: str) -> list[float]:
    """The lengths of the bars, as they are drawn."""
    bars = [group for group in ElementTree.fromstring(chart).iter(f"{SVG}g") if group.get("class") == "bar"]
    return [float(bar.find(f"{SVG}rect").get(attribute, 0)) for bar in bars]


def titles(chart: str) -> list[str]:
    return [str(title.text) for title in ElementTree.fromstring(chart).iter(f"{SVG}title")]


@pytest.mark.parametrize("draw", [bars, columns])
@pytest.mark.parametrize("rows", [[], [("a", 0)], [("a", 1)], [(NASTY, 5), (NASTY, 7)], DAYS])
def test_a_chart_has_no_scripts_links_ids_or_dates(draw, rows) -> None:
    chart = draw(NASTY, rows)
    root = ElementTree.fromstring(chart)
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags <= {"svg", "title", "desc", "g", "rect", "text", "path"}
    assert not {name for element in root.iter() for name in element.attrib} & {"id", "href", "style", "onload"}
    assert not re.search(r"<!--|pygal|xlink|url\(", chart)
    assert "\u202e" not in chart and "\x01" not in chart


def test_bars_are_as_long_as_their_numbers_and_the_first_is_on_top() -> None:
    chart = bars("Requests", [("csv", 4000), ("xlsx", 1000), ("tsv", 0)])
    none, short, long = widths(chart, "width")
    assert none == 0 and long == pytest.approx(4 * short, rel=0.01)
    assert titles(chart) == ["Requests", "tsv: 0 requests", "xlsx: 1,000 requests", "csv: 4,000 requests"]
    places = [float(text.get("y")) for text in ElementTree.fromstring(chart).iter(f"{SVG}text") if text.text == "csv"]
    others = [float(text.get("y")) for text in ElementTree.fromstring(chart).iter(f"{SVG}text") if text.text == "tsv"]
    assert places < others


def test_columns_stand_in_the_order_of_time_with_a_column_for_each_day() -> None:
    chart = columns("Requests a day", DAYS)
    heights = widths(chart, "height")
    assert heights == sorted(heights) and len(heights) == 90
    assert titles(chart)[1:3] == ["2026-01-01: 0 requests", "2026-01-02: 1,000 requests"]
    written = [text.text for text in ElementTree.fromstring(chart).iter(f"{SVG}text")]
    assert written[:5] == ["0", "50,000", "100,000", "2026-01-12", "2026-02-07"]


def test_a_long_name_is_cut_in_the_picture_and_whole_in_its_tooltip() -> None:
    name = "b3f1d6a0-6d5f-4d0e-9a59-4e36c1f0a9d4"
    chart = bars("Requests", [(name, 1)])
    (label,) = [text.text for text in ElementTree.fromstring(chart).iter(f"{SVG}text") if text.text != "1"]
    assert label.endswith("…") and name.startswith(label[:-1])
    assert f"{name}: 1 request" in titles(chart)


def test_who_cannot_see_a_chart_can_read_it() -> None:
    for chart in (bars("By format", [("csv", 3)]), columns("By day", [("2026-01-01", 3)])):
        root = ElementTree.fromstring(chart)
        assert root.get("role") == "img" and root.get("aria-label") in ("By format", "By day")
        assert "3 requests" in str(root.find(f"{SVG}desc").text)


def test_numbers_are_shown_in_their_unit() -> None:
    chart = columns("Bytes", [("2026", 5_000_000)], unit="", show=lambda number: f"{number / 1e6:g} MB")
    assert titles(chart)[1] == "2026: 5 MB" and ">2 MB<" in chart


def test_an_image_of_its_own_has_its_style_and_size() -> None:
    root = ElementTree.fromstring(bars("Requests", [("csv", 3)], standalone=True))
    assert root.find(f"{SVG}style").text == STYLE
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    assert "prefers-color-scheme: dark" in STYLE and "script" not in STYLE and "url" not in STYLE


def test_a_chart_of_nothing_says_so() -> None:
    for draw in (bars, columns):
        assert ">Nothing in this period<" in draw("Requests", [])


def test_the_same_figures_give_the_same_chart() -> None:
    assert columns("Requests", DAYS) == columns("Requests", DAYS)
