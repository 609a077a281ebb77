"""`ckanpackager check`: addresses that are fetched from, directories and their owners, clocks, JSON, Nagios."""

import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.servers import running
from support.workspace import CommandResult, Workspace, as_user, small_ckan
from support.wsgi_client import serving

from ckanpackager.maintenance import check
from ckanpackager.maintenance.check_directories import directories
from ckanpackager.maintenance.finding import Finding
from ckanpackager.spool.worker_slots import Worker

Run = Callable[..., CommandResult]
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who may give files to other users")


def told(run: Run, about: str, *words: str) -> list[str]:
    return [line for line in run("check", *words).out.splitlines() if line[6:].startswith(f"{about}:")]


@contextmanager
def answering(respond: Callable[[str], tuple[int, bytes]]) -> Iterator[str]:
    """A web server; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = respond(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url


# --- addresses


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ((404, b""), r"WRONG download_url: http://\S+/check\.zip answered 404 \S.*; does the web server serve store_"),
        ((403, b""), r"WRONG download_url: http://\S+ answered 403 "),
        ((503, b""), r"WRONG download_url: http://\S+ answered 503 "),
        ((200, b"a page of another server"), r"WRONG download_url: http://\S+: something else than the archive is"),
        ((200, b"x" * 10**6), r"WRONG download_url: http://\S+: something else than the archive is there"),
    ],
)
def test_links_that_lead_elsewhere_are_found_wrong(
    workspace: Workspace, run: Run, answer: tuple[int, bytes], line: str
) -> None:
    assert workspace.store
    with answering(lambda _: answer) as address:
        workspace.configure(download_url=f"{address}/archives")
        (said,) = told(run, "download_url")
    assert re.match(line, said)
    assert list(workspace.store.directory.iterdir()) == []


def test_an_address_that_this_machine_cannot_reach_is_a_warning(workspace: Workspace, run: Run) -> None:
    assert workspace.store
    workspace.configure(download_url="http://127.0.0.1:9/archives", public_url="http://127.0.0.1:9")
    for key in ("download_url", "public_url"):
        (said,) = told(run, key)
        assert said.startswith(f"warn  {key}: http://127.0.0.1:9/") and "Connection refused" in said
    assert run("check").code == 0 and run("-q", "check").out == ""
    assert list(workspace.store.directory.iterdir()) == []


@pytest.mark.parametrize("body", [b"[]", b"{}", b"<html>", b"\xff", b'{"success": false}'])
def test_a_public_url_that_leads_to_another_program_is_wrong(workspace: Workspace, run: Run, body: bytes) -> None:
    with answering(lambda _: (200, body)) as address:
        workspace.configure(public_url=address)
        assert told(run, "public_url") == [
            f"WRONG public_url: {address}/health: something else than the receiver answers there"
        ]


def test_a_receiver_that_cannot_accept_requests_is_found_wrong(workspace: Workspace, run: Run) -> None:
    workspace.configure(secret="a secret")
    with serving(workspace) as address:
        workspace.configure(secret="a secret", public_url=address)
        (workspace.spool.directory / "tmp").rmdir()
        (workspace.spool.directory / "tmp").write_text("no directory")
        (said,) = told(run, "public_url") or [run("check").err]
        (workspace.spool.directory / "tmp").unlink()
    assert "503" in said or "Not a directory" in said or "File exists" in said


def test_an_answer_without_end_is_cut_off(workspace: Workspace, run: Run) -> None:
    asked = []

    def respond(path: str) -> tuple[int, bytes]:
        asked.append(path)
        return 200, b"y" * 5_000_000

    assert workspace.store
    with answering(respond) as address:
        workspace.configure(download_url=address)
        assert "something else" in told(run, "download_url")[0]
    assert len(asked) == 1 and re.fullmatch(r"/[0-9a-f]{32}-[0-9a-f]{32}/check\.zip", asked[0])


# --- directories


def test_check_makes_nothing_unless_it_is_told_to(workspace: Workspace, run: Run) -> None:
    workspace.configure(store_directory="a/store", temp_directory="temporary")
    said = run("check")
    assert f"ok    store_directory: {workspace.directory}/a/store is not there yet; the first job makes it" in said.out
    assert not (workspace.directory / "a").exists() and not (workspace.directory / "temporary").exists()


def test_fix_makes_what_is_missing_and_says_so(workspace: Workspace, run: Run) -> None:
    workspace.configure(store_directory="a/store", temp_directory="temporary")
    said = run("check", "--fix").out
    assert re.search(
        rf"(ok   |warn ) store_directory: made {workspace.directory}/a/store, of user \S+ with mode 711", said
    )
    assert "temp_directory: made " in said
    modes = {name: stat.S_IMODE((workspace.directory / name).stat().st_mode) for name in ("a", "a/store", "temporary")}
    assert modes == {"a": 0o711, "a/store": 0o711, "temporary": 0o700}
    assert "made" not in run("check", "--fix").out


@ROOT_ONLY
def test_what_root_makes_belongs_to_the_owner_of_the_directory_above(open_directory: Path) -> None:
    workspace = Workspace(open_directory, spool_directory="data/spool", store_directory="data/store")
    (open_directory / "data").mkdir()
    for mode, spool, store in ((0o755, 0o700, 0o711), (0o2770, 0o2770, 0o2771)):
        os.chown(open_directory / "data", 65534, 65534)
        os.chmod(open_directory / "data", mode)
        findings = [found for found in directories(workspace.settings, fix=False) if "data/" in found.words]
        assert {found.level for found in findings} == {"error"}
        assert "check --fix` makes it for the owner of" in findings[0].words
        assert [found.level for found in directories(workspace.settings, fix=True) if ": made /" in found.words] == [
            "ok"
        ] * 2
        for name, expected in (("spool", spool), ("store", store)):
            state = (open_directory / "data" / name).stat()
            assert (state.st_uid, state.st_gid, stat.S_IMODE(state.st_mode)) == (65534, 65534, expected)
            (open_directory / "data" / name).rmdir() if name == "store" else None
        for path in sorted((open_directory / "data").rglob("*"), reverse=True):
            path.rmdir()


@ROOT_ONLY
def test_a_database_that_is_missing_is_not_made_for_root(open_directory: Path) -> None:
    workspace = Workspace(open_directory, stats_db="sqlite:///data/stats.db")
    (open_directory / "data").mkdir()
    os.chown(open_directory / "data", 65534, 65534)

    def about() -> list[Finding]:
        return [found for found in check.run(workspace.settings, None) if found.about == "stats_db"]

    assert [found.level for found in about()] == ["error"] and not list((open_directory / "data").iterdir())
    fixed = [found.words for found in check.run(workspace.settings, None, fix=True) if found.about == "stats_db"]
    assert fixed == [f"stats_db: made {open_directory}/data/stats.db, of user nobody"]
    assert {path.stat().st_uid for path in (open_directory / "data").iterdir()} == {65534}
    assert about() == []


@ROOT_ONLY
def test_fix_gives_the_spool_s_files_to_its_owner_and_follows_no_link(open_directory: Path) -> None:
    workspace = Workspace(open_directory)
    id = workspace.queue("http://127.0.0.1:9/api/3/action/datastore_search")
    file = workspace.spool.files.path("fast", id)
    outside = open_directory / "outside"
    outside.mkdir()
    for name in ("target", "linked"):
        (outside / name).write_text("not of the spool")
        (outside / name).chmod(0o644)
    os.link(outside / "linked", workspace.spool.directory / "fast" / "second-name")
    (workspace.spool.directory / "fast" / "link").symlink_to(outside / "target")
    (workspace.spool.directory / "alerts").rmdir()
    (workspace.spool.directory / "alerts").symlink_to(outside)
    for path in (open_directory, workspace.spool.directory):
        os.chown(path, 65534, 65534)
    (workspace.spool.directory / "slow").chmod(0o755)
    said = [found.words for found in directories(workspace.settings, fix=True)]
    assert any(re.search(r"gave \d+ files and folders in", words) for words in said)
    assert (file.stat().st_uid, stat.S_IMODE(file.stat().st_mode)) == (65534, 0o600)
    assert stat.S_IMODE((workspace.spool.directory / "slow").stat().st_mode) == 0o700
    for name in ("target", "linked"):
        state = (outside / name).stat()
        assert (state.st_uid, stat.S_IMODE(state.st_mode)) == (0, 0o644)
    assert outside.stat().st_uid == 0
    assert as_user(65534, lambda: "nothing barred" if os.access(file, os.R_OK | os.W_OK) else "") == "nothing barred"


@ROOT_ONLY
@pytest.mark.parametrize("fix", [False, True])
def test_a_spool_that_this_user_may_not_enter_or_list_is_told_of(open_directory: Path, fix: bool) -> None:
    workspace = Workspace(open_directory)
    workspace.spool.prepare()
    assert workspace.store
    settings = workspace.settings

    def wrong() -> object:
        return [found.words for found in directories(settings, fix=fix) if found.level == "error"]

    wrong()  # imports what another user may not read
    open_directory.chmod(0o700)
    assert re.search(
        r"spool_directory: \S+ (cannot be made|is missing or out of reach: this user may not)", as_user(65534, wrong)
    )
    open_directory.chmod(0o755)
    assert re.search(r"spool_directory: spool \S+: Permission denied; make sure", as_user(65534, wrong))
    os.chown(workspace.spool.directory, 65534, 65534)
    for folder in workspace.spool.directory.iterdir():
        os.chown(folder, 65534, 65534)
    workspace.spool.directory.chmod(0o300)
    assert ("cannot be changed: " in as_user(65534, wrong)) == fix


def test_fix_says_that_a_spool_behind_a_link_is_not_mended(workspace: Workspace, run: Run) -> None:
    spool, real = workspace.spool.directory, workspace.directory / "real"
    workspace.spool.prepare()
    spool.rename(real)
    spool.symlink_to(real)
    (real / "slow").chmod(0o755)
    said = run("check", "--fix")
    assert f"spool_directory: {spool} is a link, which is not followed here; name {real} instead" in said.out
    assert "internal error" not in said.err and stat.S_IMODE((real / "slow").stat().st_mode) == 0o755


def test_fix_never_opens_what_is_closed(workspace: Workspace) -> None:
    id = workspace.queue("http://127.0.0.1:9/api/3/action/datastore_search")
    workspace.spool.directory.chmod(0o755)
    (workspace.directory / "stats.db").touch(0o600)
    before = {path: stat.S_IMODE(path.lstat().st_mode) for path in workspace.directory.rglob("*")}
    (hidden,) = [found for found in directories(workspace.settings, fix=True) if "took the rights" in found.words]
    assert hidden.level == "ok"
    after = {path: stat.S_IMODE(path.lstat().st_mode) for path in before}
    assert {path for path in before if after[path] & ~before[path]} == set()
    assert after[workspace.spool.directory] == 0o750 and after[workspace.spool.files.path("fast", id)] == 0o600


def test_open_doors_are_told_of(workspace: Workspace, run: Run) -> None:
    assert workspace.store
    workspace.configure(secret="a secret")
    workspace.queue("http://127.0.0.1:9/api/3/action/datastore_search")
    with workspace.statistics():
        pass
    workspace.spool.directory.chmod(0o755)
    (workspace.directory / "store").chmod(0o777)
    (workspace.directory / "stats.db").chmod(0o644)
    said = run("check")
    assert said.code == 0
    lines = [line for line in said.out.splitlines() if line.startswith("warn ") and "every user may" in line]
    assert [line.split(":")[0][6:] for line in lines] == [
        "spool_directory",
        "store_directory",
        "stats_db",
        str(workspace.file),
    ]


@ROOT_ONLY
def test_a_spool_and_a_store_of_two_users_are_told_of(workspace: Workspace) -> None:
    os.chown(workspace.store.directory, 65534, 65534)
    (found,) = [found for found in directories(workspace.settings, fix=False) if found.about == "owners"]
    assert found.level == "warning" and f"{workspace.directory}/store to nobody" in found.words


def test_little_room_is_a_warning(workspace: Workspace, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs

    def small(path: Any) -> Any:
        values = list(real(path))
        values[4] = 100  # f_bavail
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "statvfs", small)
    (said,) = told(run, "spool_directory")
    assert re.match(r"warn  spool_directory: .*: can be written, 0\.0 GB free, 0% of the file system; make room", said)


# --- clocks, clean


def test_the_clock_of_another_host_that_differs_is_told_of(workspace: Workspace, run: Run) -> None:
    slot = workspace.spool.acquire_slot("fast", 1)
    assert slot
    slot.write_progress(Worker(worker="far-away:1", job="j", since=1.0))
    assert told(run, "clock") == []
    path = workspace.spool.directory / "workers" / "fast-1"
    os.utime(path, (time.time() - 90, time.time() - 90))  # as a host writes whose clock is ahead by so much
    (said,) = told(run, "clock")
    assert re.match(r"warn  clock: that of far-away:1 is (89|90|91) s ahead of that of ", said)
    slot.close()
    assert told(run, "clock") == []


def test_an_archive_that_should_have_been_removed_is_told_of(workspace: Workspace, run: Run) -> None:
    with small_ckan() as api:
        workspace.queue(api)
        workspace.work()
    assert told(run, "keep_archives") == []
    for path in workspace.store.directory.glob("*/*.zip"):
        os.utime(path, (time.time() - 10 * 86400, time.time() - 10 * 86400))
    (said,) = told(run, "keep_archives")
    assert "an archive that expired 3 days ago is still there; does cron" in said


# --- formats


def test_the_findings_as_json(workspace: Workspace, run: Run) -> None:
    workspace.configure(stats_db="sqlite:///missing/stats.db")
    said = run("check", "--format", "json")
    assert (said.code, said.err) == (1, "")
    found = json.loads(said.out)
    assert found["level"] == "error"
    assert {tuple(each) for each in found["findings"]} == {("level", "about", "message")}
    (broken,) = [each for each in found["findings"] if each["level"] == "error"]
    assert broken["about"] == "statistics" and "is it there, may this user write to it" in broken["message"]
    workspace.configure()
    said = run("check", "--format", "json")
    assert (said.code, json.loads(said.out)["level"]) == (0, "warning")  # the example's download_url


def test_as_a_nagios_plugin(workspace: Workspace, run: Run) -> None:
    assert workspace.store
    workspace.configure(download_url="http://127.0.0.1:9")
    assert run("check", "--nagios").code == 1
    with serving_store(workspace) as address:
        workspace.configure(download_url=address)
        said = run("check", "--nagios")
        assert said.code == 0 and re.fullmatch(
            r"CKANPACKAGER OK - \d+ checks \|queue=0 running=0 failed=0 overdue=0s store=\d+B free=\d+B\n", said.out
        )
    workspace.configure(stats_db="sqlite:///missing/stats.db")
    said = run("check", "--nagios")
    assert said.code == 2 and said.out.startswith("CKANPACKAGER CRITICAL - statistics: ") and said.out.count("\n") == 1
    workspace.file.write_text("no_such_key: 1\n")
    said = run("check", "--nagios")
    assert said.code == 3 and said.out.startswith("CKANPACKAGER UNKNOWN - ") and "no_such_key" in said.out
    assert run("check", "--nagios", "--fix").code == 2


@contextmanager
def serving_store(workspace: Workspace) -> Iterator[str]:
    def respond(path: str) -> tuple[int, bytes]:
        return 200, (workspace.store.directory / path[1:]).read_bytes()

    with answering(respond) as address:
        yield address


def test_bounds_of_disk_and_store_are_told_of_before_they_are_reached(workspace: Workspace, run: Run) -> None:
    free = os.statvfs(workspace.store.directory).f_bavail * os.statvfs(workspace.directory).f_frsize
    (workspace.store.directory / "x.zip").write_bytes(b"x" * 950)
    for min_free, most, lines in (
        (free // 4, 2000, ["ok   "]),
        (int(free * 0.7), 1000, ["warn ", "warn "]),
        (free * 2, 900, ["WRONG", "WRONG"]),
    ):
        workspace.configure(min_free_space=min_free, store_max_size=most)
        said = told(run, "store_directory") + told(run, "store_max_size")
        assert [line[:5] for line in said] == lines, said
    assert "less than min_free_space: jobs wait until there is room" in said[0]
    assert re.search(r"the store holds \S+ \S+ of 900 bytes: jobs wait; `ckanpackager clean` removes", said[1])


@ROOT_ONLY
def test_a_log_that_root_begins_belongs_to_the_owner_of_its_directory(open_directory: Path) -> None:
    workspace = Workspace(open_directory, log="log/events.log")
    (open_directory / "log").mkdir()
    os.chown(open_directory / "log", 65534, 65534)
    assert workspace.run("check").returncode == 0
    state = (open_directory / "log" / "events.log").stat()
    assert (state.st_uid, stat.S_IMODE(state.st_mode)) == (65534, 0o640)


@ROOT_ONLY
def test_a_directory_behind_a_closed_one_is_told_of_in_words(open_directory: Path) -> None:
    workspace = Workspace(open_directory, store_directory="closed/store", spool_directory="closed/spool")
    (open_directory / "closed" / "store").mkdir(parents=True)
    (open_directory / "closed").chmod(0o700)
    os.chown(open_directory, 65534, 65534)
    settings = workspace.settings
    said = as_user(65534, lambda: [tuple(found) for found in directories(settings, fix=False)])
    assert said.count("('error', ") == 2 and said.count(f"may not enter or change {open_directory}/closed") == 2


def test_a_fault_of_ours_is_unknown_to_nagios(workspace: Workspace, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "directories", lambda *_, **__: 1 / 0)
    said = run("check", "--nagios")
    assert (said.code, said.out) == (
        3,
        "CKANPACKAGER UNKNOWN - internal error: ZeroDivisionError: division by zero\n",
    )
