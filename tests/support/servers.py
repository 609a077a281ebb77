"""Real servers on free ports, each for as long as a block lasts: Redis, PostgreSQL, an S3 API (moto's),
and those of the standard library.

Where a program is missing the test is skipped, with the reason.  `.ci/run` installs them all.
"""

import os
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from support.programs import needs, needs_libraries
from support.workspace import until

POSTGRESQL = Path("/usr/lib/postgresql")  # where Debian has it, by version


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def need_postgresql() -> tuple[str, str]:
    """Where initdb and postgres are.  Skips the test where one cannot be run."""
    needs_libraries("psycopg", extra="engines")
    versions = sorted(POSTGRESQL.glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    if os.geteuid() == 0 and "postgres" not in {user.pw_name for user in pwd.getpwall()}:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres (Debian: postgresql)")
    return (
        needs("initdb", debian="postgresql", directories=versions),
        needs("postgres", debian="postgresql", directories=versions),
    )


def need_s3() -> str:
    """Where moto_server is.  Skips the test where it cannot be run."""
    needs_libraries("moto", "obstore", extra="engines")
    return str(Path(sys.executable).with_name("moto_server"))


def need_celery() -> None:
    """Skips the test, or the module, where a packer or its broker cannot be run."""
    needs_libraries("celery", "redis", "cryptography", extra="engines")
    needs("redis-server", debian="redis-server")


@contextmanager
def process(command: Sequence[str], log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a session of its own, which ends with the block, whatever it has started."""
    with log.open("ab") as file:
        started = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True, **options
        )
    try:
        yield started
    finally:
        started.terminate()
        with suppress(subprocess.TimeoutExpired):
            started.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()


class Redis:
    """A Redis server without persistence, which can be restarted: it then knows nothing more."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._directory = directory
        self._stack: Any = None

    def start(self) -> None:
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command = [needs("redis-server", debian="redis-server"), *words, "--dir", str(self._directory)]
        self._stack = process(command, self._directory / "redis.log")
        started = self._stack.__enter__()
        until(lambda: listens(self.port) or started.poll() is not None)
        assert started.poll() is None, (self._directory / "redis.log").read_text()

    def stop(self) -> None:
        self._stack.__exit__(None, None, None)


@contextmanager
def redis_server(directory: Path) -> Iterator[Redis]:
    server = Redis(directory)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL cluster of its own; its URL without a database, as in postgresql+psycopg://user@host:port/."""
    initdb, server = need_postgresql()
    user: dict[str, Any] = {}
    if os.geteuid() == 0:  # as which PostgreSQL refuses to run
        known = pwd.getpwnam("postgres")
        user = {"user": known.pw_uid, "group": known.pw_gid, "extra_groups": []}
    with tempfile.TemporaryDirectory(prefix="ckanpackager-test-") as name:  # the path of its socket must be short
        directory, log = Path(name), Path(name) / "log"
        if user:
            os.chown(directory, user["user"], user["group"])
        made = [initdb, "-D", str(directory / "data"), "-U", "tests", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL, cwd="/", **user)
        port = free_port()
        options = ["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={directory}"]
        command = [server, "-D", str(directory / "data"), "-p", str(port), *options]
        with process(command, log, cwd="/", **user) as started:
            until(lambda: "ready to accept connections" in log.read_text() or started.poll() is not None)
            assert started.poll() is None, log.read_text()
            yield f"postgresql+psycopg://tests@127.0.0.1:{port}/"


@contextmanager
def s3_server(directory: Path) -> Iterator[dict[str, str]]:
    """An S3 API with an empty bucket `archives`; the environment in which its credentials and address stand."""
    moto_server = need_s3()
    port = free_port()
    environ = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "tests",
        "AWS_REGION": "us-east-1",
    }
    with process([moto_server, "-H", "127.0.0.1", "-p", str(port)], directory / "s3.log") as started:
        until(lambda: listens(port) or started.poll() is not None)
        assert started.poll() is None, (directory / "s3.log").read_text()
        bucket = urllib.request.Request(f"http://127.0.0.1:{port}/archives", method="PUT")
        urllib.request.urlopen(bucket, timeout=10).close()
        yield environ


@contextmanager
def packer(name: str, configuration: Path, *words: str, environ: Mapping[str, str] = {}) -> Iterator[Any]:
    """A packer, a Celery worker of one process, in the directory of its configuration."""
    need_celery()
    command = [sys.executable, "-m", "celery", "-A", "ckanpackager.celery", "worker", "--queues", "fast,slow"]
    options = ["--hostname", f"{name}@localhost", "--concurrency", "1", "--loglevel", "INFO", *words]
    own = {"CKANPACKAGER_CONFIG": str(configuration), **environ}
    directory = configuration.parent
    with process([*command, *options], directory / f"{name}.log", cwd=directory, env=os.environ | own) as started:
        yield started


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def flower(configuration: Path) -> Iterator[str]:
    """Flower, which watches the packers of a configuration; its address."""
    needs_libraries("flower", extra="engines")
    port = free_port()
    command = [sys.executable, "-m", "celery", "-A", "ckanpackager.celery", "flower", f"--port={port}"]
    environ = os.environ | {"CKANPACKAGER_CONFIG": str(configuration), "FLOWER_UNAUTHENTICATED_API": "true"}
    log = configuration.parent / "flower.log"
    options = ["--address=127.0.0.1", "--inspect_timeout=500"]
    with process([*command, *options], log, cwd=configuration.parent, env=environ) as started:
        until(lambda: listens(port) or started.poll() is not None)
        assert started.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running(server: Any) -> Iterator[str]:
    """A server of the standard library, served by a thread for as long as the block lasts; its URL."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
