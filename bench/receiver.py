"""Measure the receiver: what a CGI request costs to start, and what `ckanpackager serve` takes in.

    python -m bench.receiver [REQUESTS]        default: 10000

1. The median of a whole CGI process that spools a request, beside that of a bare interpreter (`python -c pass`);
   of a virtual environment as an installation has it, with bytecode: an editable one slows bare interpreters, too.
2. Requests a second, and the median and 99th percentile of their times, of POSTs to /package_datastore over 16
   keep-alive connections, every job fsynced; then whether every 200 has its job on disk, and every job its 200.

Trust the ratios, not the digits.
"""

import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

from ckanpackager.jobs.job import Job
from ckanpackager.jobs.parameters import request_from
from ckanpackager.spool.queue import Spool

CONFIGURATION = """\
secret: of the bench
download_url: https://data.example.org/downloads
"""
PARAMETERS = {
    "api_url": "https://ckan.example.org/api/3/action/datastore_search",
    "resource_id": "05ff2255-c38a-40c9-b657-4ccb55ab2feb",
    "email": "bench@example.org",
    "limit": "10",
}
BODY = urlencode({"secret": "of the bench", **PARAMETERS}).encode()
CGI = Path(__file__).parents[1] / "contrib/cgi/ckanpackager.cgi"
STARTS = 50
CONNECTIONS = 16
ALONE = 1000


def main(requests: int) -> None:
    with tempfile.TemporaryDirectory(prefix="ckanpackager-bench-", dir=Path.cwd()) as name:  # /tmp may be in memory
        directory = Path(name)
        (directory / "ckanpackager.yaml").write_text(CONFIGURATION)
        measure_cgi(directory)
        measure_serve(directory, requests)


def measure_cgi(directory: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | {
        "CKANPACKAGER_CONFIG": str(directory / "ckanpackager.yaml"),
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/package_datastore",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(BODY)),
        "PYTHONPYCACHEPREFIX": str(directory / "bytecode"),
    }
    python = installed(directory / "venv")

    def bare() -> None:
        subprocess.run([python, "-c", "pass"], env=environ, input=BODY, capture_output=True, check=True)

    def cgi() -> None:
        run = subprocess.run([python, str(CGI)], env=environ, input=BODY, capture_output=True, check=True)
        assert run.stdout.startswith(b"Status: 200 "), run

    cgi()  # writes the bytecode
    bare_times, cgi_times = [], []
    for _ in range(STARTS):  # in turn, so that a busy moment hits both
        bare_times.append(timed(bare))
        cgi_times.append(timed(cgi))
    floor, whole = statistics.median(bare_times), statistics.median(cgi_times)
    print(f"CGI request {whole * 1e3:.1f} ms, bare interpreter {floor * 1e3:.1f} ms: {whole / floor:.2f} times")


def installed(directory: Path) -> str:
    """The interpreter of a virtual environment that finds this package and the libraries as if they were in it."""
    venv.create(directory)
    (folder,) = directory.glob("lib/python*/site-packages")
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    (folder / "bench.pth").write_text("\n".join([*libraries, str(CGI.parents[2])]))
    return str(directory / "bin/python")


def timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def measure_serve(directory: Path, requests: int) -> None:
    spool = Spool(directory / "spool")
    spool.prepare()
    request = request_from("package_datastore", PARAMETERS)
    alone = timed(
        lambda: [spool.enqueue(Job(request=request, created=time.time(), queue="slow")) for _ in range(ALONE)]
    )
    print(f"spool.put alone, one after the other: {ALONE / alone:,.0f} a second")
    before = set(spool.names("fast"))
    command = [sys.executable, "-m", "ckanpackager", "--config", str(directory / "ckanpackager.yaml")]
    with subprocess.Popen([*command, "serve", "--port", "0"], stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr
        try:
            found = re.search(r"http://(.+):(\d+)/", server.stderr.readline())
            assert found
            threading.Thread(target=server.stderr.read, daemon=True).start()  # its log; a full pipe would stop it
            clients = [Client((found[1], int(found[2])), requests // CONNECTIONS) for _ in range(CONNECTIONS)]
            wall = timed(lambda: run(clients))
        finally:
            server.terminate()
    times = sorted(time for client in clients for time in client.times)
    answered = {f"{id}.json" for client in clients for id in client.jobs}
    spooled = set(spool.names("fast")) - before
    print(f"{len(times):,} POSTs over {CONNECTIONS} connections in {wall:.1f} s: {len(times) / wall:,.0f} a second")
    print(f"p50 {times[len(times) // 2] * 1e3:.1f} ms, p99 {times[len(times) * 99 // 100] * 1e3:.1f} ms")
    print(f"200s without their job: {len(answered - spooled)}, jobs without their 200: {len(spooled - answered)}")
    if answered != spooled or len(answered) != len(times):
        raise SystemExit(1)


def run(clients: list["Client"]) -> None:
    for client in clients:
        client.start()
    for client in clients:
        client.join()


class Client(threading.Thread):
    """Sends requests over one connection, each after the answer to the one before; bare, to leave the CPU to others."""

    REQUEST = (
        b"POST /package_datastore HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
    )
    ANSWER = re.compile(rb'HTTP/1\.1 200 OK\r\n.*\r\n\r\n.*"job":"([^"]+)".*\}', re.DOTALL)

    def __init__(self, address: tuple[str, int], count: int) -> None:
        super().__init__()
        self.address, self.count = address, count
        self.times: list[float] = []
        self.jobs: list[str] = []

    def run(self) -> None:
        with socket.create_connection(self.address, timeout=60) as connection:
            for _ in range(self.count):
                began = time.perf_counter()
                connection.sendall(self.REQUEST)
                answer = b""
                while not answer.endswith(b"}"):
                    received = connection.recv(65536)
                    if not received:
                        raise SystemExit(f"the server closed the connection after {answer!r}")
                    answer += received
                self.times.append(time.perf_counter() - began)
                found = self.ANSWER.fullmatch(answer)
                if not found:
                    raise SystemExit(f"refused: {answer!r}")
                self.jobs.append(found[1].decode())


if __name__ == "__main__":
    main(*[int(word) for word in sys.argv[1:]] or [10_000])
