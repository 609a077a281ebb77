"""E-mail addresses as the headers of a mail need them."""

from collections.abc import Mapping
from email.headerregistry import Address

from ckanpackager.config.templates import render
from ckanpackager.errors import PermanentFailure, TemporaryFailure, one_line
from ckanpackager.jobs import email_address


def sender_address(template: str, values: Mapping[str, str]) -> Address:
    """The address in `email_from`, with or without a name, its placeholders filled.  Raises TemporaryFailure.

    Name and address are filled apart, so that no value can take the place of the address.
    """
    name, _, address = template.strip().removesuffix(">").rpartition("<")
    host = values.get("ckan_host", "").rpartition(":")[0] or values.get("ckan_host", "")
    try:
        filled = render(address, {**values, "ckan_host": host})
        return Address(one_line(render(name, values)).strip('" '), *email_address.parse(filled.strip()))
    except ValueError as error:
        raise TemporaryFailure(f"email_from: {error}") from None


def recipient_address(text: str) -> Address:
    """The address of a requester, which no message names.  Raises PermanentFailure."""
    try:
        return Address("", *email_address.parse(email_address.trimmed(text)))
    except ValueError:
        raise PermanentFailure("the address of the requester is no e-mail address") from None
