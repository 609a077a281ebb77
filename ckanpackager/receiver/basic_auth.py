"""The password that a browser asks its user for: HTTP Basic (RFC 7617), with any user name."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import Any

from ckanpackager.config.settings import Receiver
from ckanpackager.receiver.refusals import PasswordNeeded


def check_password(environ: Mapping[str, Any], settings: Receiver) -> None:
    """Raises PasswordNeeded unless the request has the password of the dashboard; compared in constant time."""
    if not (header := str(environ.get("HTTP_AUTHORIZATION") or "")):
        raise PasswordNeeded("the dashboard asks for a password")
    known = (settings.dashboard_password or settings.secret or "").encode()
    if not known or not hmac.compare_digest(_password(header), known):
        raise PasswordNeeded("the password of the dashboard is wrong")


def _password(header: str) -> bytes:
    """What stands behind the user name; empty if the header is of another kind, or broken."""
    scheme, _, credentials = header.partition(" ")
    try:
        decoded = base64.b64decode(credentials.strip(), validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return b""
    return decoded.partition(b":")[2]
