"""What a look at the spool finds while workers and administrators move files."""

from pathlib import Path

from ckanpackager.spool.queue import Spool


def test_files_that_move_on_while_a_folder_is_looked_at_are_left_out(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    for number in range(5):
        (spool.directory / "failed" / f"{number}.json").touch()
    changes = spool.changes("failed")  # the directory is read with the first file
    _, first = next(changes)
    for path in (spool.directory / "failed").iterdir():
        path.unlink()
    assert list(changes) == []
    assert spool.changed_since("failed", 0) == 0 and first.endswith(".json")
