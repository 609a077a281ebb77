"""Hosts: which may be fetched from."""

import pytest

from ckanpackager.errors import BadRequest
from ckanpackager.hosts import HostPolicy, check_host, host_allowed, is_public


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


PUBLIC = ["8.8.8.8", "193.0.6.139", "2001:67c:2e8:22::c100:68b", "64:ff9b::808:808"]
NOT_PUBLIC = [
    "127.0.0.1",
    "127.1.2.3",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.8",
    "198.18.0.1",
    "203.0.113.5",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "2001:0:0:1::5",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fd00::1",
    "ff02::1",
    "2001:db8::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_no_address_of_this_machine_or_its_networks_is_public(address: str) -> None:
    assert not is_public(address)


API = "https://data.example.org/api/3/action/datastore_search"


@pytest.mark.parametrize(
    ("url", "site", "ckan_hosts", "sent"),
    [
        ("https://data.example.org/file", API, [], True),
        ("https://data.example.org:443/file", API, [], True),
        ("https://DATA.example.org./file", API, [], True),
        ("http://data.example.org/file", API, [], False),
        ("https://data.example.org:8443/file", API, [], False),
        ("https://files.example.org/file", API, [], False),
        ("https://data.example.org.evil.example/file", API, [], False),
        ("https://data.example.org@evil.example/file", API, [], False),
        ("https://files.example.org/file", API, ["files.example.org"], True),
        ("https://files.example.org:8443/file", API, ["files.example.org"], True),
        ("https://files.example.org/file", API, ["files.example.org:8443"], False),
        ("http://files.example.org/file", API, ["files.example.org"], False),
        ("http://files.example.org/file", "http://data.example.org/api", ["files.example.org"], True),
        ("https://data.example.org/file", "http://data.example.org/api", [], True),
        ("https://data.example.org/file", None, [], False),
        ("https://data.example.org/file", None, ["data.example.org"], True),
        ("http://[::1]:5000/file", None, ["[::1]"], True),
    ],
)
def test_a_key_goes_to_the_site_and_ckan_hosts_only(
    url: str, site: str | None, ckan_hosts: list[str], sent: bool
) -> None:
    assert HostPolicy(site=site, ckan_hosts=ckan_hosts).gets_key(url) is sent


@pytest.mark.parametrize(
    ("url", "policy", "allowed"),
    [
        ("http://127.0.0.1/file", HostPolicy(), False),
        ("http://127.0.0.1/file", HostPolicy(allow_private_addresses=True), True),
        ("http://127.0.0.1/file", HostPolicy(ckan_hosts=["127.0.0.1"]), True),
        ("http://127.0.0.1:6379/file", HostPolicy(ckan_hosts=["127.0.0.1:5000"]), False),
        ("http://127.0.0.1:5000/file", HostPolicy(allowed_hosts=["127.0.0.1:5000"]), True),
        ("http://127.0.0.1:5000/file", HostPolicy(site="http://127.0.0.1:5000/api"), True),
        ("http://127.0.0.1:6379/file", HostPolicy(site="http://127.0.0.1:5000/api"), False),
        ("http://127.0.0.1/file", HostPolicy(site="http://127.0.0.1:5000/api"), False),
        ("https://intern/file", HostPolicy(site="http://intern/api"), True),
        ("http://other/file", HostPolicy(site="http://intern/api"), False),
    ],
)
def test_only_named_hosts_may_have_private_addresses(url: str, policy: HostPolicy, allowed: bool) -> None:
    assert policy.may_be_private(url) is allowed
