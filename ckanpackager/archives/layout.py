"""How the store is laid out, and what can be read from it at once; light, since the receiver imports it.

    <key>-<random>/               an archive's directory: it is there, whole, or it is not
        <title>-2026-11-24.zip    the archive
        .about.json               what is known about it
    named/<name>.zip              a named package; a new one takes its place by renaming
    named/.<name>.json            what is known about it
    .<key>.newest                 the directory of the newest archive of that key
    .<key>.lock                   held while an archive of that key is built
    .<key>-<random>.part/         an archive being written
    .expired/<key>-<random>       its archive was here once

The key stands for a request's parameters; the random half makes a link one that cannot be guessed.
"""

import os
import re
from pathlib import Path

import msgspec

from ckanpackager.jobs.job import Archive

DIRECTORY = re.compile(r"[0-9a-f]{32}-[0-9a-f]{32}")
LINK = re.compile(r"([0-9a-f]{32}-[0-9a-f]{32})/[A-Za-z0-9-]{1,80}\.zip|named/[a-z0-9][a-z0-9-]{0,63}\.zip")
"""What the web server serves below the store's URL; its first group is an archive's directory."""

NAMED = "named"
ABOUT = ".about.json"
EXPIRED = ".expired"
_LONGEST_TITLE = 60


def file_name(title: str, id: str, when: float) -> str:
    """The name of an archive's file: title, else id, in ASCII letters, digits and hyphens; and the day (UTC)."""
    from datetime import UTC, datetime
    from unicodedata import normalize

    def plain(text: str) -> str:
        letters = normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
        return re.sub(r"[^a-z0-9]+", "-", letters).strip("-")[:_LONGEST_TITLE].strip("-")

    return f"{plain(title) or plain(id) or 'archive'}-{datetime.fromtimestamp(when, UTC):%Y-%m-%d}.zip"


def archive_in(store: Path, directory: str) -> Archive | None:
    """The archive in a directory of the store, if it is there; also by its own name.  Raises OSError."""
    directory = directory.partition("/")[0]
    if not DIRECTORY.fullmatch(directory):
        return None
    return _known(store / directory / ABOUT, store)


def named_archive(store: Path, name: str) -> Archive | None:
    """The archive of a named package, if there is one.  Raises OSError."""
    return _known(store / NAMED / f".{name}.json", store)


def newest(store: Path, key: str, cache_time: float, now: float) -> Archive | None:
    """The newest archive of a key, if it may be handed out again.  Raises OSError."""
    try:
        directory = (store / f".{key}.newest").read_text("ascii", "replace")
    except FileNotFoundError:
        _check_presence(store)
        return None
    archive = archive_in(store, directory)
    return archive if archive and archive.complete and abs(now - archive.published) < cache_time else None


def has_expired(store: Path, directory: str) -> bool:
    """Whether an archive was there that `clean` or `clear-cache` has removed."""
    return (store / EXPIRED / directory).exists()


def _known(about: Path, store: Path) -> Archive | None:
    try:
        archive = msgspec.json.decode(about.read_bytes(), type=Archive)
        (store / archive.name).stat()
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        _check_presence(store)
        return None
    return archive


def _check_presence(store: Path) -> None:
    """An archive is missing only if the store is there: it may be a file system that is not mounted."""
    os.stat(f"{store}/.")
