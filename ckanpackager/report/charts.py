"""Charts as SVG: bars beside each other or above each other.  Pure.

pygal lays them out.  What it adds beyond that is removed: scripts, style sheets, comments with the date.  Each bar has
its name and number as <title>, which browsers show as a tooltip.  A chart stands in a page whose style has STYLE in it,
or on its own as an image.
"""

import re
from collections.abc import Callable, Sequence
from xml.etree import ElementTree

import pygal
from pygal.style import Style

from ckanpackager.errors import one_line, printable

WIDTH, HEIGHT = 400, 220  # of the drawing, in its own units: texts stay readable on a phone's 360 pixels
_BAR = 26  # height of a horizontal bar, with the space around it
_LABEL = 22  # characters of a name beside a bar; the whole name is in its <title>
MOST_CHARACTERS = 120  # of a name, where there is room for it
_TICKS = 4  # at most, beside zero
_SVG = "http://www.w3.org/2000/svg"
_COORDINATES = {"x", "y", "width", "height", "d", "transform"}
_DECIMALS = re.compile(r"\d+\.\d{3,}")
_UNUSED = re.compile("^background$|^titles$|^plot overlay$|tooltip-overlay")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Rows = Sequence[tuple[str, int]]
Show = Callable[[int], str]


def thousands(number: int) -> str:
    return f"{number:,}"


def bars(title: str, rows: Rows, *, unit: str = "requests", show: Show = thousands, standalone: bool = False) -> str:
    """A horizontal bar for each name, the first at the top, with its number in `unit` beside it."""
    named = [(shortened(clean(name), MOST_CHARACTERS), number) for name, number in rows]
    chart = pygal.HorizontalBar(
        **_LAYOUT,
        height=max(HEIGHT // 3, _BAR * len(named) + 10),
        range=(0, 1.3 * max((number for _, number in named), default=1) or 1),
        show_y_guides=False,
        show_x_labels=False,
        print_values=True,
        print_values_position="top",
        value_formatter=lambda number: show(round(number)),
    )
    chart.x_labels = [shortened(name, _LABEL) for name, _ in reversed(named)]
    if named:
        chart.add("", [number for _, number in reversed(named)])
    tooltips = [f"{name}: {_counted(number, unit, show)}" for name, number in reversed(named)]
    return _finished(chart, title, "; ".join(reversed(tooltips)), tooltips, standalone)


def columns(title: str, rows: Rows, *, unit: str = "requests", show: Show = thousands, standalone: bool = False) -> str:
    """A column for each day, month or year, from left to right."""
    named = [(shortened(clean(name), MOST_CHARACTERS), number) for name, number in rows]
    most = max((number for _, number in named), default=0)
    ticks = _ticks(most)
    step = -(-len(named) // _TICKS) or 1
    chart = pygal.Bar(
        **_LAYOUT,
        height=HEIGHT,
        range=(0, max(most, ticks[-1])),
        margin_right=34,
        x_labels_major=[name for name, _ in named][step // 2 :: step],
        show_minor_x_labels=False,
        y_labels=[{"value": tick, "label": show(tick)} for tick in ticks] if named else [],
        show_y_labels=bool(named),
    )
    chart.x_labels = [name for name, _ in named]
    if named:
        chart.add("", [number for _, number in named])
    tooltips = [f"{name}: {_counted(number, unit, show)}" for name, number in named]
    return _finished(chart, title, _summary(named, unit, show), tooltips, standalone)


def _summary(rows: Rows, unit: str, show: Show) -> str:
    if not rows:
        return "Nothing in this period."
    name, most = max(rows, key=lambda row: row[1])
    return f"From {rows[0][0]} to {rows[-1][0]}; the most in {name}: {_counted(most, unit, show)}"


def _counted(number: int, unit: str, show: Show) -> str:
    return f"{show(number)} {unit.removesuffix('s') if number == 1 else unit}".strip()


def _ticks(most: int) -> list[int]:
    """Round numbers from zero to the greatest one or beyond, a few."""
    step = 1
    while step * _TICKS < most:
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    return list(range(0, max(most, 1) + step, step))


def clean(text: str) -> str:
    """A text as XML takes it, without what turns lines round or controls a terminal."""
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", printable(one_line(text)))


def shortened(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _finished(chart: "pygal.graph.graph.Graph", title: str, about: str, tooltips: list[str], standalone: bool) -> str:
    """The chart as text: what pygal drew, without its scripts and styles, with title, description and tooltips."""
    root = ElementTree.fromstring(chart.render(is_unicode=True))  # noqa: S314 - pygal wrote it a moment ago
    for name in [name for name in root.attrib if name != "viewBox"]:
        del root.attrib[name]
    root.attrib |= {"class": "chart", "role": "img", "aria-label": clean(title)}
    for element in list(root.iter()):
        for child in list(element):
            if _tag(child) in ("defs", "title", "desc") or _UNUSED.search(child.get("class", "")):
                element.remove(child)
        _simplify(element.attrib)
    for bar, tooltip in zip([bar for bar in root.iter() if bar.get("class") == "bar"], tooltips, strict=True):
        _text(bar, "title", tooltip)
    _text(root, "desc", clean(about))
    _text(root, "title", clean(title))
    if standalone:
        root.attrib |= dict(zip(("width", "height"), root.attrib["viewBox"].split()[2:], strict=True))
        _text(root, "style", STYLE)
    ElementTree.register_namespace("", _SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _simplify(attributes: dict[str, str]) -> None:
    """Round the coordinates to hundredths, and leave out what no style needs."""
    for name in ("rx", "ry", "text-anchor"):
        attributes.pop(name, None)
    if attributes.get("class") in ("", "rect reactive tooltip-trigger"):
        del attributes["class"]
    for name in _COORDINATES & attributes.keys():
        attributes[name] = _DECIMALS.sub(lambda found: f"{float(found[0]):.2f}", attributes[name])


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(parent: ElementTree.Element, tag: str, text: str) -> None:
    """Put an element with a text in the first place."""
    child = ElementTree.Element(f"{{{_SVG}}}{tag}")
    child.text = text
    parent.insert(0, child)


_LAYOUT = {
    "width": WIDTH,
    "margin": 4,
    "spacing": 6,
    "show_legend": False,
    "js": [],
    "no_prefix": True,
    "truncate_label": -1,
    "no_data_text": "Nothing in this period",
    "style": Style(font_family="sans-serif", label_font_size=12, major_label_font_size=12, value_font_size=12),
}
STYLE = """
.chart { --chart-ink: #1b1f24; --chart-line: #d5dae0; --chart-bar: #2a7ac7; --chart-paper: #fff;
  font: 12px system-ui, sans-serif; background: var(--chart-paper) }
@media screen and (prefers-color-scheme: dark) {
  .chart { --chart-ink: #e6edf3; --chart-line: #3a434d; --chart-bar: #58a0e8; --chart-paper: #14181d }
}
.chart text { fill: var(--chart-ink) }
.chart .line { fill: none; stroke: var(--chart-line) }
.chart .bar rect { fill: var(--chart-bar) }
.chart .axis.x text, .chart text.no_data { text-anchor: middle }
.chart .axis.y text { text-anchor: end }
.chart text.value { text-anchor: start }
.chart .vertical .axis.x .guide { stroke: none }
"""
