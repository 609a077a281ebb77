"""Answers made to take memory: a worker takes no more than 150 MB for any of them."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from support.workspace import Workspace, environment, small_ckan

from ckanpackager.demo.ckan_api import Handler

MEGABYTES = 150
WORKER = """
import atexit, re, sys
from ckanpackager.http_client import client
client.TRIES = 1
def report():
    with open("/proc/self/status") as status:
        print(int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read())[1]) // 1024)
atexit.register(report)
from ckanpackager.cli.main import main
main()
"""
START = b'{"success": true, "result": {"fields": [{"id": "_id", "type": "int"}], "total": 1, "records": '
NEXT_PAGE = b'{"success": true, "result": {"next_page": {"a": ['
ANSWERS: dict[str, Callable[[], bytes]] = {
    "blanks": lambda: b" " * 300_000_000,
    "a long refusal": lambda: b" " * 300_000_000,
    "many empty records": lambda: START + b"[" + b"[]," * 7_000_000 + b"[]]}}",
    "many values": lambda: NEXT_PAGE + b"[]," * 7_000_000 + b"[]]}}}",
    "many numbers": lambda: NEXT_PAGE + b"1.5," * 5_000_000 + b"1.5]}}}",
    "a long text": lambda: START + b'"' + b"x" * 300_000_000,
    "gzip in gzip": lambda: gzip.compress(b" " * 300_000_000, 1),
}


@pytest.mark.parametrize("format", ["csv", "ndjson"])
@pytest.mark.parametrize("kind", ANSWERS)
def test_no_answer_takes_more_memory_than_a_worker_may_have(workspace: Workspace, kind: str, format: str) -> None:
    if kind == "a long text" and format == "csv":
        pytest.skip("a cell of 100 MB is allowed, and takes its memory")

    body = gzip.compress(ANSWERS[kind](), 1)

    def explode(handler: Handler, action: str, params: dict[str, Any], nth: int) -> bool:
        encoding = "gzip, gzip" if kind == "gzip in gzip" else "gzip"
        handler.reply(409 if kind == "a long refusal" else 200, body, Content_Encoding=encoding)
        return True

    with small_ckan() as api:
        api.fault = explode
        id = workspace.queue(api, format=format)
        command = [sys.executable, "-c", WORKER, "--config", str(workspace.file), "process"]
        options: Any = {"capture_output": True, "text": True, "timeout": 100}
        done = subprocess.run(command, env=environment({}), cwd=workspace.directory, check=False, **options)
    assert done.stderr.count("Traceback") == 0
    assert int(done.stdout.split()[-1]) <= MEGABYTES
    _, job = workspace.find(id)
    assert job.attempts[-1].error and "internal error" not in job.attempts[-1].error, json.dumps(str(job.attempts))
