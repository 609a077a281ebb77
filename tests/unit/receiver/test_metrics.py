"""GET /metrics: who may read it."""

from pathlib import Path
from typing import Any

import pytest
from support.wsgi_client import SECRET, WsgiClient

BEARER = "Bearer " + SECRET.encode().decode("latin-1")  # as PEP 3333 hands a header over


@pytest.fixture
def receiver(tmp_path: Path) -> WsgiClient:
    return listing(tmp_path, metrics_hosts=["192.0.2.7", "10.0.0.0/8", "2001:db8::/32"])


def listing(directory: Path, **settings: Any) -> WsgiClient:
    return WsgiClient(directory, **settings)


def test_the_secret_as_a_bearer_token_opens_the_metrics(receiver: WsgiClient) -> None:
    answer = receiver.get("/metrics", REMOTE_ADDR="203.0.113.1", HTTP_AUTHORIZATION=BEARER)
    assert answer.status == 200 and '\nckanpackager_requests_total{task="package_url"} 0.0\n' in answer.text
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.log == ""
    assert receiver.get("/metrics", HTTP_AUTHORIZATION=BEARER, REQUEST_METHOD="HEAD").body == b""


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer wrong", f"Basic {BEARER[7:]}", BEARER[7:], f"{BEARER}x"])
def test_without_the_secret_nothing_is_told(receiver: WsgiClient, given: str | None) -> None:
    answer = receiver.get("/metrics", REMOTE_ADDR="203.0.113.1", HTTP_AUTHORIZATION=given)
    assert answer.status == 401 and "ckanpackager_" not in answer.text
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert "401 GET /metrics from 203.0.113.1: neither the secret" in answer.log


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("192.0.2.7", 200),
        ("10.255.0.1", 200),
        ("2001:db8::1", 200),
        ("::ffff:10.0.0.1", 200),
        ("192.0.2.8", 401),
        ("127.0.0.1", 401),
        ("2001:db9::1", 401),
        ("", 401),
        (None, 401),
    ],
)
def test_hosts_that_are_listed_need_no_secret(receiver: WsgiClient, address: str | None, status: int) -> None:
    assert receiver.get("/metrics", REMOTE_ADDR=address).status == status


def test_no_host_is_listed_by_default(tmp_path: Path) -> None:
    assert listing(tmp_path).get("/metrics", REMOTE_ADDR="127.0.0.1").status == 401


def test_a_proxy_that_is_not_trusted_lets_no_visitor_in(tmp_path: Path) -> None:
    """All visitors come from the address of the proxy, which may be a listed one."""
    receiver = listing(tmp_path, metrics_hosts=["127.0.0.1"])
    assert receiver.get("/metrics", REMOTE_ADDR="127.0.0.1").status == 200
    for header in ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA"):
        assert receiver.get("/metrics", REMOTE_ADDR="127.0.0.1", **{header: "127.0.0.1"}).status == 401


def test_no_way_of_writing_an_address_makes_a_proxy_the_client(tmp_path: Path) -> None:
    receiver = listing(tmp_path, metrics_hosts=["127.0.0.1", "10.0.0.0/8", "fd00::/8"], trusted_proxies=["10.0.0.1"])
    for proxy, told in (
        ("::ffff:127.0.0.1", "127.0.0.1"),  # an IPv4 client of a server that listens on IPv6
        ("FD00::1", "192.0.2.1"),
        ("fd00::1%eth0", "192.0.2.1"),
        ("10.0.0.1", "192.0.2.1, unknown, 10.0.0.2"),  # 10.0.0.2 does not tell its client
        ("10.0.0.1", "unknown"),
        ("10.0.0.1", "10.0.0.3, 192.0.2.1"),
    ):
        assert receiver.get("/metrics", REMOTE_ADDR=proxy, HTTP_X_FORWARDED_FOR=told).status == 401, (proxy, told)
    assert receiver.get("/metrics", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR="10.0.0.9").status == 200
    assert receiver.get("/metrics", REMOTE_ADDR="::ffff:127.0.0.1").status == 200


def test_behind_a_trusted_proxy_the_clients_address_counts(tmp_path: Path) -> None:
    receiver = listing(tmp_path, metrics_hosts=["192.0.2.7"], trusted_proxies=["127.0.0.1"])
    for client, status in (("192.0.2.7", 200), ("203.0.113.1", 401), ("192.0.2.7, 203.0.113.1", 401)):
        answer = receiver.get("/metrics", REMOTE_ADDR="127.0.0.1", HTTP_X_FORWARDED_FOR=client)
        assert answer.status == status, client


def test_the_metrics_take_no_post(receiver: WsgiClient) -> None:
    answer = receiver.post("/metrics")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
