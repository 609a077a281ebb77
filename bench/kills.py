"""Kill workers at random, again and again, while jobs keep arriving; then count what came of it.

    python -m bench.kills [KILLS] [JOBS]        default: 1000 2000

Eight workers loop over one spool; one of them is killed (SIGKILL) every few hundredths of a second and replaced by a
fork.  Served are all jobs that were accepted; a mail may come twice only if the kill hit the moment between the mail
server's answer and its record, and such mails carry the same Message-ID.
"""

import asyncio
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from ckanpackager.cli.main import main as ckanpackager_main
from ckanpackager.config.load import load_settings
from ckanpackager.demo import sample
from ckanpackager.demo.ckan_api import CkanApi, Resource
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.parameters import request_from
from ckanpackager.spool.queue import Spool
from ckanpackager.statistics import open_statistics

WORKERS = 8
PAUSE = 0.08  # seconds between two kills, on average
CONFIGURATION = """\
download_url: https://data.example.org/downloads
smtp_host: 127.0.0.1
smtp_port: {port}
workers: {{fast: {workers}}}
max_attempts: 1000
retry_delay: 0.2
cache_time: 1
"""


def main(kills: int, jobs: int) -> None:
    with tempfile.TemporaryDirectory(prefix="ckanpackager-kills-") as name:
        directory = Path(name)
        context = multiprocessing.get_context("spawn")
        ckan_url: Any = context.Array("c", 200)
        smtp_port: Any = context.Value("i", 0)
        servers = [
            context.Process(target=serve_ckan, args=(ckan_url,), daemon=True),
            context.Process(target=serve_mail, args=(smtp_port, str(directory / "mails")), daemon=True),
        ]
        for server in servers:
            server.start()
        while not (ckan_url.value and smtp_port.value):
            time.sleep(0.01)
        file = directory / "ckanpackager.yaml"
        file.write_text(CONFIGURATION.format(port=smtp_port.value, workers=WORKERS))
        settings = load_settings(file, {})
        spool = Spool(Path(settings.spool.spool_directory))
        spool.prepare()
        began = time.monotonic()
        done = random_kills(file, spool, ckan_url.value.decode(), kills, jobs)
        mails = Counter((directory / "mails").read_text().split())
        with open_statistics(settings.statistics) as statistics:
            counted = statistics.totals()["*"]["requests"]
        served = spool.length("done")
        print(f"{done} kills in {time.monotonic() - began:.0f} s; {jobs} jobs accepted, {served} done")
        twice = sum(mails.values()) - len(mails)
        print(f"{len(mails)} requesters mailed, {twice} mails twice, {counted} requests counted")
        for job in spool.jobs("failed"):
            print(job.failure, job.attempts[-2:])
            break
        left = {folder: spool.names(folder) for folder in ("fast", "slow", "claimed", "failed")}
        lost = any(left.values()) or len(mails) != jobs or counted != jobs
        for server in servers:
            server.terminate()
        sys.exit(1 if lost else 0)


def random_kills(file: Path, spool: Spool, ckan_url: str, kills: int, jobs: int) -> int:
    """Run workers, queue jobs and kill; then let the last workers finish.  The number of kills."""
    workers = [fork(lambda: worker(file)) for _ in range(WORKERS)]
    chance, queued = random.Random(), 0
    for number in range(kills):
        while queued < jobs * (number + 1) // kills:
            parameters: dict[str, Any] = {"api_url": ckan_url, "resource_id": "r", "limit": 50, "offset": queued}
            parameters["email"] = f"{queued}@example.org"
            spool.enqueue(Job(request=request_from("package_datastore", parameters), created=time.time(), queue="fast"))
            queued += 1
        time.sleep(chance.expovariate(1 / PAUSE))
        victim = workers.pop(chance.randrange(WORKERS))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        workers.append(fork(lambda: worker(file)))
    while any(spool.names(folder) for folder in ("fast", "claimed")):
        time.sleep(0.1)
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
    return kills


def worker(file: Path) -> None:
    sys.argv = ["ckanpackager", "--config", str(file), "-q", "process", "--loop"]
    ckanpackager_main()


def fork(work: Callable[[], None]) -> int:
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def serve_ckan(url: Any) -> None:
    with CkanApi({"r": Resource(sample.FIELDS, list(sample.rows(5000)))}) as api:
        url.value = api.api_url.encode()
        signal.pause()


def serve_mail(port: "Synchronized[int]", log: str) -> None:
    """A mail server that records the Message-ID of every mail that it takes."""
    from aiosmtpd.smtp import SMTP

    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            lines = envelope.content.decode().replace("\r\n ", " ").splitlines()
            file.write(next(line for line in lines if line.startswith("Message-ID:")).split()[1] + "\n")
            file.flush()
            return "250 OK"

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(Handler(), loop=loop), "127.0.0.1", 0)
        port.value = server.sockets[0].getsockname()[1]
        await server.serve_forever()

    with open(log, "a") as file:
        asyncio.run(serve())


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    main(*numbers, *(1000, 2000)[len(numbers) :])
