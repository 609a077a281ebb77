"""The file of an SQLite database, without SQLAlchemy: private, and complete from its first moment."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from ckanpackager.durable_files import is_shared

BUSY = 30  # seconds that SQLite waits for other writers; `?timeout=` in the URL overrides it
READER_BUSY = 1  # the same for readers, since a receiver has few threads; they ask a few times
SCHEMA = Path(__file__).with_name("sqlite_schema.sql")
"""All statements for a new database, with an empty line between them; `make schema` writes it (a test compares)."""


def connect(file: str) -> sqlite3.Connection:
    """Open a file that is there; each statement is a transaction, unless one begins.  Raises sqlite3.Error."""
    return sqlite3.connect(f"file:{quote(file)}?mode=rw", uri=True, timeout=BUSY, isolation_level=None)


def make_private(file: str) -> bool:
    """Make an empty file that no other user may read, or that only the group may in a shared directory.

    SQLite gives the files beside it the same mode.  A link to no file is followed, as SQLite does.
    False if it is there or cannot be made, which SQLite reports.
    """
    with suppress(OSError):
        file = os.path.realpath(file)
        mode = 0o660 if is_shared(Path(file).parent) else 0o600
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, mode)
        os.close(descriptor)
        return True
    return False


def create(file: str) -> None:
    """Make the tables, indexes and triggers of an empty database, in one transaction.  Raises sqlite3.Error."""
    with closing(connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in SCHEMA.read_text("utf-8").split("\n\n"):
                connection.execute(statement)
        connection.execute("COMMIT")


def schema_of(file: str) -> str:
    """The statements that made a database, as SCHEMA has them."""
    with closing(connect(file)) as connection:
        made = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid").fetchall()
    return "\n\n".join("\n".join(line.strip() for line in sql.splitlines() if line.strip()) for (sql,) in made) + "\n"
