"""`ckanpackager check`: the broker, the packers, and the store that they share."""

import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ckanpackager.archives.bucket import Bucket
from ckanpackager.config.settings import Settings
from ckanpackager.errors import CkanpackagerError, ConfigError
from ckanpackager.jobs.request import QUEUES
from ckanpackager.maintenance.finding import Finding, error, ok

if TYPE_CHECKING:
    from ckanpackager.celery.packers import Packers


def engine(settings: Settings) -> Iterator[Finding]:
    """Whether packers answer, take jobs of both queues, and see the store."""
    if settings.engine.engine == "local":
        return
    from ckanpackager.celery.packers import Packers

    try:
        packers = Packers(settings)
        packers.report("ckanpackager check")  # of no task: whether reports can be read
        consumed = packers.consumed_queues()
    except CkanpackagerError as failure:
        yield error(f"engine: {failure}")
        return
    for queue in QUEUES:
        if not any(queue in queues for queues in consumed.values()):
            yield error(
                f"engine: the broker answers, but no packer takes jobs of the {queue} queue; does a service run "
                f"`celery -A ckanpackager.celery worker --queues {','.join(QUEUES)}`?"
            )
    if consumed:
        yield ok(f"engine: the broker answers, and {len(consumed)} packers: {', '.join(sorted(consumed))}")
        if not settings.archives.store_url:
            yield from _shared_store(packers, Path(settings.archives.store_directory))


def _shared_store(packers: "Packers", store: Path) -> Iterator[Finding]:
    try:
        with tempfile.NamedTemporaryFile(prefix=".check-", dir=store) as probe:
            seen = packers.seeing(probe.name)
    except CkanpackagerError as failure:
        yield error(f"engine: {failure}")
        return
    except OSError:
        return  # the store's own finding says it
    if blind := sorted(packer for packer, sees in seen.items() if not sees):
        yield error(
            f"store_directory: {', '.join(blind)} cannot see a file in {store}; packers and dispatcher must share "
            "that directory, or use store_url"
        )


def bucket(settings: Settings) -> Iterator[Finding]:
    """Whether objects can be written to the bucket, listed, read and removed."""
    if (url := settings.archives.store_url) is None:
        return
    name = f"check/{secrets.token_hex(16)}"
    try:
        bucket = Bucket(url)
        bucket.put(name, b"check")
        listed = any(entry.path == name for entry in bucket.entries("check"))
        content = bucket.get(name)
        bucket.delete(name)
    except CkanpackagerError as failure:
        yield error(str(failure) if isinstance(failure, ConfigError) else f"store_url: {failure}")
        return
    if listed and content == b"check":
        yield ok(f"store_url: {url}: can be written, listed, read and cleared")
    else:
        yield error(f"store_url: {url}: lists or reads wrongly")
