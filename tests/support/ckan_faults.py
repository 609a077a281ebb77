"""Faults of a CKAN server, and what a job makes of them."""

import zipfile
from pathlib import Path
from typing import Any

from ckanpackager.demo.ckan_api import CkanApi, Fault, Handler

CONTENT = b"_id,name\n1,n1\n2,n2\n3,n3\n"


def answering(status: int, body: str = "{}", **headers: str) -> Fault:
    """A CKAN that gives this answer to everything."""

    def fault(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
        handler.reply(status, body, **headers)
        return True

    return fault


BUSY = answering(503, Retry_After="0")  # which lets the client's own tries follow each other at once


def read(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        (name,) = archive.namelist()
        return archive.read(name)


def asked(api: CkanApi) -> int:
    return len(api.log)
