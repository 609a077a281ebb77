"""One rule for e-mail addresses: what a request may name, a mail can be sent to."""

import pytest

from ckanpackager.errors import BadRequest
from ckanpackager.jobs import email_address
from ckanpackager.jobs.parameters import request_from
from ckanpackager.mail.address import recipient_address

GOOD = {
    "ann@example.org": "ann@example.org",
    "root@localhost": "root@localhost",
    "ann.o'neil+ckan@sub.example.org": "ann.o'neil+ckan@sub.example.org",
    "andré@example.org": "andré@example.org",
    "ann@straße.example": "ann@xn--strae-oqa.example",
    "ann@XN--strae-oqa.example": "ann@xn--strae-oqa.example",
    "ann@例え。テスト": "ann@xn--r8jz45g.xn--zckzah",
    "ann@under_score.example": "ann@under_score.example",
    "  ann@example.org\t": "ann@example.org",
    "\u00a0ann@example.org\u200b": "ann@example.org",
}
BAD = [
    "",
    "ann",
    "@example.org",
    "ann@",
    "ann@exa$mple.org",
    "ann@exa mple.org",
    "ann@-example.org",
    "ann@example-.org",
    "ann@example..org",
    "ann@.example.org",
    "ann@example.org.",
    "ann@[127.0.0.1]",
    "ann@exa\u2028mple.org",
    "ann@exam\u200bple.org.",
    "a nn@example.org",
    "ann,bob@example.org",
    "<ann@example.org>",
    "Ann <ann@example.org>",
    "ann@example.org\nBcc: bob@example.org",
    f"{'x' * 65}@example.org",
    f"ann@{'x' * 64}.org",
    f"ann@{'example.' * 40}org",
    "ann@\ud800.org",
    "ann@☃\u0301\u0301.-",
]


def request(email: str) -> str:
    url = "https://data.example.org/a.pdf"
    return request_from("package_url", {"resource_id": "r", "resource_url": url, "email": email}).email


@pytest.mark.parametrize("text", GOOD)
def test_what_a_request_may_name_a_mail_can_be_sent_to(text: str) -> None:
    email = request(text)
    assert email == email_address.trimmed(text)
    assert recipient_address(email).addr_spec == GOOD[text]


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_address_is_refused_at_once(text: str) -> None:
    with pytest.raises(BadRequest, match="email: "):
        request(text)
