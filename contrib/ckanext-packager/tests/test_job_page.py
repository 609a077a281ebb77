"""The page of a job, and how many requests an address may send."""

import pytest
from ckan.lib.redis import connect_to_redis

from .conftest import JOB, make_user, trusted


class TestRateLimit:
    @pytest.fixture(autouse=True)
    def limited(self, packager, ckan_config, monkeypatch):
        monkeypatch.setitem(ckan_config, "ckanext.packager.rate_limit", 2)
        redis = connect_to_redis()
        for key in redis.scan_iter("ckanext-packager:*"):
            redis.delete(key)

    def ask(self, client, table, address, status):
        headers = {"X-Forwarded-For": address}
        return client.post(
            f"/download-request/resource/{table['id']}", {"email": "a@example.org"}, status, headers=headers
        )

    def test_one_address_gets_so_many_and_others_are_served(self, packager, client, table):
        for status in (302, 302, 400):
            page = self.ask(client, table, "192.0.2.1", status)
        assert "Too many requests came from your address." in page.words
        self.ask(client, table, "192.0.2.2", 302)
        assert len(packager.requests()) == 3

    def test_the_api_is_limited_too_but_sysadmins_are_not(self, packager, app, table):
        data = {"resource_id": table["id"], "email": "a@example.org"}
        for status in (200, 200, 409):
            app.post("/api/action/packager_request", json=data, status=status)
        token = trusted("api_token_create", user=make_user(sysadmin=True)["name"], name="tests")["token"]
        app.post("/api/action/packager_request", json=data, headers={"Authorization": token}, status=200)

    def test_without_redis_requests_are_served(self, packager, client, table, ckan_config, monkeypatch):
        from ckan.lib import redis as module

        monkeypatch.setitem(ckan_config, "ckan.redis.url", "redis://127.0.0.1:9/0")
        monkeypatch.setattr(module, "_connection_pool", None)
        self.ask(client, table, "192.0.2.1", 302)


class TestJobPage:
    @pytest.mark.parametrize(
        ("members", "words"),
        [
            ({"state": "waiting", "position": 0}, "Waiting; yours is next"),
            ({"state": "waiting", "position": 1}, "Waiting; 1 request is ahead of yours"),
            ({"state": "running", "rows": 1200, "expected": 5000}, "Being packed: 1,200 of 5,000 rows"),
            ({"state": "running", "rows": None, "expected": None}, "Being packed"),
            ({"state": "done", "rows": 1, "size": 999_500}, "Ready, 1 row, 1 MB"),
            ({"state": "done", "rows": None, "size": 512}, "Ready, 512 B"),
            ({"state": "expired"}, "Expired: the archive was removed."),
            ({"state": "failed", "message": "CKAN says no."}, "Failed: CKAN says no."),
            ({"state": "cancelled"}, "Cancelled by the administrators"),
        ],
    )
    def test_each_state_has_words(self, packager, client, members, words):
        packager.answer("/status", **members)
        assert words in client.get(f"/download-request/job/{JOB}").words

    def test_the_archive_is_linked_when_it_is_ready(self, packager, client):
        packager.answer("/status", state="done", rows=5, download_url="https://p.example.org/archives/x/y.zip")
        assert 'href="https://p.example.org/archives/x/y.zip"' in client.get(f"/download-request/job/{JOB}").html

    def test_an_unknown_job_is_not_found(self, packager, client):
        packager.answer("/status", 400, msg="job: there is no such job")
        client.get(f"/download-request/job/{JOB}", 404)

    def test_a_packager_that_is_down_is_told_kindly(self, packager, client, ckan_config, monkeypatch):
        monkeypatch.setitem(ckan_config, "ckanext.packager.url", "http://127.0.0.1:9")
        assert "cannot be reached just now" in client.get(f"/download-request/job/{JOB}").words
