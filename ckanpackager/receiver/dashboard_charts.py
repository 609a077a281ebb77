"""The statistics on the dashboard: what was asked for in the last three months, as charts."""

import html
from datetime import date
from typing import NamedTuple

from ckanpackager.config.settings import Statistics
from ckanpackager.report.charts import columns
from ckanpackager.report.drawing import bars
from ckanpackager.statistics import open_statistics
from ckanpackager.statistics.figures import Dimension, Figures, without_gaps
from ckanpackager.statistics.periods import last_days, last_months, name_of
from ckanpackager.status import human_size

DAYS = 90
MONTHS = 3  # by resource and the like, the database keeps sums of months
MOST = 8  # bars of a chart


class StatisticsFacts(NamedTuple):
    """Figures by day, by dimension, and the number of all requests that were served."""

    by_day: list[Figures]
    by_name: dict[Dimension, list[Figures]]
    since: str  # the first day of what is by dimension
    served: int


def read_statistics(settings: Statistics, now: float) -> StatisticsFacts:
    """Look into the database.  Raises TemporaryFailure, ConfigError."""
    days, months = last_days(DAYS, now), last_months(MONTHS, now)
    with open_statistics(settings, to_read=True) as statistics:
        return StatisticsFacts(
            without_gaps(statistics.figures(by="day", period=days), days, "day"),
            {dimension: statistics.figures(dimension, period=months, most=MOST) for dimension in _DIMENSIONS},
            name_of(months.since or 0, "month") + "-01",
            statistics.served(),
        )


def charts(facts: StatisticsFacts) -> str:
    """The charts as HTML."""
    days = facts.by_day
    since = f"{date.fromisoformat(facts.since):%-d %B %Y}"
    shown = {
        f"The last {DAYS} days": {
            "Requests a day": columns("Requests a day", [(day.period, day.requests) for day in days]),
            "Rows a day": columns("Rows a day", [(day.period, day.rows) for day in days], unit="rows", show=_short),
            "Bytes a day": columns("Bytes a day", [(day.period, day.bytes) for day in days], unit="", show=human_size),
        },
        f"Requests since {since}": {
            "Most requested resources": bars("Requests by resource", "resource", facts.by_name["resource"]),
            "Domains of requesters": bars("Requests by domain", "domain", facts.by_name["domain"]),
            "Formats": bars("Requests by format", "format", facts.by_name["format"]),
        },
        "Failures": {
            f"The last {DAYS} days": columns(
                "Failures a day", [(day.period, day.errors) for day in days], unit="failures"
            ),
            f"What went wrong since {since}": bars("Failures by kind", "kind", _most(facts.by_name["kind"])),
        },
    }
    return "\n".join(f"<section>\n<h2>{title}</h2>\n{_figures(inner)}\n</section>" for title, inner in shown.items())


def _short(number: int) -> str:
    """A number that is at most four digits and a letter."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)


def _most(rows: list[Figures]) -> list[Figures]:
    return sorted(rows, key=lambda row: -row.errors)[:MOST]


def _figures(shown: dict[str, str]) -> str:
    figures = (f"<figure><figcaption>{html.escape(title)}</figcaption>{svg}</figure>" for title, svg in shown.items())
    return f'<div class="charts">{"".join(figures)}</div>'


_DIMENSIONS: tuple[Dimension, ...] = ("resource", "domain", "format", "kind")
