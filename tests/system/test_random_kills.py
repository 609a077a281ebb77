"""Eight workers, killed at random, while receivers add jobs all the while: every accepted job is served once.

`python -m bench.kills` does the same for longer; docs/reliability.md has its numbers.
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from support.workspace import PATIENCE, FakeSmtpServer, Workspace, environment, small_ckan, until

from ckanpackager.maintenance.clean import clean

JOBS = 240
KILLS = 80
WORKERS = 8
RECEIVERS = 2
# One process that loads the program once and forks a looping worker for every line; the answer is its id.
NURSERY = """
import os, signal, sys
from ckanpackager.cli.main import main
from ckanpackager.mail import send
from ckanpackager import statistics
from ckanpackager.worker import loop
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the dead
for line in sys.stdin:
    if (child := os.fork()) == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        sys.argv = ["ckanpackager", "--config", line.strip(), "-q", "process", "--loop"]
        main()
    os.write(1, b"%d\\n" % child)
"""


@contextmanager
def nursery(workspace: Workspace) -> Iterator[Callable[[], int]]:
    """Starts workers; whatever happens, none is left in the end."""
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": workspace.directory}
    command = [sys.executable, "-c", NURSERY]
    with subprocess.Popen(command, env=environment({}), start_new_session=True, **pipes) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin and stdout

        def start() -> int:
            stdin.write(f"{workspace.file}\n")
            stdin.flush()
            return int(stdout.readline())

        try:
            yield start
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_workers_killed_at_random_serve_every_accepted_job_once(workspace: Workspace, smtp: FakeSmtpServer) -> None:
    workspace.configure(**smtp.settings, workers={"fast": WORKERS, "slow": 1}, max_attempts=1000, cache_time=1)
    ids: list[str] = []
    chance, over = random.Random(), threading.Event()

    with small_ckan(rows=JOBS) as api, nursery(workspace) as start:

        def receive(number: int) -> None:
            for job in range(number, JOBS, RECEIVERS):
                ids.append(workspace.queue(api, email=f"{job}@example.org", offset=job % 100, limit=50))
                over.wait(0.04)

        receivers = [threading.Thread(target=receive, args=(number,)) for number in range(RECEIVERS)]
        workers = [start() for _ in range(WORKERS)]
        for receiver in receivers:
            receiver.start()
        try:
            for _ in range(KILLS):
                time.sleep(chance.expovariate(1 / 0.08))
                os.kill(workers.pop(chance.randrange(WORKERS)), signal.SIGKILL)
                workers.append(start())
        finally:
            over.set()
            for receiver in receivers:
                receiver.join(PATIENCE)
        until(lambda: workspace.where().get("done") == JOBS)
        for worker in workers:
            os.kill(worker, signal.SIGTERM)
        until(lambda: not any(map(alive, workers)))

    clean(workspace.spool, workspace.store, workspace.settings, time.time() + 7200)
    assert workspace.where() == {"done": JOBS}
    assert [name.removesuffix(".json") for name in workspace.spool.names("done")] == sorted(ids)
    assert workspace.totals() == {"emails": JOBS, "requests": JOBS, "errors": 0}
    stories = list(workspace.spool.jobs("done"))
    assert all(job.archive and job.archive.name in workspace.archives for job in stories)
    assert any(attempt.outcome == "died" for job in stories for attempt in job.attempts), "no worker was killed at work"
    mailed: dict[str, list[str]] = {}
    for mail in smtp.mails:
        mailed.setdefault(mail["To"], []).append(mail["Message-ID"])
    assert set(mailed) == {f"{job}@example.org" for job in range(JOBS)}
    # The one window: the server has taken the mail, and its record does not count yet.
    assert all(len(set(message_ids)) == 1 for message_ids in mailed.values())
    assert len(smtp.mails) - JOBS <= KILLS // 8
