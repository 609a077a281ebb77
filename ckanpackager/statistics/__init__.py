"""The statistics database: who requested what, and what failed.

What needs SQLAlchemy is imported when it is used: a worker that records in SQLite does without (see `recorder`).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ckanpackager.statistics.database import StatisticsDatabase, open_statistics

__all__ = ["StatisticsDatabase", "open_statistics"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from ckanpackager.statistics import database

    return getattr(database, name)
