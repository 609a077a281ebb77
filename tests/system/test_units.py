"""contrib/systemd and contrib/celery: units that systemd understands, may do little, and can do their work."""

import json
import os
import re
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.confine import NOBODY
from support.confined import STATE, Unit, confined
from support.programs import is_there, needs, needs_libraries
from support.servers import need_celery, process, redis_server
from support.workspace import PATIENCE, Workspace, small_ckan

from ckanpackager.cli.commands import COMMANDS

CONTRIB = Path(__file__).parents[2] / "contrib"
SYSTEMD = CONTRIB / "systemd"
SERVICES = sorted([*SYSTEMD.glob("*.service"), *(CONTRIB / "celery").glob("*.service")])
TIMERS = sorted(SYSTEMD.glob("*.timer"))
MOST_EXPOSED = 3.0
ANALYZE = needs("systemd-analyze", debian="systemd")


def name(path: Path) -> str:
    return path.name


def analyze(*words: str) -> str:
    done = subprocess.run([ANALYZE, *words], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


@pytest.mark.parametrize("unit", [*SERVICES, *TIMERS], ids=name)
def test_a_unit_is_one_that_systemd_understands(unit: Path) -> None:
    said = analyze("verify", str(unit)).splitlines()
    assert [line for line in said if "is not executable" not in line] == []  # /opt/ckanpackager is not on this machine


def test_what_systemd_does_not_understand_is_found(tmp_path: Path) -> None:
    (tmp_path / "x.service").write_text("[Service]\nExecStart=/bin/true\nProtectSistem=strict\n")
    assert "ProtectSistem" in analyze("verify", str(tmp_path / "x.service"))


@pytest.mark.parametrize("unit", SERVICES, ids=name)
def test_a_service_is_exposed_little(unit: Path) -> None:
    said = analyze("security", "--offline=true", "--no-pager", str(unit))
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+) ", said)
    assert found and float(found[1]) < MOST_EXPOSED, said


@pytest.mark.parametrize("unit", SERVICES, ids=name)
def test_a_service_may_make_directories_that_two_users_share(unit: Path) -> None:
    """With RestrictSUIDSGID no directory could be made setgid, as the spool and the store are."""
    settings = Unit(unit).settings
    assert "RestrictSUIDSGID" not in settings and settings["User"] == ["ckanpackager"]


@pytest.mark.parametrize("unit", SERVICES, ids=name)
def test_a_service_runs_a_command_that_exists(unit: Path) -> None:
    (start,) = Unit(unit).settings["ExecStart"]
    program, *words = start.split()
    assert program in ("/opt/ckanpackager/bin/ckanpackager", "/opt/ckanpackager/bin/celery")
    if program.endswith("/ckanpackager"):
        assert next(word for word in words if not word.startswith("-")) in COMMANDS


@pytest.mark.parametrize("timer", TIMERS, ids=name)
def test_a_timer_starts_a_service_that_ends(timer: Path) -> None:
    assert Unit(timer.with_suffix(".service")).settings["Type"] == ["oneshot"]
    (calendar,) = re.findall(r"^OnCalendar=(.+)$", timer.read_text(), re.MULTILINE)
    assert "Next elapse" in analyze("calendar", calendar)
    assert re.search(r"^WantedBy=timers\.target$", timer.read_text(), re.MULTILINE)


# --- what the restrictions leave


class Confined:
    """A workspace that stands for /var/lib/ckanpackager, and the program in it as a unit would run it."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.workspace = Workspace(directory, **settings)
        self.directory = directory
        for path in (directory, *directory.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        for path in (directory, self.workspace.spool.directory, *self.workspace.spool.directory.iterdir()):
            path.chmod(0o2770)  # as the README makes them

    def command(self, unit: str, *words: str) -> list[str]:
        return confined(Unit(SYSTEMD / unit), self.directory, words)

    def run(self, unit: str, *words: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-m", "ckanpackager", "--config", f"{STATE}/ckanpackager.yaml", *words]
        return self.python(unit, program)

    def python(self, unit: str, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        words = self.command(unit, *command)
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE)


@pytest.fixture
def service(open_directory: Path) -> Confined:
    return Confined(open_directory)


TRIES = """
import ctypes, json, mmap, os, socket
def tried(work):
    try:
        work()
    except (OSError, ValueError) as error:
        return type(error).__name__ if not isinstance(error, OSError) else os.strerror(error.errno)
    return "done"
libc = ctypes.CDLL(None, use_errno=True)
def call(*words):
    if libc.syscall(*words) < 0:
        raise OSError(ctypes.get_errno(), "")
print(json.dumps({
    "state": tried(lambda: open("here", "w")), "etc": tried(lambda: open("/usr/x", "w")),
    "packets": tried(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)),
    "internet": tried(lambda: socket.socket(socket.AF_INET6)),
    "code": tried(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)),
    "memory": tried(lambda: mmap.mmap(-1, 4096)),
    "mount": tried(lambda: call(165, 0, 0, 0, 0, 0)), "root": tried(lambda: os.setuid(0)),
    "namespace": tried(lambda: call(272, 0x20000)), "setgid": tried(lambda: (os.mkdir("d"), os.chmod("d", 0o2771))),
    "tmp": os.listdir("/tmp"),
}))
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of the system calls are those of x86-64")
@pytest.mark.parametrize("unit", sorted(path.name for path in SYSTEMD.glob("*.service")))
def test_the_restrictions_hold_and_leave_what_is_needed(service: Confined, unit: str) -> None:
    done = service.python(unit, [sys.executable, "-c", TRIES])
    assert json.loads(done.stdout) == {
        "state": "done",
        "etc": "Read-only file system",
        "packets": "Address family not supported by protocol",
        "internet": "done",
        "code": "Operation not permitted",
        "memory": "done",
        "mount": "Operation not permitted",
        "root": "Operation not permitted",
        "namespace": "Operation not permitted",
        "setgid": "done",
        "tmp": [],
    }, done.stderr


def test_a_worker_packs_every_format_within_its_restrictions(service: Confined) -> None:
    formats = ["csv", "tsv", "xlsx", "ndjson"]
    if is_there(lambda: needs_libraries("pyarrow", extra="judges")):
        formats.append("parquet")
    with small_ckan(3000) as api:
        ids = [service.workspace.queue(api, limit=3000, format=form) for form in formats]
        ids.append(service.workspace.queue(api, "package_dwc_archive"))
        done = service.run("ckanpackager@.service", "process")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [service.workspace.find(id)[0] for id in ids] == ["done"] * len(ids)
    assert len(service.workspace.mails) == len(ids) and service.workspace.totals()["requests"] == len(ids)
    for archive in service.workspace.archives:
        path = service.workspace.store.directory / archive
        with zipfile.ZipFile(path) as file:
            assert file.testzip() is None
        assert path.stat().st_mode & 0o004  # the web server, another user, reads it
    said = service.run("ckanpackager@.service", "check")
    assert "WRONG" not in said.stdout and said.returncode == 0, said.stdout + said.stderr


def test_a_zip_command_works_within_the_restrictions(service: Confined) -> None:
    program = needs("zip", debian="zip")
    service.workspace.configure(zip_command=f"{program} -q -j {{output}} {{input}}")
    with small_ckan() as api:
        id = service.workspace.queue(api)
        assert service.run("ckanpackager@.service", "process").returncode == 0
    assert service.workspace.find(id)[0] == "done"


def test_clean_refresh_and_metrics_work_within_their_restrictions(service: Confined) -> None:
    for unit, *words in (
        ("ckanpackager-clean.service", "-q", "clean"),
        ("ckanpackager-refresh.service", "-q", "refresh"),
        ("ckanpackager-metrics.service", "metrics", "-o", f"{STATE}/ckanpackager.prom"),
    ):
        done = service.run(unit, *words)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), words
    assert (
        'ckanpackager_last_run_timestamp_seconds{command="clean"}'
        in (service.directory / "ckanpackager.prom").read_text()
    )


def test_the_receiver_works_within_its_restrictions(open_directory: Path) -> None:
    service = Confined(open_directory, secret="a secret")
    words = ["-m", "ckanpackager", "--config", f"{STATE}/ckanpackager.yaml", "serve", "--port", "0"]
    command = service.command("ckanpackager-serve.service", sys.executable, *words)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr
        found = re.search(r"http://\S+", process.stderr.readline())
        assert found
        form = b"secret=a+secret&resource_id=r&email=ann@example.org&api_url=http://127.0.0.1:9/api/3/action/datastore_search"
        with urllib.request.urlopen(f"{found[0]}package_datastore", form, timeout=PATIENCE) as answer:
            assert json.load(answer)["success"]
        with urllib.request.urlopen(f"{found[0]}health", timeout=PATIENCE) as answer:
            assert answer.status == 200
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)
    assert service.workspace.where() == {"slow": 1}


def test_packer_and_dispatcher_work_within_their_restrictions(open_directory: Path, tmp_path: Path) -> None:
    need_celery()
    with redis_server(tmp_path) as redis, small_ckan(3000) as api:
        settings = {"engine": "celery", "celery_broker": redis.url, "secret": "a secret"}
        service = Confined(open_directory, **settings)
        ids = [service.workspace.queue(api, limit=3000, format=form) for form in ("csv", "xlsx")]
        unit = Unit(CONTRIB / "celery" / "ckanpackager-packer.service")
        words = ["-m", "celery", "-A", "ckanpackager.celery", "worker", "--queues", "fast,slow", "--concurrency", "1"]
        environ = os.environ | {"CKANPACKAGER_CONFIG": f"{STATE}/ckanpackager.yaml"}
        command = confined(unit, open_directory, [sys.executable, *words])
        with process(command, tmp_path / "packer.log", env=environ):
            done = service.run("ckanpackager@.service", "process")
        assert (done.returncode, done.stderr) == (0, ""), (tmp_path / "packer.log").read_text()
    assert [service.workspace.find(id)[0] for id in ids] == ["done"] * len(ids)
