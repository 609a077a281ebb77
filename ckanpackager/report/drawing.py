"""Figures in words and charts: what a name in the statistics means to a reader, and the chart of the most requested."""

from ckanpackager.report import charts
from ckanpackager.statistics import StatisticsDatabase
from ckanpackager.statistics.figures import OTHERS, Dimension, Figures, without_gaps
from ckanpackager.statistics.queries import Query

MOST_BARS = 50
TITLES: dict[Dimension, str] = {
    "resource": "Requests by resource",
    "domain": "Requests by domain of the e-mail address",
    "format": "Requests by format",
    "task": "Requests by task",
    "kind": "Errors by kind",
}
_WORDS: dict[Dimension, dict[str, str]] = {
    "resource": {"": "not known"},
    "domain": {"": "not known"},
    "format": {"": "other, or not known", "dwca": "Darwin Core Archive", "ndjson": "NDJSON", "parquet": "Parquet"},
    "task": {
        "": "not known",
        "package_datastore": "table",
        "package_url": "file",
        "package_dwc_archive": "Darwin Core Archive",
        "package_dataset": "whole dataset",
    },
    "kind": {
        "": "not known",
        "request": "wrong request",
        "refused": "the site refused it",
        "site": "the site failed",
        "network": "the site out of reach",
        "data": "data cannot be packed",
        "bounds": "beyond a limit",
        "storage": "disk or store",
        "mail": "mail not delivered",
        "statistics": "statistics",
        "configuration": "configuration",
        "worker": "worker died",
        "internal": "error in ckanpackager",
    },
}


def in_words(dimension: Dimension, name: str) -> str:
    """A name as readers know it."""
    known = _WORDS[dimension].get(name)
    return known or (name.upper() if dimension == "format" and name != OTHERS else name)


def chart_of(statistics: StatisticsDatabase, dimension: Dimension, query: Query) -> str:
    """An SVG of its own: the most requested names, or all requests by day, month or year.  Raises TemporaryFailure."""
    if query.by:
        found = statistics.figures(by=query.by, period=query.period, resource_id=query.resource_id)
        rows = [(row.period, row.requests) for row in without_gaps(found, query.period, query.by)]
        return charts.columns(f"Requests by {query.by}", rows, standalone=True)
    most = min(query.limit, MOST_BARS)
    found = statistics.figures(dimension, period=query.period, resource_id=query.resource_id, most=most)
    return bars(TITLES[dimension], dimension, found, standalone=True)


def bars(title: str, dimension: Dimension, rows: list[Figures], *, standalone: bool = False) -> str:
    """A bar for each name, with the number of its requests; for kinds of errors, of errors."""
    errors = dimension == "kind"
    shown = [(in_words(dimension, row.name), row.errors if errors else row.requests) for row in rows]
    counted = [(name, count) for name, count in shown if count]
    return charts.bars(title, counted, unit="errors" if errors else "requests", standalone=standalone)
