"""Whose address a request comes from: what proxies say is believed from those that are trusted, and from no other."""

import pytest

from ckanpackager.receiver.client_address import client_address

CLIENT, NEAR, FAR = "203.0.113.7", "127.0.0.1", "10.1.2.3"
TRUSTED = ["127.0.0.1", "10.0.0.0/8", "2001:db8:1::/48"]


def address(peer: str | None, forwarded: str | None, trusted: list[str] = TRUSTED) -> str:
    environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}
    return client_address({name: value for name, value in environ.items() if value is not None}, trusted)


def test_nobody_is_believed_unless_trusted_proxies_says_so() -> None:
    assert address(NEAR, CLIENT, []) == NEAR
    assert address(CLIENT, "192.0.2.1") == CLIENT


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        (CLIENT, CLIENT),
        (f"{CLIENT}, {FAR}", CLIENT),
        (f"192.0.2.66, {CLIENT}, {FAR},{FAR}", CLIENT),  # what the client itself wrote at the left is not believed
        (f"127.0.0.1, {CLIENT}", CLIENT),
        (f"{CLIENT}:4711", CLIENT),
        ("2001:db8::9", "2001:db8::9"),
        ("[2001:db8::9]:4711", "2001:db8::9"),
        ("2001:db8::9, 2001:db8:1::2", "2001:db8::9"),
        (f"::ffff:{CLIENT}", CLIENT),
        (FAR, FAR),  # a request of the proxy itself
        ("fe80::1%<b>x</b>", "fe80::1"),
    ],
)
def test_the_client_is_the_rightmost_address_that_is_not_trusted(forwarded: str, expected: str) -> None:
    assert address(NEAR, forwarded) == expected


@pytest.mark.parametrize("nonsense", ["", "unknown", "-", ",,,", "x" * 5000, "1.2.3", "[", "_hidden:80", "\0"])
def test_nonsense_leads_no_further_than_the_proxy_that_sent_it(nonsense: str) -> None:
    assert address(NEAR, nonsense) == NEAR
    assert address(NEAR, f"192.0.2.66, {nonsense}, {FAR}" if nonsense.strip(",") else f"{nonsense},{FAR}") == FAR


def test_a_peer_in_the_form_of_ipv6_is_known_as_ipv4() -> None:
    assert address("::ffff:127.0.0.1", CLIENT) == CLIENT


def test_without_an_address_of_the_peer_nothing_is_believed() -> None:
    assert address(None, CLIENT) == ""
    assert address("", CLIENT) == ""


def test_a_long_header_costs_little() -> None:
    assert address(NEAR, ",".join([CLIENT, *[FAR] * 100_000])) == FAR
