"""Records what was served and what failed.

Into SQLite by one INSERT, without SQLAlchemy, whose import would take a third of the CPU time that a worker needs to
start.  For other databases, for one that is not complete, and wherever that INSERT fails, SQLAlchemy does it.
"""

import re
import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Unpack

from ckanpackager.config.settings import Statistics
from ckanpackager.errors import TemporaryFailure
from ckanpackager.statistics import sqlite_file
from ckanpackager.statistics.email_hash import hash_of
from ckanpackager.statistics.rows import Failed, Served, error_row, request_row

if TYPE_CHECKING:
    from ckanpackager.statistics.database import StatisticsDatabase

_SQLITE_FILE = re.compile(r"sqlite:///(?!file:|:)([^?]+)")  # without options, which SQLAlchemy knows
_KEPT = "SELECT 1 FROM ckanpackager_totals, ckanpackager_sums LIMIT 0"


class Recorder:
    """The statistics, for the threads of a worker, which closes them.

    Every method raises TemporaryFailure where the database cannot be used now (locked, read-only, out of reach, full),
    PermanentFailure for a value that it will never take, and ConfigError if `stats_db` is no URL.
    """

    def __init__(self, settings: Statistics) -> None:
        """Nothing is opened yet.  Raises ConfigError if addresses shall be hashed and cannot be."""
        self._settings = settings
        self._hashed = hash_of(settings)
        self._file = _SQLITE_FILE.fullmatch(settings.stats_db)
        self._database: StatisticsDatabase | None = None
        self._opening = threading.Lock()

    def close(self) -> None:
        if self._database:
            self._database.close()

    def record_request(self, **about: Unpack[Served]) -> None:
        """Count a request that was served; a job only once, however often this is called."""
        if not self._inserted("requests", request_row(about, self._hashed)):
            self._opened().record_request(**about)

    def record_error(self, **about: Unpack[Failed]) -> None:
        """Count a request that failed; a job only once, however often this is called."""
        if not self._inserted("errors", error_row(about, self._hashed)):
            self._opened().record_error(**about)

    def _inserted(self, table: str, row: dict[str, Any]) -> bool:
        """Whether one INSERT was enough."""
        if self._file is None or self._database:
            return False
        columns = ", ".join(f'"{name}"' for name in row)
        values = ", ".join(f":{name}" for name in row)
        statement = f"INSERT INTO {table} ({columns}) VALUES ({values}) ON CONFLICT (job) DO NOTHING"  # noqa: S608 - names of ours
        begun = time.monotonic()
        try:
            if sqlite_file.make_private(file := self._file[1]):
                sqlite_file.create(file)
            with closing(sqlite_file.connect(file)) as connection:
                connection.execute(_KEPT)  # tables and triggers are made by `schema`, these last
                connection.execute(statement, row)
        except sqlite3.Error as error:
            if "locked" in str(error) and time.monotonic() - begun >= sqlite_file.BUSY:  # SQLAlchemy would wait thrice
                raise TemporaryFailure(
                    f"statistics database {self._settings.stats_db}: {error}; another process holds it for too long: "
                    "retry, or find out which one"
                ) from error
            return False  # SQLAlchemy's way completes the database, or says what is wrong
        return True

    def _opened(self) -> "StatisticsDatabase":
        with self._opening:
            if self._database is None:
                from ckanpackager.statistics.database import open_statistics

                self._database = open_statistics(self._settings)
            return self._database
