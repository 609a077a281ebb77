"""The command line against a receiver somewhere else."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from support.workspace import PATIENCE, CommandResult, Workspace, until

from ckanpackager.cli import remote
from ckanpackager.demo.ckan_api import CkanApi
from ckanpackager.receiver.application import make_application

Run = Callable[..., CommandResult]
SECRET = "Sésame, öffne dich 🔑"


class Silent(WSGIRequestHandler):
    """Keeps what the receiver logs apart from what the command says."""

    def get_stderr(self) -> Any:
        return io.StringIO()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving(server: HTTPServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def there(tmp_path: Path) -> Workspace:
    """Where the receiver is: a workspace of its own, with nothing in common with the one that commands are given in."""
    directory = tmp_path / "there"
    directory.mkdir()
    return Workspace(directory, secret=SECRET)


@pytest.fixture
def host(there: Workspace) -> Iterator[str]:
    """The receiver, by host and port."""
    with serving(
        make_server("127.0.0.1", 0, make_application(there.settings), handler_class=Silent)  # type: ignore[arg-type]
    ) as host:
        yield host


def answering(status: int, body: bytes, **headers: str) -> Any:
    """A server that answers so to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return serving(HTTPServer(("127.0.0.1", 0), Handler))


def words(api: CkanApi, *more: str) -> list[str]:
    url = f"api_url:{api.api_url}"
    return ["package_datastore", url, "resource_id:r", "email:ann@example.org", "limit:10", *more]


def defaults(workspace: Workspace, **values: Any) -> str:
    file = workspace.directory / "defaults.json"
    file.write_text(json.dumps(values))
    return str(file)


# queue


def test_queue_posts_the_job_to_the_receiver(
    workspace: Workspace, there: Workspace, host: str, run: Run, api: CkanApi
) -> None:
    said = run("queue", "-D", "-s", SECRET, "-p", host, *words(api, 'filters:{"name": "n2"}', "format:tsv"))
    assert (said.code, said.err) == (0, "")
    _, job = there.find(said.out.strip())
    assert (job.request.format, job.request.filters) == ("tsv", {"name": "n2"})  # type: ignore[union-attr]
    assert (workspace.where(), there.where()) == ({}, {"fast": 1})


@pytest.mark.parametrize("named", ["{}", "http://{}", "http://{}/"])
@pytest.mark.parametrize("before", [True, False])
def test_the_options_may_stand_before_the_command_or_behind_it(
    named: str, before: bool, there: Workspace, host: str, run: Run, api: CkanApi
) -> None:
    options = ["-D", "-p", named.format(host), "-s", SECRET]
    said = run(*options, "queue", *words(api)) if before else run("queue", *options, *words(api))
    assert said.code == 0
    assert there.find(said.out.strip())[0] == "fast"


def test_options_behind_the_command_go_before_those_in_front_of_it(
    there: Workspace, host: str, run: Run, api: CkanApi
) -> None:
    said = run("-D", "-p", "nobody.invalid", "-s", "no", "queue", "-p", host, "-s", SECRET, *words(api))
    assert said.code == 0
    assert there.where() == {"fast": 1}


def test_a_receiver_elsewhere_needs_no_configuration_here(
    workspace: Workspace, there: Workspace, host: str, run: Run, api: CkanApi
) -> None:
    workspace.file.unlink()
    assert run("queue", "-D", "-s", SECRET, "-p", host, *words(api)).code == 0
    assert run("status", "-D", "-s", SECRET, "-p", host).code == 0
    assert there.where() == {"fast": 1}


@pytest.mark.parametrize(
    ("in_file", "option", "word", "accepted"),
    [
        (SECRET, None, None, True),
        ("wrong", SECRET, None, True),
        ("wrong", "wrong, too", SECRET, True),
        (None, SECRET, None, True),
        (None, None, SECRET, True),
        (SECRET, "wrong", None, False),
        (SECRET, SECRET, "wrong", False),
        (None, None, None, False),
    ],
)
def test_the_secret_is_the_word_s_else_the_option_s_else_the_defaults(
    in_file: str | None,
    option: str | None,
    word: str | None,
    accepted: bool,
    workspace: Workspace,
    there: Workspace,
    host: str,
    run: Run,
    api: CkanApi,
) -> None:
    file = defaults(workspace, api_url=api.api_url, **({"secret": in_file} if in_file else {}))
    options = ["-d", file, "-p", host, *(["-s", option] if option else [])]
    more = [f"secret:{word}"] if word else []
    said = run("queue", *options, "package_datastore", "resource_id:r", "email:ann@example.org", *more)
    if accepted:
        assert (said.code, said.err) == (0, "")
        assert there.where() == {"slow": 1}
    else:
        message = f"ckanpackager: http://{host}/package_datastore: the secret is wrong or missing\n"
        assert said == CommandResult(1, "", message)
        assert there.where() == {}


def test_the_defaults_fill_what_the_words_leave_out_and_no_more(
    workspace: Workspace, there: Workspace, host: str, run: Run, api: CkanApi
) -> None:
    file = defaults(
        workspace, api_url=api.api_url, secret=SECRET, email="bob@example.org", format="tsv", dataset_id="x"
    )
    said = run("-d", file, "-p", host, "queue", "package_datastore", "resource_id:r", "format:ndjson")
    request: Any = there.find(said.out.strip())[1].request
    assert (request.api_url, request.email, request.format) == (api.api_url, "bob@example.org", "ndjson")
    said = run("-d", file, "-D", "-s", SECRET, "-p", host, "queue", "package_datastore", "resource_id:r")
    assert said.code == 2
    assert "api_url: missing" in said.err and "email: missing" in said.err


def test_queue_wait_follows_a_job_that_is_elsewhere_to_its_link(
    workspace: Workspace, there: Workspace, host: str, api: CkanApi
) -> None:
    waiting = workspace.start("queue", "-D", "--wait", "-p", host, *words(api, f"secret:{SECRET}"))
    until(lambda: there.spool.names("fast"))
    there.work()
    out, err = waiting.communicate(timeout=PATIENCE)
    id, link = out.splitlines()
    assert (waiting.returncode, err) == (0, "")
    assert there.find(id)[0] == "done"
    assert link == f"https://data.example.org/dl/{there.archives[0]}"


def test_queue_wait_says_once_when_no_worker_runs_elsewhere(
    there: Workspace, host: str, api: CkanApi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(remote, "CRON", 0.0)
    monkeypatch.setattr(remote, "WORKER_PATIENCE", 0.1)
    monkeypatch.setattr(remote, "POLL", 0.05)
    id, ended = there.queue(api), list[int]()
    given = remote.Options(host=host, no_defaults=True, secret=SECRET)
    following = threading.Thread(target=lambda: ended.append(remote.follow(given, id, quiet=False)))
    following.start()
    said = ""

    def is_said() -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return "no worker is running; start `ckanpackager process`" in said

    until(is_said)
    there.work()
    following.join(PATIENCE)
    assert ended == [0] and (said + capsys.readouterr().err).count("no worker is running") == 1


def test_queue_wait_tells_why_a_job_failed_elsewhere(
    workspace: Workspace, there: Workspace, host: str, api: CkanApi
) -> None:
    waiting = workspace.start("-q", "queue", "-D", "--wait", "-s", SECRET, "-p", host, *words(api, "sort:nofield"))
    until(lambda: there.spool.names("fast"))
    there.work()
    out, err = waiting.communicate(timeout=PATIENCE)
    assert (waiting.returncode, out) == (1, "")
    assert err.count("\n") == 1
    assert 'invalid value "nofield"' in err


# status, stats, clear-cache


def served(there: Workspace, api: CkanApi) -> str:
    id = there.queue(api)
    there.work()
    return id


def test_status_of_a_receiver_elsewhere(there: Workspace, host: str, run: Run, api: CkanApi) -> None:
    served(there, api)
    there.queue(api)
    said = run("status", "-D", "-s", SECRET, "-p", host)
    assert (said.code, said.err) == (0, "")
    shown = dict(line.split() for line in said.out.splitlines() if len(line.split()) == 2)
    assert {"fast": "1", "slow": "0", "claimed": "0", "failed": "0", "done": "1"}.items() <= shown.items()
    assert "1 requests served\n" in said.out
    assert "the oldest waiting job arrived 0 s ago\n" in said.out
    assert "no worker is active\n" in said.out


def test_a_job_is_told_the_same_here_and_from_elsewhere(there: Workspace, host: str, run: Run, api: CkanApi) -> None:
    for id in (served(there, api), there.queue(api), there.queue(api, sort="nofield")):
        said = run("status", "-D", "-s", SECRET, "-p", host, id)
        assert said == CommandResult(0, there.run("status", id).stdout, "")
        assert id in said.out


def test_a_job_that_is_unknown_elsewhere_is_one_line(host: str, run: Run) -> None:
    said = run("status", "-D", "-s", SECRET, "-p", host, "no-such-job")
    assert said == CommandResult(2, "", f"ckanpackager: http://{host}/status: job: there is no such job\n")


def test_stats_of_a_receiver_elsewhere(there: Workspace, host: str, run: Run, api: CkanApi) -> None:
    served(there, api)
    there.queue(api, resource_id="none")
    there.work()
    options = ["-D", "-s", SECRET, "-p", host, "--format", "json"]
    totals = json.loads(run("stats", *options).out)["totals"]
    assert totals["*"] == {"emails": 1, "requests": 1, "errors": 1}
    assert set(json.loads(run("stats", *options, "-r", "r").out)["totals"]) == {"r"}
    requests = json.loads(run("stats", "requests", *options, "-e", "ann@example.org").out)["requests"]
    assert [(row["resource_id"], row["count"]) for row in requests] == [("r", 3)]
    assert json.loads(run("stats", "requests", *options, "-o", "1").out)["requests"] == []
    (error,) = json.loads(run("stats", "errors", *options, "-l", "1").out)["errors"]
    assert (error["resource_id"], "was not found" in error["message"]) == ("none", True)
    assert run("stats", "-x", *options).code == 1
    assert run("stats", "-x", "-r", "r", *options).code == 0


@pytest.mark.parametrize("command", ["clear-cache", "cc"])
def test_clear_cache_of_a_receiver_elsewhere(command: str, there: Workspace, host: str, run: Run, api: CkanApi) -> None:
    served(there, api)
    assert len(there.archives) == 1
    assert run(command, "-D", "-s", SECRET, "-p", host) == CommandResult(0, "1 archives removed\n", "")
    assert there.archives == []


def test_quiet_prints_nothing(there: Workspace, host: str, run: Run, api: CkanApi) -> None:
    options = ["-q", "-D", "-s", SECRET, "-p", host]
    for command in (["queue", *words(api)], ["status"], ["stats"], ["clear-cache"]):
        assert run(*options, *command) == CommandResult(0, "", "")
    assert there.where() == {"fast": 1}


# What goes wrong


@pytest.mark.parametrize("command", [["status"], ["stats"], ["stats", "errors"], ["clear-cache"]])
def test_a_wrong_secret_is_one_line_and_exit_code_1(command: list[str], host: str, run: Run) -> None:
    said = run("-D", "-s", "no", "-p", host, *command)
    assert (said.code, said.out) == (1, "")
    assert said.err.endswith(": the secret is wrong or missing\n")
    assert said.err.count("\n") == 1


def test_a_parameter_that_the_receiver_refuses_is_exit_code_2(
    there: Workspace, host: str, run: Run, api: CkanApi
) -> None:
    said = run("queue", "-D", "-s", SECRET, "-p", host, *words(api, "format:pdf"))
    assert (said.code, said.out) == (2, "")
    assert "format: " in said.err and "csv or tsv or xlsx or ndjson" in said.err
    assert there.where() == {}


def test_an_unknown_task_is_exit_code_2_and_not_asked_for(host: str, run: Run, api: CkanApi) -> None:
    said = run("queue", "-D", "-s", SECRET, "-p", host, "package_datastor", "resource_id:r")
    assert (said.code, said.out) == (2, "")
    assert "did you mean package_datastore?" in said.err


def test_a_receiver_that_does_not_run_is_one_line(run: Run) -> None:
    with answering(200, b"") as host:
        pass
    said = run("status", "-D", "-s", SECRET, "-p", host)
    wanted = f"ckanpackager: http://{host}/status: no answer (ConnectionError); is the receiver running there?\n"
    assert said == CommandResult(1, "", wanted)


@pytest.mark.parametrize("command", [["status"], ["status", "x"], ["stats"], ["clear-cache"], ["queue"]])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>Welcome</html>"),
        (404, b"<html>Not found</html>"),
        (200, b"\xff\xfe"),
        (200, b"[]"),
        (200, b'{"help": "", "result": {}}'),
        (502, b'{"detail": "Bad gateway"}'),
    ],
)
def test_what_is_no_receiver_is_one_line(command: list[str], status: int, body: bytes, run: Run, api: CkanApi) -> None:
    with answering(status, body) as host:
        said = run("-D", "-s", SECRET, "-p", host, *command, *(words(api) if command == ["queue"] else []))
    assert (said.code, said.out) == (1, "")
    assert said.err.count("\n") == 1
    assert f"answered {status}, but not as a receiver does; is it one?" in said.err


@pytest.mark.parametrize("command", [["stats"], ["stats", "requests"], ["status", "x"]])
def test_an_answer_without_what_was_asked_for_is_one_line(command: list[str], run: Run) -> None:
    with answering(200, b'{"success": true}') as host:
        said = run("-D", "-s", SECRET, "-p", host, *command)
    assert (said.code, said.out) == (1, "")
    assert "not as a receiver does" in said.err


def test_the_original_s_receiver_which_tells_less_is_understood(run: Run, api: CkanApi) -> None:
    with answering(200, b'{"status": "success", "message": "Your request has been accepted"}') as host:
        options = ["-D", "-s", SECRET, "-p", host]
        assert run(*options, "clear-cache") == CommandResult(0, "all archives removed\n", "")
        assert run(*options, "queue", *words(api)) == CommandResult(0, "Your request has been accepted\n", "")


def test_a_redirect_is_not_followed_with_the_secret_but_named(run: Run) -> None:
    with answering(302, b"", Location="https://elsewhere.example.org/status") as host:
        said = run("status", "-D", "-s", SECRET, "-p", host)
    assert (said.code, said.out) == (1, "")
    assert "redirects to https://elsewhere.example.org/status; name that host instead" in said.err
