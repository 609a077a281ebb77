"""The statistics database: who requested what, and what failed."""

from ckanpackager.statistics.database import StatisticsDatabase, open_statistics

__all__ = ["StatisticsDatabase", "open_statistics"]
