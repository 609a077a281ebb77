"""A new SQLite database is made without SQLAlchemy, and is the same."""

from pathlib import Path

from ckanpackager.statistics import sqlite_file
from ckanpackager.statistics.schema import sqlite_schema


def test_the_schema_of_a_new_file_is_that_of_sqlalchemy(tmp_path: Path) -> None:
    file = str(tmp_path / "new.db")
    assert sqlite_file.make_private(file)
    sqlite_file.create(file)
    assert sqlite_file.schema_of(file) == sqlite_schema() == sqlite_file.SCHEMA.read_text(), "run `make schema`"


def test_a_file_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    file = str(tmp_path / "new.db")
    assert sqlite_file.make_private(file)
    assert not sqlite_file.make_private(file)
    sqlite_file.create(file)
    sqlite_file.create(file)
