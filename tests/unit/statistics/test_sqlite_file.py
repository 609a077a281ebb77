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


def test_a_new_file_behind_a_link_is_as_private(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "new.db").symlink_to(tmp_path / "elsewhere" / "stats.db")
    assert sqlite_file.make_private(str(tmp_path / "new.db"))
    sqlite_file.create(str(tmp_path / "new.db"))
    assert (tmp_path / "elsewhere" / "stats.db").stat().st_mode & 0o777 == 0o600
