"""Walk a request through the containers, without a container engine: each service of compose.yaml under `buildah run`.

    python contrib/docker/walk.py        as root; after contrib/docker/build.sh --own-base

The services of this project run in the built image, Redis, PostgreSQL and nginx (Debian's) in one made of the same
base.  All share the network of this machine, on free ports.  What compose itself would do is not tried here.
"""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from ckanpackager.demo.ckan_api import CkanApi, Resource

HERE = Path(__file__).parent
IMAGE, BASE = "localhost/ckanpackager", "localhost/debian:bookworm"
USER = 10001  # of the image
SECRET = "a secret for this walk"
CONFIGURATION = "/etc/ckanpackager/ckanpackager.yaml"
BUILDAH = ("buildah", "--storage-driver", "vfs")


def buildah(*words: str) -> str:
    return subprocess.run([*BUILDAH, *words], check=True, capture_output=True, text=True).stdout.strip()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def until(what: str, condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := _tried(condition)):
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {seconds:g} s")
        time.sleep(0.2)
    print(f"{what}: ok")
    return value


def _tried(condition: Callable[[], Any]) -> Any:
    try:
        return condition()
    except (OSError, urllib.error.URLError):
        return None


def fetched(url: str, form: dict[str, str] | None = None) -> bytes:
    body = urllib.parse.urlencode(form).encode() if form else None
    request = urllib.request.Request(url, body, {"Accept": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return bytes(answer.read())


class Services:
    """What runs, each with a log of its own; all end with the stack."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory, self._stack = directory, stack

    def start(
        self, name: str, container: str, *command: str, user: str = "", environ: dict[str, str] | None = None
    ) -> None:
        volumes = [f"{self._directory}:/walk", f"{self._directory}/ckanpackager.yaml:{CONFIGURATION}:ro"]
        options = [word for volume in volumes for word in ("--volume", volume)]
        options += [word for item in (environ or {}).items() for word in ("--env", "=".join(item))]
        options += ["--user", user] if user else []
        log = (self._directory / f"{name}.log").open("wb")
        words = [*BUILDAH, "run", "--isolation", "chroot", "--network", "host", *options, container, "--", *command]
        process = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        self._stack.callback(self._end, process)

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(15)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue


def container(image: str, stack: ExitStack) -> str:
    name = buildah("from", image)
    stack.callback(buildah, "rm", name)
    return name


def walk(directory: Path, api: CkanApi, stack: ExitStack) -> None:
    ports = {name: free_port() for name in ("redis", "postgresql", "receiver", "web", "flower")}
    web = f"http://127.0.0.1:{ports['web']}"
    settings = yaml.safe_load((HERE / "ckanpackager.yaml.example").read_text())
    settings |= {"spool_directory": "/walk/spool", "store_directory": "/walk/store", "public_url": web}
    settings |= {"download_url": f"{web}/archives", "mail_transport": "maildir", "mail_directory": "/walk/mail"}
    (directory / "ckanpackager.yaml").write_text(yaml.safe_dump(settings))
    for name in ("spool", "store", "mail"):
        (directory / name).mkdir()
        os.chown(directory / name, USER, USER)
    directory.chmod(0o777)  # PostgreSQL makes its own, too
    nginx = (HERE / "nginx.conf").read_text().replace("receiver:8765", f"127.0.0.1:{ports['receiver']}")
    nginx = nginx.replace("listen 80;", f"listen 127.0.0.1:{ports['web']};").replace("/var/lib/ckanpackager", "/walk")
    (directory / "nginx.conf").write_text(f"events {{}}\npid /tmp/nginx.pid;\nhttp {{\n{nginx}\n}}\n")

    own, others = container(IMAGE, stack), container(BASE, stack)
    install = "apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-server postgresql nginx-light"
    buildah("run", "--isolation", "chroot", "--network", "host", others, "--", "sh", "-c", f"{install} >/dev/null 2>&1")
    print("Redis, PostgreSQL and nginx: installed")

    services = Services(directory, stack)
    services.start("redis", others, "redis-server", "--bind", "127.0.0.1", "--port", str(ports["redis"]))
    server = "/usr/lib/postgresql/15/bin"
    make = f"{server}/initdb -D /walk/postgresql -U ckanpackager -A trust -E UTF8 >/dev/null"
    run = f"exec {server}/postgres -D /walk/postgresql -p {ports['postgresql']} -c listen_addresses=127.0.0.1 -k /tmp"
    services.start("postgresql", others, "sh", "-c", f"{make} && {run}", user="postgres")
    environ = {
        "CKANPACKAGER_CONFIG": CONFIGURATION,
        "CKANPACKAGER_SECRET": SECRET,
        "CKANPACKAGER_STATS_DB": f"postgresql+psycopg://ckanpackager@127.0.0.1:{ports['postgresql']}/postgres",
        "CKANPACKAGER_CELERY_BROKER": f"redis://127.0.0.1:{ports['redis']}/0",
        "FLOWER_UNAUTHENTICATED_API": "true",
    }
    celery = ["celery", "-A", "ckanpackager.celery"]
    serve = ["ckanpackager", "serve", "--port", str(ports["receiver"])]
    services.start("receiver", own, *serve, environ=environ)
    until("receiver, GET /health", lambda: fetched(f"http://127.0.0.1:{ports['receiver']}/health"))
    services.start("web", others, "nginx", "-c", "/walk/nginx.conf", "-g", "daemon off;")
    services.start(
        "flower", own, *celery, "flower", "--address=127.0.0.1", f"--port={ports['flower']}", environ=environ
    )
    for name in ("packer-1", "packer-2"):
        work = ["worker", "--queues", "fast,slow", "--concurrency", "1", "--loglevel", "INFO"]
        services.start(name, own, *celery, *work, "--hostname", f"{name}@walk", environ=environ)
    services.start("dispatcher", own, "ckanpackager", "-v", "process", "--loop", environ=environ)
    until("web server, GET /health", lambda: fetched(f"{web}/health"))
    request_all(directory, api, web, f"http://127.0.0.1:{ports['flower']}")


def request_all(directory: Path, api: CkanApi, web: str, flower: str) -> None:
    """Requests through the web server, and what becomes of them."""
    jobs = []
    for number in range(6):
        form = {"secret": SECRET, "api_url": api.api_url, "resource_id": "r", "email": f"{number}@example.org"}
        accepted = json.loads(fetched(f"{web}/package_datastore", form | {"limit": str(number + 1)}))
        jobs.append(accepted["job"])
    print(f"{len(jobs)} requests: accepted")
    for number, job in enumerate(jobs):

        def done(job: str = job) -> Any:
            known = json.loads(fetched(f"{web}/jobs/{job}"))
            return known if known["state"] == "done" else None

        known = until(f"request {number + 1}: done", done)
        with zipfile.ZipFile(io.BytesIO(fetched(known["download_url"]))) as archive:
            rows = archive.read("resource.csv").decode().splitlines()
        assert len(rows) == number + 2, rows
    print("archives: downloaded through the web server, every row there")
    mails = list((directory / "mail" / "new").iterdir())
    assert len(mails) == len(jobs), mails
    print(f"{len(mails)} mails: in the maildir")
    status = json.loads(fetched(f"{web}/status", {"secret": SECRET}))
    assert status["processed_requests"] == len(jobs), status
    print(f"statistics in PostgreSQL: {status['processed_requests']} requests")

    def listed() -> Any:
        tasks = json.loads(fetched(f"{flower}/api/tasks")).values()
        workers = {task["worker"] for task in tasks if task["state"] == "SUCCESS"}
        return workers if len(tasks) == len(jobs) else None

    print(f"Flower: {', '.join(sorted(until('Flower lists the tasks', listed)))}")


def main() -> None:
    rows = [[number, f"n{number}"] for number in range(1, 11)]
    fields = [{"id": "_id", "type": "int"}, {"id": "name", "type": "text"}]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="walk-", ignore_cleanup_errors=True) as name, ExitStack() as stack:
        api = stack.enter_context(CkanApi({"r": Resource(fields, rows)}))
        try:
            walk(Path(name), api, stack)
        except BaseException:
            for log in sorted(Path(name).glob("*.log")):
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-2000:]}", file=sys.stderr)
            raise
    print(f"all in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
