"""A file for node_exporter's textfile collector, which reads it at any moment."""

import os
import tempfile
from pathlib import Path

from ckanpackager.durable_files import check_replaceable
from ckanpackager.errors import TemporaryFailure

_MODE = 0o644  # node_exporter is another user


def replace(path: Path, content: bytes) -> None:
    """Put the content in the place of a file, whole or not at all.  Raises TemporaryFailure.

    It is written beside the file, under a name that the collector does not read.
    """
    written = None
    try:
        check_replaceable(path)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            written = file.name
            file.write(content)
            os.fchmod(file.fileno(), _MODE)
        os.replace(written, path)
    except OSError as error:
        if written:
            Path(written).unlink(missing_ok=True)
        words = f"{path}: cannot be written: {error.strerror}; name a file in a directory that this user may write to"
        raise TemporaryFailure(words) from error
