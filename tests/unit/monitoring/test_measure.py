"""What is measured of a service, part by part."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from support.workspace import Workspace

from ckanpackager.durable_files import replace_whole
from ckanpackager.errors import FAILURE_KINDS, TemporaryFailure
from ckanpackager.monitoring.measure import Measurement, measure

URL = "http://127.0.0.1:9/api/3/action/datastore_search"


def measured(workspace: Workspace, **options: Any) -> Measurement:
    return measure(workspace.settings, workspace.spool, time.time(), **options)


def values(workspace: Workspace, name: str) -> dict[tuple[str, ...], float]:
    (metric,) = [metric for metric in measured(workspace).metrics if metric.name == name]
    return dict(metric.values)


def fail(workspace: Workspace, **known: Any) -> None:
    claim = workspace.spool.claim(workspace.queue(URL), "fast")
    assert claim
    claim.fail(failure="no", **known)


def test_jobs_are_counted_by_state_and_queue(workspace: Workspace) -> None:
    workspace.queue(URL)
    workspace.queue(URL, limit=10**6)
    workspace.queue(URL, limit=10**6)
    fail(workspace)
    assert values(workspace, "jobs") == {
        ("waiting", "fast"): 1,
        ("waiting", "slow"): 2,
        ("running", ""): 0,
        ("failed", ""): 1,
        ("done", ""): 0,
    }


def test_failures_of_requests_are_told_from_those_of_the_service(workspace: Workspace) -> None:
    fail(workspace, mistaken=True)
    fail(workspace)
    fail(workspace)
    assert values(workspace, "jobs_failed_last_day") == {("request",): 1, ("service",): 2}
    for path in (workspace.spool.directory / "failed").iterdir():
        os.utime(path, (1, 1))
    assert values(workspace, "jobs_failed_last_day") == {("request",): 0, ("service",): 0}


def test_a_job_that_waits_for_another_attempt_is_not_overdue(workspace: Workspace) -> None:
    id, now = workspace.queue(URL), time.time()
    path = workspace.spool.files.path("fast", id)
    os.utime(path, (now + 600, now + 600))
    assert values(workspace, "overdue_seconds") == {("fast",): 0, ("slow",): 0}
    assert 0 < values(workspace, "oldest_job_age_seconds")["fast",] < 60
    os.utime(path, (now - 600, now - 600))
    assert values(workspace, "overdue_seconds")["fast",] == pytest.approx(600, abs=60)


def test_the_last_runs_are_told_as_far_as_they_are_known(workspace: Workspace) -> None:
    assert values(workspace, "last_run_timestamp_seconds") == {}
    workspace.spool.record_run("clean")
    ((labels, when),) = values(workspace, "last_run_timestamp_seconds").items()
    assert labels == ("clean",) and when == pytest.approx(time.time(), abs=60)


def test_an_alert_is_told_for_as_long_as_it_goes_on(workspace: Workspace) -> None:
    alerts = workspace.spool.directory / "alerts"
    for name in ("mail", "packaging", "accepted", "x.tmp"):
        (alerts / name).touch()
    os.utime(alerts / "packaging", (1, 1))  # no worker has met it for a day
    assert values(workspace, "alert") == {("mail",): 1}


def test_the_store_and_its_next_expiry_are_told(workspace: Workspace) -> None:
    folder = workspace.store.directory / ("a" * 32 + "-" + "b" * 32)
    folder.mkdir()
    (folder / "x-2026-11-24.zip").write_bytes(b"x" * 1000)
    os.utime(folder / "x-2026-11-24.zip", (1000, 1000))
    assert values(workspace, "store_used_bytes")[()] >= 1000
    assert values(workspace, "store_archives") == {(): 1}
    assert values(workspace, "store_next_expiry_timestamp_seconds") == {(): 1000 + 7 * 86400}


def test_a_bucket_is_listed_only_when_that_is_asked_for(workspace: Workspace) -> None:
    workspace.configure(store_url="s3://archives/x")
    assert "scrape_errors" in {metric.name for metric in measured(workspace).metrics}
    assert ("store",) not in values(workspace, "scrape_errors")
    assert {name[0] for name in values(workspace, "disk_free_bytes")} == {"spool", "temp"}


def test_totals_come_from_the_statistics(workspace: Workspace) -> None:
    with workspace.statistics() as statistics:
        who = {"resource_id": "r", "email": "ann@example.org", "now": 1}
        for job, task in (("a", "package_datastore"), ("b", "package_url"), ("c", "package_url"), ("d", None)):
            statistics.record_request(job=job, count=3, size=100, task=task, **who)
        for job, kind in (("e", "mail"), ("f", None)):
            statistics.record_error(job=job, message="no", kind=kind, **who)
    tasks, kinds = values(workspace, "requests_total"), values(workspace, "errors_total")
    assert {labels for labels, value in kinds.items() if value == 0} == {(kind,) for kind in FAILURE_KINDS} - {
        ("mail",)
    }
    assert (tasks["package_datastore",], tasks["package_url",], tasks["package_dataset",], tasks["",]) == (1, 2, 0, 1)
    assert (kinds["mail",], kinds["",]) == (1, 1)
    assert values(workspace, "served_rows_total") == {(): 12}
    assert values(workspace, "served_bytes_total") == {(): 400}
    assert values(workspace, "requesters") == {(): 1}


def test_totals_that_clean_makes_smaller_are_no_counters(workspace: Workspace) -> None:
    """A counter that falls is taken for one that began anew, and counted again."""
    workspace.configure(keep_statistics=30)
    kinds = {metric.name: metric.kind for metric in measured(workspace).metrics}
    assert "requests_total" not in kinds and kinds["requests_kept"] == "gauge"


def test_a_part_that_cannot_be_read_is_left_out_and_named(workspace: Workspace) -> None:
    assert workspace.store
    (workspace.directory / "stats.db").write_text("no database" * 100)
    found = measured(workspace)
    assert list(found.errors) == ["statistics"] and "not a database" in found.errors["statistics"]
    names = {metric.name for metric in found.metrics}
    assert "jobs" in names and "requests_total" not in names
    failed = values(workspace, "scrape_errors")
    assert failed["statistics",] == 1 and failed["jobs",] == 0


def test_a_file_for_node_exporter_is_replaced_whole_and_readable(tmp_path: Path) -> None:
    path = tmp_path / "ckanpackager.prom"
    umask = os.umask(0o077)
    try:
        for content in (b"first", b"second"):
            replace_whole(path, content, 0o644)
    finally:
        os.umask(umask)
    assert path.read_bytes() == b"second" and path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_replaced_is_an_error_in_words_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.prom").mkdir()
    with pytest.raises(TemporaryFailure, match=r"a\.prom: cannot be written: Is a directory; name a file"):
        replace_whole(tmp_path / "a.prom", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["a.prom"]
