"""Packing by Celery: real Redis, real packers (`celery worker`), and dispatchers (`ckanpackager process`)."""

import json
import os
import random
import signal
import subprocess
import threading
import urllib.request
from base64 import b64decode
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.servers import Redis, flower, need_celery, packer, redis_server
from support.workspace import PATIENCE, Workspace, until

from ckanpackager.celery.messages import Outcome, Seal
from ckanpackager.celery.packers import Packers
from ckanpackager.demo.ckan_api import CkanApi, Handler
from ckanpackager.jobs.job import Archive

need_celery()
SECRET = "a secret of the tests"
KEY = "demo-key"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
def site(workspace: Workspace, redis: Redis) -> Workspace:
    configure(workspace, redis)
    return workspace


@pytest.fixture
def client(redis: Redis) -> Any:
    import redis as library

    with library.Redis.from_url(redis.url) as client:
        yield client


class Slow:
    """A CKAN that holds its answers until it is told to go on."""

    def __init__(self, api: CkanApi) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()
        api.fault = self._hold

    def _hold(self, handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
        self.asked.set()
        self.go_on.wait(PATIENCE)
        return False


def configure(workspace: Workspace, redis: Redis, **settings: Any) -> None:
    own = {"engine": "celery", "celery_broker": redis.url, "secret": SECRET, "workers": {"fast": 4, "slow": 2}}
    workspace.configure(**own | {"packer_timeout": 6, "retry_delay": 0.2} | settings)


def served(site: Workspace, *jobs: str) -> None:
    """Each has one archive, one mail and one row in the statistics."""
    assert [site.find(job)[0] for job in jobs] == ["done"] * len(jobs)
    assert sorted(mail["To"] for mail in site.mails) == sorted(site.find(job)[1].request.email for job in jobs)
    assert site.totals()["requests"] == len(jobs)
    where = site.where()
    where.pop("tmp", None)  # what a killed dispatcher was writing; `clean` removes it
    assert where == {"done": len(jobs)}


def in_queues(client: Any) -> list[Any]:
    return [message for queue in ("fast", "slow") for message in client.lrange(queue, 0, -1)]


def test_a_packer_builds_what_a_dispatcher_mails_and_counts(site: Workspace, api: CkanApi) -> None:
    jobs = [site.queue(api, limit=number + 1) for number in range(3)]
    with packer("one", site.file):
        done = site.run("process")
    assert (done.returncode, done.stderr) == (0, "")
    served(site, *jobs)
    assert len(site.archives) == 3


def test_nothing_that_must_stay_secret_can_be_read_in_the_broker(site: Workspace, api: CkanApi, client: Any) -> None:
    url = api.api_url.replace("http://", "http://ann:hidden-word@")
    job = site.queue(url, key="hidden-api-key", email="hidden-person@example.org")
    dispatcher = site.start("process")
    until(lambda: in_queues(client))
    directory = str(site.find(job)[1].archive_directory)
    seen = [*in_queues(client), *(b64decode(json.loads(message)["body"]) for message in in_queues(client))]
    with packer("one", site.file, "--loglevel", "DEBUG"):
        until(lambda: dispatcher.poll() is not None)
        for name in client.keys("*"):
            if client.type(name) == b"string":
                seen.append(client.get(name))
    seen.append((site.directory / "one.log").read_bytes())
    for words in (b"hidden", directory.encode()):
        assert not any(words in text for text in seen)
    assert any(b"package_datastore" in text for text in seen), "nothing was looked at"


def test_equal_requests_are_built_once(site: Workspace, api: CkanApi) -> None:
    jobs = [site.queue(api, email=f"{name}@example.org") for name in ("ann", "bob", "eve")]
    with packer("one", site.file), packer("two", site.file):
        assert site.run("process").returncode == 0
    served(site, *jobs)
    assert len(site.archives) == 1


def test_what_ckan_refuses_is_told_as_by_the_local_engine(site: Workspace, api: CkanApi) -> None:
    job = site.queue(api, resource_id="nowhere")
    with packer("one", site.file):
        assert site.run("process").returncode == 1
    folder, failed = site.find(job)
    site.configure()
    local = site.queue(api, resource_id="nowhere")
    site.run("process")
    assert (folder, failed.failure) == (site.find(local)[0], site.find(local)[1].failure)
    assert "Not found" in str(failed.failure)


def test_a_temporary_failure_of_ckan_is_retried(site: Workspace, api: CkanApi) -> None:
    def busy(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
        if number <= 8:  # more than the client's own tries
            handler.reply(503, "{}", Retry_After="0")
        return number <= 8

    api.fault = busy
    job = site.queue(api)
    with packer("one", site.file):
        dispatcher = site.start("process", "--loop")
        until(lambda: site.find(job)[0] == "done")
        dispatcher.terminate()
        dispatcher.wait(PATIENCE)
    served(site, job)
    attempts = site.find(job)[1].attempts
    assert attempts[0].outcome == "retry" and "503" in str(attempts[0].error)


def test_a_job_that_waits_for_a_packer_is_never_late(site: Workspace, redis: Redis, api: CkanApi, client: Any) -> None:
    configure(site, redis, packer_timeout=1)
    job = site.queue(api)
    dispatcher = site.start("process")
    until(lambda: in_queues(client))
    with pytest.raises(subprocess.TimeoutExpired):
        dispatcher.wait(3)  # three times packer_timeout
    with packer("one", site.file):
        assert dispatcher.wait(PATIENCE) == 0
    served(site, job)
    assert len(site.find(job)[1].attempts) == 1


def test_a_packer_that_is_killed_at_work_loses_no_job(site: Workspace, redis: Redis, client: Any, api: CkanApi) -> None:
    configure(site, redis, packer_timeout=3)
    slow, job = Slow(api), site.queue(api)
    dispatcher = site.start("process", "--loop")
    with packer("one", site.file) as first:
        assert slow.asked.wait(PATIENCE)
        until(lambda: client.keys("celery-task-meta-*"))  # its first report: without one a task is never late
        os.killpg(first.pid, signal.SIGKILL)
        until(lambda: site.find(job)[1].attempts[0].outcome == "died")
    slow.go_on.set()
    with packer("two", site.file):
        until(lambda: site.find(job)[0] == "done")
        dispatcher.terminate()
        dispatcher.wait(PATIENCE)
    served(site, job)
    assert len(site.archives) == 1


def test_a_job_that_kills_its_packers_fails_in_the_end(site: Workspace, redis: Redis, api: CkanApi) -> None:
    configure(site, redis, max_attempts=2)
    started: list[int] = []

    def kill(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
        """The process of the pool that does the packaging, as the kernel does where memory is short."""
        children = Path(f"/proc/{started[0]}/task/{started[0]}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        return False

    api.fault = kill
    job = site.queue(api)
    with packer("one", site.file) as running:
        started.append(running.pid)
        dispatcher = site.start("process", "--loop")
        until(lambda: site.find(job)[0] == "failed")
        dispatcher.terminate()
        dispatcher.wait(PATIENCE)
    assert "died 2 times" in str(site.find(job)[1].failure)
    assert len(site.mails) == 1 and site.totals()["errors"] == 1


def test_a_dispatcher_that_is_killed_hands_its_jobs_to_the_next_one(site: Workspace, api: CkanApi) -> None:
    slow, job = Slow(api), site.queue(api)
    with packer("one", site.file):
        dispatcher = site.start("process")
        assert slow.asked.wait(PATIENCE)
        dispatcher.kill()
        dispatcher.wait(PATIENCE)
        asked = len(api.log)
        second = site.start("process")
        until(lambda: site.find(job)[1].attempts[-1].outcome is None and len(site.find(job)[1].attempts) == 2)
        slow.go_on.set()
        assert second.wait(PATIENCE) == 0
    served(site, job)
    assert len(site.archives) == 1
    assert [request.action for request in api.log].count("datastore_search") <= asked + 1, "fetched twice"


def test_on_sigterm_jobs_return_and_packers_do_not_begin_with_them(site: Workspace, api: CkanApi, client: Any) -> None:
    jobs = [site.queue(api, limit=number + 1) for number in range(3)]
    dispatcher = site.start("process")
    until(lambda: len(in_queues(client)) == 3)
    dispatcher.terminate()
    assert dispatcher.wait(PATIENCE) == 0
    assert site.where() == {"fast": 3}
    with packer("one", site.file):
        until(lambda: not in_queues(client))
        until(lambda: not client.hgetall("unacked"))
        assert api.log == []
        assert site.run("process").returncode == 0
    served(site, *jobs)


def test_what_a_packer_has_begun_goes_on_when_the_dispatcher_stops(site: Workspace, api: CkanApi) -> None:
    slow, job = Slow(api), site.queue(api)
    with packer("one", site.file):
        dispatcher = site.start("process")
        assert slow.asked.wait(PATIENCE)
        dispatcher.terminate()
        assert dispatcher.wait(PATIENCE) == 0
        assert site.where() == {"fast": 1}
        slow.go_on.set()
        until(lambda: site.archives)
        asked = len(api.log)
        assert site.run("process").returncode == 0
        assert len(api.log) == asked
    served(site, job)


def test_a_broker_that_restarts_loses_no_job(site: Workspace, redis: Redis, api: CkanApi, client: Any) -> None:
    """It forgets everything: the queues, and how far packers are."""
    slow = Slow(api)
    jobs = [site.queue(api, limit=number + 1) for number in range(3)]
    with packer("one", site.file):
        dispatcher = site.start("process")
        assert slow.asked.wait(PATIENCE)
        until(lambda: len(in_queues(client)) == 2)
        redis.stop()
        redis.start()
        slow.go_on.set()
        assert dispatcher.wait(PATIENCE) == 0
    served(site, *jobs)
    assert len(site.archives) == 3


def test_progress_of_a_packer_is_seen_where_that_of_a_worker_is(site: Workspace, api: CkanApi) -> None:
    slow, job = Slow(api), site.queue(api)
    with packer("one", site.file):
        dispatcher = site.start("process")
        assert slow.asked.wait(PATIENCE)
        assert "0 rows" in site.run("status", job).stdout
        slow.go_on.set()
        dispatcher.wait(PATIENCE)
    served(site, job)


def test_a_packer_with_another_secret_is_told_of(site: Workspace, redis: Redis, api: CkanApi, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    configure(stranger := Workspace(other), redis, secret="another secret")
    job = site.queue(api)
    with packer("one", stranger.file):
        dispatcher = site.start("process", "--loop")
        until(lambda: site.find(job)[1].attempts and site.find(job)[1].attempts[0].error)
        dispatcher.terminate()
        dispatcher.wait(PATIENCE)
    assert "`secret`" in str(site.find(job)[1].attempts[0].error)


def test_an_outcome_that_was_copied_from_another_task_counts_for_nothing(site: Workspace) -> None:
    """By someone who can write to the broker: a requester would get another's archive."""
    packers, archive = Packers(site.settings), Archive(name="theirs.zip", size=1, published=1)
    sealed = Seal(SECRET).close(Outcome(task="theirs", archive=archive))
    for id in ("theirs", "ours"):
        packers._results.store_result(id, sealed, "SUCCESS")
    assert packers.report("theirs").outcome == Outcome(task="theirs", archive=archive)
    assert packers.report("ours").outcome == Outcome(error="the broker holds the outcome of another task")


def test_check_names_what_packers_lack(site: Workspace, redis: Redis, tmp_path: Path) -> None:
    said = site.run("check").stdout
    assert "no packer takes jobs of the fast queue" in said and "of the slow queue" in said
    with packer("one", site.file):
        until(lambda: "one@localhost" in site.run("check").stdout)
        said = site.run("check").stdout
        assert "WRONG engine" not in said and "WRONG store_directory" not in said
    redis.stop()
    try:
        assert f"WRONG engine: broker redis://127.0.0.1:{redis.port}/0: " in site.run("check").stdout
    finally:
        redis.start()


def test_flower_lists_the_tasks(site: Workspace, redis: Redis, api: CkanApi) -> None:
    job = site.queue(api)
    with packer("one", site.file), flower(site.file) as address:
        assert site.run("process").returncode == 0

        def tasks() -> Any:
            with urllib.request.urlopen(f"{address}/api/tasks", timeout=10) as answer:
                return [task for task in json.load(answer).values() if task["state"] == "SUCCESS"]

        (task,) = until(tasks)
    assert task["name"] == "ckanpackager.package"
    assert "package_datastore" in task["kwargs"] and "'r'" in task["kwargs"]
    served(site, job)


def test_packers_and_dispatchers_that_are_killed_and_a_broker_that_restarts_lose_nothing(
    site: Workspace, redis: Redis, api: CkanApi
) -> None:
    """A short version of bench/scale.py's."""
    configure(site, redis, packer_timeout=3, max_attempts=100, workers={"fast": 8})
    chance = random.Random(1)

    def take_time(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
        threading.Event().wait(chance.uniform(0.05, 0.3))
        return False

    api.fault = take_time
    jobs = [site.queue(api, limit=number + 1, email=f"{number}@example.org") for number in range(20)]
    with ExitStack() as stack:
        packers = [stack.enter_context(packer(name, site.file)) for name in ("one", "two")]
        dispatchers = [site.start("process", "--loop")]
        until(lambda: site.where().get("done", 0) >= 3)
        os.killpg(packers[0].pid, signal.SIGKILL)
        dispatchers[0].kill()
        dispatchers.append(site.start("process", "--loop"))
        stack.enter_context(packer("three", site.file))
        until(lambda: site.where().get("done", 0) >= 8)
        redis.stop()
        redis.start()
        until(lambda: site.where().get("done", 0) == len(jobs))
        for dispatcher in dispatchers:
            dispatcher.terminate()
            dispatcher.wait(PATIENCE)
    served(site, *jobs)
    assert len(site.archives) == len(jobs)
