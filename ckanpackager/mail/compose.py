"""The mails to requesters, composed from the templates of the configuration."""

from collections.abc import Mapping
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from typing import Literal

from ckanpackager.config.settings import Mail
from ckanpackager.config.templates import render
from ckanpackager.errors import one_line
from ckanpackager.mail.address import recipient_address, sender_address
from ckanpackager.mail.html_page import html_page
from ckanpackager.mail.placeholders import complete

ASCII = SMTP.clone(cte_type="7bit")  # short lines of ASCII, which every server takes (RFC 5321, RFC 2045)
Kind = Literal["link", "failure", "accepted"]
_PREFIXES: dict[Kind, str] = {"link": "email", "failure": "email_failure", "accepted": "email_accepted"}


def compose(
    settings: Mail, recipient: str, values: Mapping[str, str], *, kind: Kind, job: str, now: datetime
) -> EmailMessage:
    """The mail of a kind to the address `recipient`.

    `values` are those of the placeholders by name; missing ones are empty.  The headers say that a program wrote it
    (RFC 3834).  The Message-ID depends on the job alone, so that mail programs recognise a mail that was sent twice.
    Raises PermanentFailure if the recipient's address is none, TemporaryFailure if the sender's is none.
    """
    values = complete(values, settings)
    prefix = _PREFIXES[kind]
    subject, body, html = (getattr(settings, f"{prefix}_{part}") for part in ("subject", "body", "body_html"))
    sender = sender_address(settings.email_from, values)
    message = EmailMessage(ASCII)
    message["From"] = sender
    message["To"] = recipient_address(recipient)
    message["Subject"] = one_line(render(subject, values))
    message["Date"] = now
    message["Message-ID"] = f"<{one_line(job)}.{kind}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "OOF, AutoReply"  # for Microsoft Exchange
    message.set_content(render(body, values))
    if html is not None:
        message.add_alternative(html_page(render(html, values, html=True)), subtype="html")
    return message


def is_international(message: EmailMessage) -> bool:
    """Whether an address can only travel in UTF-8 (RFC 6531)."""
    return not all(message[name].addresses[0].addr_spec.isascii() for name in ("From", "To"))
