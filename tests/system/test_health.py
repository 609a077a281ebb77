"""GET /health: whether the receiver can accept requests; no secret, and nothing told."""

from pathlib import Path

import pytest
from support.wsgi_client import WsgiClient


@pytest.fixture
def receiver(tmp_path: Path) -> WsgiClient:
    return WsgiClient(tmp_path)


def test_a_receiver_that_can_accept_requests_is_healthy_and_tells_nothing(receiver: WsgiClient) -> None:
    answer = receiver.get("/health")
    assert (answer.status, answer.json) == (200, {"status": "success", "success": True})
    assert receiver.get("/health", REQUEST_METHOD="HEAD").status == 200
    assert receiver.workspace.where() == {}


def test_a_receiver_whose_spool_cannot_be_written_is_not_healthy(tmp_path: Path) -> None:
    receiver = WsgiClient(tmp_path)
    receiver.get("/health")
    (tmp_path / "spool" / "tmp").rmdir()
    (tmp_path / "spool" / "tmp").write_text("no directory")
    answer = receiver.get("/health")
    assert answer.status == 503 and str(tmp_path) not in answer.text


def test_another_method_is_told_which_ones_there_are(receiver: WsgiClient) -> None:
    answer = receiver.post("/health")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
