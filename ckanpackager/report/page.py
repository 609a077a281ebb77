"""The report as one HTML file, which needs no other file, no script and no network.  Pure: figures in, text out.

Names in the statistics are texts of requesters: every one is escaped.  There is no e-mail address in it.
"""

import html
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from ckanpackager import __version__
from ckanpackager.config.settings import Portal
from ckanpackager.errors import FAILURE_KINDS
from ckanpackager.report import charts
from ckanpackager.report.contents import Contents
from ckanpackager.report.drawing import TITLES, bars, in_words
from ckanpackager.report.page_style import STYLE
from ckanpackager.statistics.figures import Dimension, Figures, top
from ckanpackager.status import human_size

_BARS, _LINES = 10, 15  # names in a chart, and in the table beneath it
_HEADS: dict[Dimension, str] = {
    "resource": "Resource",
    "domain": "Domain",
    "format": "Format",
    "task": "Task",
    "kind": "Kind of error",
}
_NOTES: dict[Dimension, str] = {
    "resource": "A dataset that was requested as a whole counts under its own id.",
    "domain": "The part of an address behind the @; no address is part of this report.",
}
Column = tuple[str, Callable[[Figures], str]]


def page(contents: Contents, portal: Portal, now: float) -> str:
    """The report of a portal, made at that time."""
    of = f" of {portal.portal_name}" if portal.portal_name else ""
    title = html.escape(charts.clean(f"Requested data{of}"))
    period = _period_in_words(contents, now)
    body = [
        f"<header><h1>{title}</h1>\n<p>{period}</p></header>",
        _numbers(contents.total),
        _course(contents),
        *(_section(dimension, rows) for dimension, rows in contents.named.items()),
    ]
    return _PAGE.format(
        title=f"{title}, {period}",
        style=STYLE + charts.STYLE,
        body="\n".join(body),
        footer=_footer(portal, now),
    )


def _period_in_words(contents: Contents, now: float) -> str:
    since, until = contents.period
    last = _date(now if until is None else until - 1)
    return f"{_date(since)} to {last}" if since is not None else f"from the first request to {last}"


def _date(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def _numbers(total: Figures) -> str:
    numbers = {
        "requests served": charts.thousands(total.requests),
        "rows": charts.thousands(total.rows),
        "size of the archives": human_size(total.bytes),
        "different requesters": charts.thousands(total.emails or 0),
        "requests failed": charts.thousands(total.errors),
    }
    items = (f"<div><dt>{name}</dt><dd>{number}</dd></div>" for name, number in numbers.items())
    return f'<dl class="numbers">{"".join(items)}</dl>'


def _course(contents: Contents) -> str:
    by, rows = contents.by, contents.course
    drawn = [
        charts.columns(f"Requests by {by}", [(row.period, row.requests) for row in rows]),
        charts.columns(f"Rows by {by}", [(row.period, row.rows) for row in rows], unit="rows"),
        charts.columns(f"Bytes by {by}", [(row.period, row.bytes) for row in rows], unit="", show=human_size),
    ]
    titles = (f"Requests by {by}", f"Rows by {by}", f"Size of the archives by {by}")
    figures = "\n".join(
        f"<section><h2>{title}</h2>\n{chart}</section>" for title, chart in zip(titles, drawn, strict=True)
    )
    table = _table(by.capitalize(), rows, lambda row: row.period, (*_COLUMNS, _ERRORS), f"The same by {by}, in numbers")
    shown = f"<details><summary>All of it in numbers, by {by}</summary>\n{table}</details>" if rows else ""
    return f'<div class="board">\n{figures}\n</div>\n{shown}'


def _section(dimension: Dimension, rows: list[Figures]) -> str:
    title, errors = TITLES[dimension], dimension == "kind"
    counted = [row for row in rows if (row.errors if errors else row.requests)]
    if not counted:
        return f'<section class="named"><div><h2>{title}</h2>\n<p>None in this period.</p></div></section>'
    columns = (_ERRORS,) if errors else _COLUMNS if dimension in ("format", "task") else (*_COLUMNS, _ERRORS)
    table = _table(_HEADS[dimension], top(counted, _LINES), lambda row: _in_full(dimension, row.name), columns, title)
    note = f'<p class="note">{_NOTES[dimension]}</p>\n' if dimension in _NOTES else ""
    chart = bars(title, dimension, top(counted, _BARS)[:_BARS])
    return f'<section class="named"><div><h2>{title}</h2>\n{note}{chart}</div>\n{table}</section>'


def _in_full(dimension: Dimension, name: str) -> str:
    words = charts.shortened(in_words(dimension, name), charts.MOST_CHARACTERS)
    return f"{words}: {FAILURE_KINDS[name]}" if dimension == "kind" and name in FAILURE_KINDS else words


def _table(
    head: str, rows: Iterable[Figures], name: Callable[[Figures], str], columns: Iterable[Column], caption: str
) -> str:
    heads = "".join(f'<th scope="col">{words}</th>' for words, _ in columns)
    lines = "\n".join(
        f'<tr><th scope="row">{html.escape(charts.clean(name(row)))}</th>'
        + "".join(f"<td>{value(row)}</td>" for _, value in columns)
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table>\n'
        f'<caption class="hidden">{caption}</caption>\n'
        f'<thead><tr><th scope="col">{head}</th>{heads}</tr></thead>\n<tbody>\n{lines}\n</tbody></table></div>'
    )


def _footer(portal: Portal, now: float) -> str:
    made = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M} UTC"
    where = html.escape(portal.portal_url or "")
    link = f' for <a href="{where}">{html.escape(portal.portal_name or where)}</a>' if where else ""
    return (
        f"<p>Made{link} by ckanpackager {__version__}, {made}. Days are days in UTC. Sizes and formats are known of "
        "requests since version 2.0.0. Failed requests, cancelled ones and refreshed packages are no requests.</p>"
    )


def _requesters(row: Figures) -> str:
    return "" if row.emails is None else charts.thousands(row.emails)


_COLUMNS: tuple[Column, ...] = (
    ("Requests", lambda row: charts.thousands(row.requests)),
    ("Rows", lambda row: charts.thousands(row.rows)),
    ("Size", lambda row: human_size(row.bytes)),
    ("Requesters", _requesters),
)
_ERRORS: Column = ("Errors", lambda row: charts.thousands(row.errors))
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
<footer>{footer}</footer>
</body>
</html>
"""
