"""Requests: which are equal, in which queue each waits, and what its host is."""

from typing import Any

import pytest

from ckanpackager.errors import BadRequest
from ckanpackager.jobs.parameters import request_from
from ckanpackager.jobs.request import PackageDatastore, PackageUrl, cache_key

DATASTORE = {"api_url": "https://c.example.org/api/3/action/datastore_search", "resource_id": "r", "email": "a@b.org"}


def datastore(**parameters: Any) -> PackageDatastore:
    request = request_from("package_datastore", {**DATASTORE, **parameters})
    assert isinstance(request, PackageDatastore)
    return request


def test_the_cache_key_is_that_of_the_data_for_every_requester_and_order() -> None:
    key = cache_key(datastore(filters={"a": 1, "b": 2}, fields="x,y"))
    assert cache_key(datastore(filters='{"b": 2, "a": 1}', fields=["x", "y"], email="z@b.org")) == key
    assert cache_key(datastore(limit="0", offset=0, format="csv")) == cache_key(datastore())
    assert len(key) == 32


OTHER: dict[str, Any] = {
    "resource_id": "s",
    "key": "k",
    "api_url": "https://d.example.org/",
    "filters": {"a": 1},
    "q": "x",
    "plain": False,
    "language": "french",
    "distinct": True,
    "fields": ["a"],
    "sort": "a",
    "offset": 1,
    "limit": 1,
    "format": "tsv",
    "doi": "10.1/x",
    "bom": True,
}


def test_every_parameter_but_the_address_changes_the_cache_key() -> None:
    assert set(OTHER) == set(PackageDatastore.__struct_fields__) - {"email"}
    keys = {cache_key(datastore(**{name: value})) for name, value in OTHER.items()}
    assert len(keys | {cache_key(datastore())}) == len(OTHER) + 1


def test_the_task_changes_the_cache_key_and_the_order_of_fields_does() -> None:
    assert cache_key(datastore(fields="a,b")) != cache_key(datastore(fields="b,a"))
    file = PackageUrl(resource_id="r", email="a@b.org", resource_url=DATASTORE["api_url"])
    assert cache_key(file) != cache_key(datastore())


@pytest.mark.parametrize(
    ("parameters", "queue"),
    [
        ({}, "slow"),
        ({"limit": 0}, "slow"),
        ({"limit": 1}, "fast"),
        ({"limit": 100}, "fast"),
        ({"limit": 101}, "slow"),
        ({"limit": 100, "offset": 1_000_000}, "fast"),
        ({"offset": 1_000_000}, "slow"),
    ],
    ids=str,
)
def test_the_queue_depends_on_the_number_of_rows_asked_for(parameters: dict[str, Any], queue: str) -> None:
    assert datastore(**parameters).queue(100) == queue


def test_a_file_is_fast() -> None:
    assert PackageUrl(resource_id="r", email="a@b.org", resource_url="https://c.example.org/f.csv").queue(100) == "fast"


def test_the_host_is_without_user_and_password() -> None:
    assert datastore(api_url="https://u:p@c.example.org:8080/x").host == "c.example.org:8080"


# What browsers and the original did


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("https://x.example.org/a b.csv", "https://x.example.org/a%20b.csv"),
        (" https://x.example.org/Käfer.csv\n", "https://x.example.org/K%C3%A4fer.csv"),
        ("https://x.example.org/a%20b?q=<c>|{d}#e", "https://x.example.org/a%20b?q=%3Cc%3E%7C%7Bd%7D#e"),
        ("https://käfer.example/a", "https://käfer.example/a"),
        ("HTTP://x.example.org", "HTTP://x.example.org"),
    ],
)
def test_the_url_of_a_file_is_quoted_as_browsers_do(given: str, read: str) -> None:
    parameters = {"resource_id": "r", "email": "ann@example.org", "resource_url": given}
    assert request_from("package_url", parameters).url == read


@pytest.mark.parametrize(
    "given", ["https://a b.example/x", "ftp://x.example/a b", "https://x.example/\0", "a b", "https://"]
)
def test_what_is_no_url_is_not_mended(given: str) -> None:
    with pytest.raises(BadRequest, match="resource_url: expected a URL"):
        request_from("package_url", {"resource_id": "r", "email": "ann@example.org", "resource_url": given})


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        *(("true", True), ("1", True), ("", True), ("yes", True), ("gbif", True), (True, True), (1, True)),
        *(("false", False), ("False", False), ("0", False), ("no", False), (False, False), (0, False), (None, False)),
    ],
)
def test_for_gbif_counts_by_its_presence_but_for_false_and_0(given: Any, meant: bool) -> None:
    parameters = {"api_url": "https://x.example/api", "resource_id": "r", "email": "ann@example.org"}
    request = request_from("package_dwc_archive", {**parameters, "for_gbif": given})
    assert request.for_gbif is meant  # type: ignore[union-attr]
