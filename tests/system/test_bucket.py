"""Whole requests with the archives in a bucket: links in mails and on pages, named packages, packers, what expires."""

import os
import re
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from support.programs import needs_libraries
from support.servers import need_s3, packer, redis_server
from support.workspace import CommandResult, Workspace
from support.wsgi_client import SECRET, WsgiClient

from ckanpackager.archives.object_store import ObjectStore
from ckanpackager.archives.store import open_store
from ckanpackager.demo.ckan_api import CkanApi
from ckanpackager.receiver.application import make_application

Run = Callable[..., CommandResult]
need_s3()


@pytest.fixture
def site(workspace: Workspace, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    configure(workspace)
    return workspace


def configure(workspace: Workspace, **settings: Any) -> None:
    url = f"s3://archives/{workspace.directory.name}"
    workspace.configure(**{"store_url": url, "download_url": None, "secret": SECRET} | settings)


def receiver_of(site: Workspace) -> WsgiClient:
    """The receiver as the site is configured."""
    receiver = WsgiClient.__new__(WsgiClient)
    receiver.workspace, receiver.application = site, make_application(site.settings)
    return receiver


def downloaded(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer, zipfile.ZipFile(BytesIO(answer.read())) as archive:
        return archive.read("resource.csv")


def mailed(site: Workspace) -> str:
    (mail,) = site.mails
    link = re.search(r"http://\S+", mail.get_body(("plain",)).get_content())  # type: ignore[union-attr]
    assert link
    return link[0]


def test_the_mailed_link_is_signed_and_the_archive_comes_down(site: Workspace, run: Run, api: CkanApi) -> None:
    job = site.queue(api)
    assert run("process") == CommandResult(0, "", "")
    assert "X-Amz-Signature=" in mailed(site)
    assert downloaded(mailed(site)).startswith(b"_id,name\n1,n1\n")
    assert site.find(job)[0] == "done" and not list((site.directory / "store").glob("*/*.zip"))


def test_with_a_download_url_the_bucket_itself_is_linked_to(site: Workspace, run: Run, api: CkanApi) -> None:
    configure(site, download_url="http://bucket.example.org/dl")
    job = site.queue(api)
    run("process")
    archive = site.find(job)[1].archive
    assert archive and mailed(site) == f"http://bucket.example.org/dl/{archive.name}"


def test_an_equal_request_gets_the_archive_that_is_there(site: Workspace, run: Run, api: CkanApi) -> None:
    jobs = [site.queue(api), site.queue(api, email="bob@example.org")]
    run("process")
    archives = {site.find(job)[1].archive for job in jobs}
    assert len(archives) == 1 and len(site.mails) == 2


def test_a_job_page_has_a_link_that_is_signed_anew(site: Workspace, run: Run, api: CkanApi) -> None:
    job = site.queue(api)
    run("process")
    receiver = receiver_of(site)
    known = receiver.get(f"/jobs/{job}", "application/json").json
    assert downloaded(known["download_url"])
    assert downloaded(known["download_url"]) == downloaded(mailed(site))


def test_the_receiver_redirects_to_archives_and_knows_those_that_expired(
    site: Workspace, run: Run, api: CkanApi
) -> None:
    job = site.queue(api)
    run("process")
    archive = site.find(job)[1].archive
    assert archive
    directory, _, file = archive.name.split("/")
    receiver = receiver_of(site)
    found = receiver.get(f"/archives/{directory}/{file}")
    assert found.status == 302 and downloaded(found.headers["Location"])
    assert run("clear-cache").out == "1 archives removed\n"
    assert receiver.get(f"/archives/{directory}/{file}").status == 410
    assert receiver.get(f"/archives/{'a' * 32}-{'b' * 32}/x.zip").status == 404
    assert receiver.get("/archives/named/gbif.zip").status == 404


def test_a_named_package_keeps_its_link(site: Workspace, run: Run, api: CkanApi) -> None:
    package = {"task": "package_datastore", "api_url": api.api_url, "resource_id": "r"}
    configure(site, named_packages={"gbif": package}, public_url="http://packager.example.org")
    receiver = receiver_of(site)
    assert run("refresh").code == 0
    run("process")
    first = receiver.get("/archives/named/gbif.zip")
    assert first.status == 302 and downloaded(first.headers["Location"]).startswith(b"_id,name\n")
    listed = receiver.post("/status").json["named_packages"]
    assert [each["download_url"] for each in listed] == ["http://packager.example.org/archives/named/gbif.zip"]


def test_clean_removes_what_has_expired(site: Workspace, run: Run, api: CkanApi) -> None:
    store = open_store(site.settings)
    assert isinstance(store, ObjectStore)
    site.queue(api)
    run("process")
    assert "0 archives" in run("clean").out
    assert store.expire(time.time() + 8 * 86400, ()) == 1
    with pytest.raises(urllib.error.HTTPError, match="404"):
        downloaded(mailed(site))


def test_check_tries_the_bucket(site: Workspace, run: Run) -> None:
    said = run("check").out
    assert "ok    store_url: s3://archives/" in said
    assert f"ok    store_url: an archive can be downloaded from {os.environ['AWS_ENDPOINT_URL']}" in said
    store = open_store(site.settings)
    assert isinstance(store, ObjectStore) and list(store.bucket.entries()) == []
    configure(site, store_url="s3://nowhere")
    assert "WRONG store_url: store s3://nowhere: " in run("check").out
    assert "store_directory" not in run("check").out


def test_packers_that_share_no_directory_publish_into_the_bucket(site: Workspace, api: CkanApi, tmp_path: Path) -> None:
    needs_libraries("celery", "redis", "cryptography", extra="engines")
    with redis_server(tmp_path) as redis:
        configure(site, engine="celery", celery_broker=redis.url)
        site.queue(api)
        with packer("one", site.file):
            done = site.run("process")
    assert (done.returncode, done.stderr) == (0, "")
    assert downloaded(mailed(site)).startswith(b"_id,name\n1,n1\n")


def test_the_command_measures_the_bucket(site: Workspace, run: Run, api: CkanApi) -> None:
    """A scrape does not: a listing costs money each time."""
    site.queue(api)
    run("process")
    said = run("metrics")
    assert said.code == 0 and "\nckanpackager_store_archives 1.0\n" in said.out
    assert "ckanpackager_store_next_expiry_timestamp_seconds 1" in said.out
