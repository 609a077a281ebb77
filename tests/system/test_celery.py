"""Packing by Celery: real Redis, real packers (`celery worker`), and dispatchers (`ckanpackager process`)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.servers import Redis, needs, packer, redis_server
from support.workspace import Workspace

from ckanpackager.demo.ckan_api import CkanApi

SECRET = "a secret of the tests"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    needs("celery", "redis", "cryptography")
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
def site(workspace: Workspace, redis: Redis) -> Workspace:
    configure(workspace, redis)
    return workspace


def configure(workspace: Workspace, redis: Redis, **settings: Any) -> None:
    own = {"engine": "celery", "celery_broker": redis.url, "secret": SECRET, "workers": {"fast": 4, "slow": 2}}
    workspace.configure(**own | {"packer_timeout": 4, "retry_delay": 0.2} | settings)


def test_a_packer_builds_what_a_dispatcher_mails_and_counts(site: Workspace, api: CkanApi) -> None:
    jobs = [site.queue(api, limit=number + 1) for number in range(3)]
    with packer("one", site.file):
        done = site.run("process")
    assert (done.returncode, done.stderr) == (0, "")
    assert [site.find(job)[0] for job in jobs] == ["done"] * 3
    assert len(site.mails) == len(site.archives) == 3
    assert site.totals()["requests"] == 3
