"""E-mail addresses as mail headers need them."""

import re
import unicodedata
from collections.abc import Mapping
from email.headerregistry import Address

from ckanpackager.config.templates import render
from ckanpackager.errors import PermanentFailure, TemporaryFailure, one_line

_LOCAL_PART = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff@<>()\[\]\\,;:\"]+")
_DOMAIN = re.compile(r"[\w-]+(\.[\w-]+)*", re.ASCII)


def sender_address(template: str, values: Mapping[str, str]) -> Address:
    """The address in `email_from`, with or without a name, its placeholders filled.  Raises TemporaryFailure.

    Name and address are filled apart, so that no value can take the place of the address.
    """
    name, _, address = template.strip().removesuffix(">").rpartition("<")
    host = values.get("ckan_host", "").rpartition(":")[0] or values.get("ckan_host", "")
    try:
        filled = render(address, {**values, "ckan_host": host})
        return _parse(filled, one_line(render(name, values)).strip('" '))
    except ValueError as error:
        raise TemporaryFailure(f"email_from: {error}") from None


def recipient_address(text: str) -> Address:
    """The address of a requester.  Raises PermanentFailure."""
    try:
        return _parse(text.strip())
    except ValueError as error:
        raise PermanentFailure(str(error)) from None


def _parse(text: str, name: str = "") -> Address:
    """Raises ValueError unless the text is exactly one address, of the form local@domain."""
    local, _, domain = text.rpartition("@")
    domain = _ascii(domain)
    if not _LOCAL_PART.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise ValueError(f"{one_line(text)!r} is no e-mail address, as in someone@example.org")
    return Address(name, local, domain)


def _ascii(domain: str) -> str:
    """The domain as the DNS has it (RFC 5891).

    Python's "idna" codec follows RFC 3490, which takes straße.example for strasse.example: another domain.
    """
    labels = unicodedata.normalize("NFKC", domain.lower()).replace("\u3002", ".").split(".")
    return ".".join(label if label.isascii() else "xn--" + label.encode("punycode").decode() for label in labels)
