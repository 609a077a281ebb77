"""How requests to a site are kept apart, and what a page is asked for again."""

import json
from typing import Any

import pytest

from ckanpackager.ckan.fetcher import Pacer, PageFetcher
from ckanpackager.ckan.paging import PageSize, Request
from ckanpackager.ckan.row_reading import Reading
from ckanpackager.errors import TemporaryFailure
from ckanpackager.http_client import Refused


class FakeClient:
    """Answers without a network: with what it is given, an error or a body."""

    def __init__(self, *answers: Exception | bytes) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def post(self, url: str, content: bytes, take: Any, **_: Any) -> None:
        self.asked.append(json.loads(content))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        take(answer)

    def repeat(self, work: Any) -> Any:
        for tried in range(5):
            try:
                return work(tried)
            except TemporaryFailure:
                if tried == 4:
                    raise
        return None


def fetcher(client: FakeClient, pacer: Pacer | None = None) -> PageFetcher:
    return PageFetcher(client, "http://x", PageSize(1000, 10**6), pacer=pacer or Pacer())  # type: ignore[arg-type]


def page(rows: int, limit: int) -> bytes:
    records = [{"_id": number} for number in range(rows)]
    return json.dumps({"success": True, "result": {"limit": limit, "records": records}}).encode()


@pytest.mark.parametrize(("share", "pause"), [(1, 0), (0.5, 10), (0.25, 30)])
def test_a_pause_is_in_proportion_to_the_time_that_a_request_took(share, pause):
    waits: list[float] = []
    pacer = Pacer(share, waits.append)
    pacer.took(10)
    pacer.wait()
    assert waits == ([pytest.approx(pause, abs=0.5)] if pause else [])


def test_all_requests_wait_for_as_long_as_the_site_asks():
    waits: list[float] = []
    pacer = Pacer(1, waits.append)
    with pytest.raises(TemporaryFailure):
        fetcher(FakeClient(TemporaryFailure("busy", 7)), pacer).fetch_once(Request({}, 10))
    fetcher(FakeClient(page(1, 10)), pacer).fetch_once(Request({}, 10))
    assert waits == [pytest.approx(7, abs=0.5)]


def test_a_page_that_fails_is_asked_for_again_for_fewer_rows():
    client = FakeClient(TemporaryFailure("1"), TemporaryFailure("2"), page(25, 25))
    fetcher(client).fetch_page(Request({}, 100, 40))
    assert [(asked["limit"], asked["offset"]) for asked in client.asked] == [(100, 40), (50, 40), (25, 40)]


def test_a_page_in_reverse_order_that_fails_is_asked_for_again_for_its_last_rows():
    client = FakeClient(TemporaryFailure("1"), TemporaryFailure("2"), page(25, 25))
    fetcher(client).fetch_page(Request({}, 100, 40, Reading(reverse=True)))
    assert [(asked["limit"], asked["offset"]) for asked in client.asked] == [(100, 40), (50, 90), (25, 115)]


def test_a_statement_that_took_too_long_is_a_temporary_failure():
    refusal = Refused("409: query: Search took too long", 409)
    with pytest.raises(TemporaryFailure, match="took too long"):
        fetcher(FakeClient(refusal)).fetch_once(Request({}, 10))
    with pytest.raises(Refused):
        fetcher(FakeClient(Refused("409: query: Invalid query", 409))).fetch_once(Request({}, 10))


def test_more_rows_than_were_asked_for_are_not_taken():
    with pytest.raises(TemporaryFailure, match="asked for 10 rows but sent 11"):
        fetcher(FakeClient(page(11, 10))).fetch_once(Request({}, 10))
