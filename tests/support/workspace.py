"""What tests of jobs share: a workspace (configuration, spool, store, statistics), a mail server, waiting."""

import asyncio
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from aiosmtpd.smtp import SMTP

from ckanpackager.archives.directory_store import DirectoryStore
from ckanpackager.config.load import load_settings
from ckanpackager.config.settings import Settings
from ckanpackager.demo.ckan_api import CkanApi, Resource
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.parameters import request_from
from ckanpackager.spool.queue import Spool
from ckanpackager.statistics import StatisticsDatabase, open_statistics
from ckanpackager.worker.loop import Limits, Tally, work
from ckanpackager.worker.signals import Stop

PATIENCE = 120  # seconds that nothing here takes, however busy the machine is
FIELDS = [{"id": "_id", "type": "int"}, {"id": "name", "type": "text"}]


def small_ckan(rows: int = 3, **options: Any) -> CkanApi:
    """A CKAN whose resource `r` has a few rows."""
    return CkanApi({"r": Resource(FIELDS, [[number, f"n{number}"] for number in range(1, rows + 1)])}, **options)


def until(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Wait until a condition has a true value, and return that."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not so within {seconds} s"
        time.sleep(0.01)
    return value


def as_user(uid: int, work: Callable[[], object]) -> str:
    """Run a function as another user of the group 65534; its result as text."""
    reading, writing = os.pipe()
    if not (process := os.fork()):
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(uid)
            os.umask(0o077)
            os.write(writing, str(work()).encode())
        except BaseException as error:
            os.write(writing, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading) as file:
        answer = file.read()
    os.waitpid(process, 0)
    return answer


class CommandResult(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Workspace:
    """A configuration in a directory, and all that it names."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.directory = directory
        self.file = directory / "ckanpackager.yaml"
        self.configure(**settings)
        self.spool = Spool(directory / "spool")
        self.spool.prepare()

    def configure(self, **settings: Any) -> None:
        known = {"download_url": "https://data.example.org/dl", "mail_transport": "maildir", "retry_delay": 1000}
        known |= {"include_readme": False, "include_datapackage": False}  # tests of these ask for them
        known["allow_private_addresses"] = True  # all servers of the tests are on this machine
        self.file.write_text(yaml.safe_dump({**known, **settings}))

    @property
    def settings(self) -> Settings:
        return load_settings(self.file, {})

    @property
    def store(self) -> DirectoryStore:
        store = DirectoryStore(self.directory / "store", 86400)
        store.prepare()
        return store

    @property
    def archives(self) -> list[str]:
        """The archives in the store but those of named packages, each `<directory>/<file>`."""
        store = self.store.directory
        return sorted(str(path.relative_to(store)) for path in store.glob("[0-9a-f]*-*/*.zip"))

    @property
    def mails(self) -> list[EmailMessage]:
        """What is in the maildir."""
        paths = sorted((self.directory / "mail" / "new").glob("*"), key=lambda path: path.stat().st_mtime_ns)
        return [message_from_bytes(path.read_bytes(), policy=default) for path in paths]

    @contextmanager
    def statistics(self) -> Iterator[StatisticsDatabase]:
        with open_statistics(self.settings.statistics) as statistics:
            yield statistics

    def totals(self) -> dict[str, Any]:
        with self.statistics() as statistics:
            return statistics.totals().get("*", {})

    def queue(self, api: CkanApi | str, task: str = "package_datastore", **parameters: Any) -> str:
        """Enqueue a job, as a receiver does."""
        url = api if isinstance(api, str) else api.api_url
        parameters = {"api_url": url, "resource_id": "r", "email": "ann@example.org", "limit": 10} | parameters
        request = request_from(task, parameters)
        return self.spool.enqueue(Job(request=request, created=time.time(), queue=request.queue(50_000)))

    def work(self, *, stop: Stop | None = None, **limits: Any) -> Tally:
        """Run the jobs that wait, in this process."""
        return work(self.spool, self.settings, ("fast", "slow"), Limits(**limits), stop or Stop(), lambda *_: None)

    def find(self, id: str) -> tuple[str, Job]:
        found = self.spool.find(id)
        assert found is not None, f"no job {id}"
        return found

    def where(self) -> dict[str, int]:
        """How many files are in which folder, as far as there are any."""
        counts = {name: len(self.spool.names(name)) for name in ("tmp", "fast", "slow", "claimed", "failed", "done")}
        return {name: count for name, count in counts.items() if count}

    def make_due(self) -> None:
        """Make all jobs due that wait for their next attempt."""
        for folder in ("fast", "slow"):
            for name in self.spool.names(folder):
                os.utime(self.spool.directory / folder / name, (1, 1))

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "ckanpackager", "--config", str(self.file), *words]

    def run(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run `ckanpackager` to its end."""
        options: Any = {"capture_output": True, "text": True, "timeout": PATIENCE}
        return subprocess.run(
            self.command(*words), env=environment(environ), cwd=self.directory, check=False, **options
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start `ckanpackager`."""
        pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(self.command(*words), env=environment({}), cwd=self.directory, **pipes)


def environment(extra: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("CKANPACKAGER_")} | extra


class FakeSmtpServer:
    """A mail server: `answer` gives the reply to an address; with `hold` set, the end of a mail waits for that."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.asked: list[str] = []
        self.answer: Callable[[str], str] = lambda address: "250 OK"
        self.hold: threading.Event | None = None
        self.holding = threading.Event()
        self.port = 0

    async def handle_RCPT(self, _server: SMTP, _session: Any, envelope: Any, address: str, _options: list[str]) -> str:
        self.asked.append(address)
        if (answer := self.answer(address)).startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, _server: SMTP, _session: Any, envelope: Any) -> str:
        if self.hold is not None:
            self.holding.set()
            await asyncio.to_thread(self.hold.wait, 30)
        self.mails.append(message_from_bytes(envelope.content, policy=default))
        return "250 OK"

    @property
    def settings(self) -> dict[str, Any]:
        return {"mail_transport": "smtp", "smtp_host": "127.0.0.1", "smtp_port": self.port}

    @contextmanager
    def running(self) -> Iterator["FakeSmtpServer"]:
        logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # aiosmtpd's, or the program's own log would hold it
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        serving = loop.create_server(lambda: SMTP(self, loop=loop, hostname="localhost"), "127.0.0.1", 0)

        async def stop(server: asyncio.Server) -> None:
            server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        async def start() -> asyncio.Server:
            return await serving

        server = asyncio.run_coroutine_threadsafe(start(), loop).result(5)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(stop(server), loop).result(5)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(5)
            loop.close()
