"""`ckanpackager check`: whether archives and job pages can be reached at the addresses that requesters get."""

import json
import os
import secrets
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from ckanpackager.archives.store import open_store
from ckanpackager.config.settings import Settings
from ckanpackager.errors import CkanpackagerError, ConfigError, PermanentFailure
from ckanpackager.hosts import HostPolicy, without_secrets
from ckanpackager.http_client import Client, Unavailable
from ckanpackager.maintenance.check_values import is_example_host
from ckanpackager.maintenance.finding import Finding, error, ok, warning

_TIMEOUT = 10.0  # seconds
_MOST = 64 * 1024  # bytes of an answer that are read
_ELSEWHERE = "if only other machines reach that address, try it from there"


def links(settings: Settings) -> Iterator[Finding]:
    """Fetch an archive that is made for that, and ask the receiver how it is."""
    key = "download_url" if settings.mail.download_url else "store_url"
    if settings.archives.store_url or settings.mail.download_url:
        yield from _archive(key, settings)
    if url := settings.receiver.public_url:
        yield from _receiver(url)


def _archive(key: str, settings: Settings) -> Iterator[Finding]:
    """Put a file into the store as if it were an archive, fetch it by its link, and remove it."""
    missing = not settings.archives.store_url and not os.path.isdir(settings.archives.store_directory)
    if missing or is_example_host(settings.mail.download_url):
        return  # another finding says it
    content = secrets.token_bytes(64)
    try:
        store = open_store(settings)
        directory = store.new_directory(secrets.token_hex(16))
        try:
            with store.part(directory) as part:
                part.write_bytes(content)
                now = time.time()
                archive = store.publish(part, directory, "check.zip", rows=None, now=now, complete=False)
            if not (url := store.link(archive, now + 60, now)):
                return
            yield _fetched(key, url, content)
        finally:
            store.remove(directory)
    except (CkanpackagerError, OSError) as failure:
        yield error(str(failure) if isinstance(failure, ConfigError) else f"{key}: {failure}")


def _fetched(key: str, url: str, content: bytes) -> Finding:
    try:
        found = _get(url)
    except CkanpackagerError as failure:
        return _unreachable(key, failure, f"does the web server serve store_directory as {key}, and may it read it?")
    if found != content:
        return error(f"{key}: {without_secrets(url)}: something else than the archive is there; another server?")
    return ok(f"{key}: an archive can be downloaded from {urlsplit(url).scheme}://{urlsplit(url).netloc}")


def _receiver(url: str) -> Iterator[Finding]:
    if is_example_host(url):
        return
    try:
        answer = json.loads(_get(f"{url}/health"))
    except CkanpackagerError as failure:
        yield _unreachable("public_url", failure, "does the receiver run, and does that address lead to it?")
        return
    except ValueError:
        answer = None
    if isinstance(answer, dict) and answer.get("success") is True:
        yield ok(f"public_url: the receiver answers at {url}")
    else:
        yield error(f"public_url: {url}/health: something else than the receiver answers there")


def _unreachable(key: str, failure: CkanpackagerError, advice: str) -> Finding:
    """An answer that says no is an error; no connection may be due to the network of this machine."""
    if isinstance(failure, PermanentFailure | Unavailable):
        return error(f"{key}: {failure}; {advice}")
    return warning(f"{key}: {failure}; {advice} ({_ELSEWHERE})")


def _get(url: str) -> bytes:
    """The first bytes of an answer.  Raises PermanentFailure, TemporaryFailure."""
    client = Client(key=None, timeout=_TIMEOUT, hosts=HostPolicy(site=url, allow_private_addresses=True), tries=1)
    try:
        with client.download(url) as (_headers, chunks):
            read = b""
            for chunk in chunks:
                read += chunk
                if len(read) > _MOST:
                    break
            return read[:_MOST]
    finally:
        client.close()
