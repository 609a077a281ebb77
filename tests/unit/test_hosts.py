"""Hosts: which may be fetched from."""

import pytest

from ckanpackager.errors import BadRequest
from ckanpackager.hosts import check_host, host_allowed


@pytest.mark.parametrize(
    ("url", "allowed", "answer"),
    [
        ("https://a.org/x", None, True),
        ("https://a.org/x", [], False),
        ("https://a.org/x", ["a.org"], True),
        ("https://A.org:8080/x", ["a.org"], True),
        ("https://a.org:8080/x", ["a.org:8080"], True),
        ("https://a.org:8081/x", ["a.org:8080"], False),
        ("https://a.org.evil.org/x", ["a.org"], False),
        ("https://a.org@evil.org/x", ["a.org"], False),
        ("https://evil.org/?a.org", ["a.org"], False),
    ],
)
def test_allowed_hosts(url: str, allowed: list[str] | None, answer: bool) -> None:
    assert host_allowed(url, allowed) is answer


def test_a_refused_host_is_named_with_its_parameter() -> None:
    check_host("api_url", "https://a.org/x", ["a.org"])
    with pytest.raises(BadRequest, match=r"^api_url: evil.org:80 is not one of the allowed_hosts$"):
        check_host("api_url", "http://u:p@evil.org:80/", ["a.org"])
