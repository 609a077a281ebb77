"""Files of statistics with rows in them."""

import sqlite3
from contextlib import closing
from pathlib import Path

from ckanpackager.config.settings import Statistics
from ckanpackager.statistics import open_statistics


def make_original(path: Path) -> None:
    """Make a database as the original left it, with rows in it."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript("""
            CREATE TABLE requests (id INTEGER PRIMARY KEY, timestamp INTEGER, resource_id VARCHAR, email VARCHAR,
                                   count INTEGER, domain VARCHAR);
            CREATE TABLE errors (id INTEGER PRIMARY KEY, timestamp INTEGER, resource_id VARCHAR, email VARCHAR,
                                 message VARCHAR);
            CREATE TABLE totals (id INTEGER PRIMARY KEY, resource_id VARCHAR, emails INTEGER, requests INTEGER,
                                 errors INTEGER);
            INSERT INTO requests VALUES (1, 100, 'r', 'Ann@example.org', 7, 'example.org'),
                                        (2, 200, 'r', 'ann@example.org', NULL, 'example.org');
            INSERT INTO errors VALUES (1, 150, 'r', 'ann@example.org', 'Traceback');
            INSERT INTO totals VALUES (1, '*', 2, 2, 1), (2, 'r', 2, 2, 1);
        """)


def fill(path: Path, *emails: str) -> None:
    with open_statistics(Statistics(stats_db=f"sqlite:///{path}")) as statistics:
        for number, email in enumerate(emails):
            statistics.record_request(job=f"r{number}", resource_id="r", email=email, count=1, now=100 + number)
            words = f"refused {email}: mailbox unknown"
            statistics.record_error(job=f"e{number}", resource_id="r", email=email, message=words, now=100 + number)
