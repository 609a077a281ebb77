"""ckanpackager report: one file, written whole or not at all, and what a browser makes of it.

$CKANPACKAGER_SCREENSHOTS keeps the pictures.
"""

import os
import re
import resource
import socket
import stat
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from support.chromium import Browser, chromium
from support.sample_statistics import fill
from support.workspace import CommandResult, Workspace

from ckanpackager.durable_files import replace_whole
from ckanpackager.errors import TemporaryFailure

Run = Callable[..., CommandResult]
END = date(2026, 11, 25)
PAPER = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 29)"}
LONG = "a-name-without-end-" * 20 + "<img src=x onerror=alert(1)>"


@pytest.fixture
def report(workspace: Workspace, run: Run) -> Path:
    """A report of a year, with a resource of a long name in it."""
    workspace.configure(portal_name="Museum <Data> Portal", portal_url="https://data.example.org")
    fill(workspace.settings.statistics.stats_db, END)
    with workspace.statistics() as statistics:
        for number in range(2000):
            statistics.record_request(
                job=f"long{number}", resource_id=LONG, email="eve@x.org", count=5, now=1_795_000_000, format="csv"
            )
    said = run("report", "report.html", "--since", "2026-01-01", "--until", "2026-11-25")
    assert (said.code, said.err) == (0, "")
    assert re.fullmatch(r"report\.html: 12,\d\d\d requests\n", said.out)
    return workspace.directory / "report.html"


def test_a_report_of_nothing_is_a_report(run: Run, workspace: Workspace) -> None:
    assert run("report", "r.html").out == "r.html: 0 requests\n"
    assert "Nothing in this period" in (workspace.directory / "r.html").read_text()


def test_a_report_goes_to_standard_output(workspace: Workspace) -> None:
    said = workspace.run("report", "-")
    assert said.stdout.startswith("<!doctype html>") and said.stdout.endswith("</html>\n")
    assert list(workspace.directory.glob("*.html")) == list(workspace.directory.glob("-")) == []


def test_a_report_replaces_the_one_before_and_leaves_nothing_else(run: Run, workspace: Workspace) -> None:
    file = workspace.directory / "r.html"
    file.write_text("old")
    before = set(workspace.directory.iterdir())
    assert run("-q", "report", "r.html") == CommandResult(0, "", "")
    assert file.read_text().endswith("</html>\n")
    assert {path.name for path in set(workspace.directory.iterdir()) - before} <= {
        "stats.db",
        "stats.db-wal",
        "stats.db-shm",
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~_umask()


def _umask() -> int:
    known = os.umask(0)
    os.umask(known)
    return known


def test_a_report_that_does_not_fit_leaves_the_one_before(tmp_path: Path) -> None:
    """As on a full disk: no file may be longer than 1000 bytes."""
    file = tmp_path / "r.html"
    file.write_text("old")
    if (process := os.fork()) == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            replace_whole(file, b"x" * 100_000)
        except TemporaryFailure as error:
            os._exit(f"{file}: cannot be written: File too large; name a file" not in str(error))
        os._exit(2)
    assert os.waitpid(process, 0)[1] == 0
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_no_device_pipe_or_socket_is_replaced_by_a_file(tmp_path: Path) -> None:
    """Root may do it: /dev/null would be gone."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    before = {path.name: path.lstat().st_ino for path in tmp_path.iterdir()}
    for name in before:
        with pytest.raises(TemporaryFailure, match="cannot be written: It is a device, a pipe or a socket;"):
            replace_whole(tmp_path / name, b"x")
    assert {path.name: path.lstat().st_ino for path in tmp_path.iterdir()} == before


def test_a_directory_that_is_not_there_is_named(run: Run) -> None:
    said = run("report", "nowhere/r.html")
    assert (said.code, said.out) == (1, "")
    assert re.fullmatch(r"ckanpackager: nowhere/r\.html: cannot be written: No such file or directory; .*\n", said.err)


def test_there_is_no_address_in_a_report(report: Path) -> None:
    assert not re.search(r"[\w.]+@[\w.]+", report.read_text())


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with chromium(tmp_path / "chromium") as browser:
        yield browser


def test_in_a_browser_it_fits_each_screen_light_and_dark_without_scripts_and_requests(
    report: Path, browser: Browser
) -> None:
    papers = {}
    for width, scheme in ((360, "light"), (390, "dark"), (768, "light"), (1280, "dark"), (1920, "light")):
        browser.look_like(width=width, scheme=scheme, scripts=False)
        browser.open(report.as_uri())
        assert browser.evaluate("document.documentElement.scrollWidth") == width
        assert browser.evaluate(_CUT_OFF) == []
        assert browser.evaluate("performance.getEntriesByType('resource').length") == 0
        papers[scheme] = browser.evaluate("getComputedStyle(document.body).backgroundColor")
        if keep := os.environ.get("CKANPACKAGER_SCREENSHOTS"):
            browser.picture(Path(keep) / f"report-{width}-{scheme}.png")
    assert papers == PAPER
    assert browser.complaints == []


def test_on_a_phone_the_labels_of_charts_are_readable(report: Path, browser: Browser) -> None:
    browser.look_like(width=360)
    browser.open(report.as_uri())
    assert browser.evaluate(_SMALLEST_LABEL) >= 9  # pixels
    assert browser.evaluate("document.querySelectorAll('svg.chart').length") == 8


_CUT_OFF = """[...document.querySelectorAll('h1, h2, p, dd, svg, summary')]
    .filter(each => each.getBoundingClientRect().right > innerWidth + 1).map(each => each.outerHTML)"""
_SMALLEST_LABEL = """Math.min(...[...document.querySelectorAll('svg.chart text')]
    .map(each => 12 * each.getScreenCTM().a))"""
