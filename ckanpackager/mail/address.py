"""E-mail addresses as the headers of a mail need them."""

from email.headerregistry import Address

from ckanpackager.errors import PermanentFailure, TemporaryFailure, one_line
from ckanpackager.jobs import email_address


def sender_address(text: str) -> Address:
    """The address in `email_from`, with or without a name.  Raises TemporaryFailure."""
    name, _, address = text.strip().removesuffix(">").rpartition("<")
    try:
        return Address(one_line(name).strip('"'), *email_address.parse(address.strip()))
    except ValueError as error:
        raise TemporaryFailure(f"email_from: {error}") from None


def recipient_address(text: str) -> Address:
    """The address of a requester, which no message names.  Raises PermanentFailure."""
    try:
        return Address("", *email_address.parse(email_address.trimmed(text)))
    except ValueError:
        raise PermanentFailure("the address of the requester is no e-mail address") from None
