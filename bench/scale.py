"""Packing by Celery: throughput by number of packers, the cost of dispatching, memory; and what survives kills.

    python -m bench.scale [JOBS]           throughput, overhead, memory       default: 200 jobs
    python -m bench.scale overhead [JOBS]  the cost of dispatching alone
    python -m bench.scale kills [JOBS]     packers, dispatchers and Redis killed meanwhile

Redis, packers (`celery worker`) and dispatchers (`ckanpackager process`) are real, on free ports.  The CKAN is one that
answers after `LATENCY` seconds, so a packer waits more than it computes, as it does for a site on another machine.
"""

import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from support.servers import Redis, packer, redis_server
from support.workspace import Workspace, small_ckan, until

from ckanpackager.demo.ckan_api import CkanApi, Handler

LATENCY = 1.0  # seconds that the CKAN takes for each of its answers
KILLS = 5.0  # seconds between two kills of a packer


@contextlib.contextmanager
def slow_ckan(latency: float) -> Iterator[CkanApi]:
    def fault(handler: Handler, action: str, params: dict[str, Any], number: int) -> bool:
        time.sleep(latency)
        return False

    with small_ckan(rows=1000) as api:
        api.fault = fault
        yield api


def site(directory: Path, redis: Redis | None, in_flight: int, **settings: Any) -> Workspace:
    directory.mkdir()
    own: dict[str, Any] = {"secret": "bench", "workers": {"fast": in_flight, "slow": 1}, "keep_done": 30}
    if redis is not None:
        own |= {"engine": "celery", "celery_broker": redis.url}
    return Workspace(directory, **own | settings)


def queue(place: Workspace, api: CkanApi, jobs: int) -> None:
    for number in range(jobs):
        place.queue(api, limit=number % 1000 + 1, email=f"{number}@example.org")


def wait_for(place: Workspace, jobs: int, seconds: float = 3600) -> None:
    """Wait until so many are done."""
    until(lambda: len(os.listdir(place.spool.directory / "done")) >= jobs, seconds)


def ready(redis: Redis, number: int) -> None:
    """Wait until the packers have started, which takes seconds."""
    import celery

    control = celery.Celery(broker=redis.url).control
    until(lambda: len(control.ping(timeout=1)) >= number, 120)


def throughput(directory: Path, api: CkanApi, packers: int, jobs: int) -> float:
    """Jobs a second."""
    with redis_server(directory) as redis, ExitStack() as stack:
        place = site(directory / f"packers-{packers}", redis, 50)
        for number in range(packers):
            stack.enter_context(packer(f"p{number}", place.file))
        ready(redis, packers)
        queue(place, api, jobs)
        dispatcher = place.start("process", "--loop")
        until(lambda: any(path.stat().st_size for path in (place.spool.directory / "workers").iterdir()), 60)
        began = time.monotonic()
        wait_for(place, jobs)
        seconds = time.monotonic() - began
        memory = peak(dispatcher.pid)
        dispatcher.terminate()
        dispatcher.wait(60)
    print(
        f"{packers} packers: {jobs} jobs in {seconds:.1f} s, {jobs / seconds:.2f} a second; dispatcher at most {memory}"
    )
    return jobs / seconds


def overhead(directory: Path, jobs: int) -> None:
    """One job at a time from a CKAN that answers at once: what a job takes with the local engine, and with a packer.

    The times are those in the job files; the tenth percentile tells least of the other work on this machine.
    """
    taken: dict[str, list[float]] = {"local": [], "celery": []}
    with small_ckan(rows=1000) as api, redis_server(directory) as redis, ExitStack() as stack:
        places = {"local": site(directory / "local", None, 1), "celery": site(directory / "celery", redis, 1)}
        stack.enter_context(packer("p0", places["celery"].file))
        ready(redis, 1)
        for turn in range(4):  # in turn: other work on this machine hits both
            for engine, place in places.items():
                for number in range(jobs):
                    place.queue(api, limit=number + 1, filters={"name": f"n{turn}"}, email=f"{number}@example.org")
                place.run("process")
                for job in place.spool.jobs("done"):
                    if turn and job.request.filters == {"name": f"n{turn}"}:  # type: ignore[union-attr]
                        taken[engine].append(1000 * (float(job.finished_at or 0) - job.attempts[0].started))
    least = {}
    for engine, each in taken.items():
        tenths = quantiles(each, n=10)
        least[engine] = tenths[0]
        print(f"{engine}: {len(each)} jobs, tenth percentile {tenths[0]:.1f}, median {median(each):.1f} ms a job")
    print(f"dispatching costs {least['celery'] - least['local']:.1f} ms a job (tenth percentiles)")


def kills(directory: Path, jobs: int) -> None:
    """Two packers of which one is killed every few seconds, a dispatcher killed twice, Redis restarted once."""
    with slow_ckan(0.3) as api, redis_server(directory) as redis, ExitStack() as stack:
        place = site(directory / "kills", redis, 16, packer_timeout=5, max_attempts=1000, retry_delay=0.5)
        queue(place, api, jobs)
        killed: Counter[str] = Counter()
        packers = [stack.enter_context(packer(f"p{number}", place.file)) for number in range(2)]
        ready(redis, 2)
        dispatcher = place.start("process", "--loop")
        began, ended = time.monotonic(), threading.Event()

        def kill_packers() -> None:
            number = 2
            while not ended.wait(KILLS):
                os.killpg(packers.pop(0).pid, signal.SIGKILL)
                killed["packers"] += 1
                packers.append(stack.enter_context(packer(f"p{number}", place.file)))
                number += 1

        killer = threading.Thread(target=kill_packers)
        killer.start()
        for share in (0.25, 0.5, 0.75):
            wait_for(place, int(jobs * share))
            if share == 0.5:
                redis.stop()
                redis.start()
                killed["Redis, restarted empty"] += 1
            else:
                dispatcher.kill()
                dispatcher.wait()
                dispatcher = place.start("process", "--loop")
                killed["dispatchers"] += 1
        wait_for(place, jobs)
        ended.set()
        killer.join()
        dispatcher.terminate()
        dispatcher.wait(60)
    mails = Counter(str(mail["To"]) for mail in place.mails)
    print(f"{jobs} jobs in {time.monotonic() - began:.0f} s; killed: {dict(killed)}")
    print(
        f"left in the spool: {place.where()}; archives: {len(place.archives)}; mails: {sum(mails.values())}, "
        f"twice: {sum(number > 1 for number in mails.values())}; requests counted: {place.totals()['requests']}"
    )
    left = {folder: number for folder, number in place.where().items() if folder != "tmp"}  # what `clean` removes
    assert left == {"done": jobs} and len(mails) == sum(mails.values()) == len(place.archives) == jobs
    assert place.totals()["requests"] == jobs


def peak(pid: int) -> str:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return f"{int(line.split()[1]) / 1024:.0f} MB"
    return "?"


def main(words: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        if words[:1] == ["overhead"]:
            overhead(directory, int(words[1]) if len(words) > 1 else 50)
            return
        if words[:1] == ["kills"]:
            kills(directory, int(words[1]) if len(words) > 1 else 200)
            return
        jobs = int(words[0]) if words else 200
        with slow_ckan(LATENCY) as api:
            rates = {number: throughput(directory, api, number, jobs) for number in (1, 2, 4)}
        for number in (2, 4):
            print(f"{number} packers: {rates[number] / rates[1]:.2f} times the throughput of one")
        overhead(directory, 50)


if __name__ == "__main__":
    main(sys.argv[1:])
