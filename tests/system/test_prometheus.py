"""A real Prometheus scrapes /metrics; its own tools check the metrics and the alert rules that are shipped."""

import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.programs import needs
from support.servers import free_port, process
from support.workspace import Workspace, until
from support.wsgi_client import serving

from ckanpackager.monitoring.exposition import text_of
from ckanpackager.monitoring.measure import measure

CONTRIB = Path(__file__).parents[2] / "contrib" / "prometheus"
DOCS = Path(__file__).parents[2] / "docs" / "monitoring.md"
PROMTOOL = needs("promtool", debian="prometheus")
SECRET = "a secret of the tests"


def promtool(*words: str, cwd: Path, given: bytes = b"") -> str:
    done = subprocess.run([PROMTOOL, *words], cwd=cwd, input=given, capture_output=True, check=False, timeout=100)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return (done.stdout + done.stderr).decode()


@pytest.fixture
def busy(workspace: Workspace) -> Workspace:
    """A service of which every metric has a value."""
    url = "http://127.0.0.1:9/api/3/action/datastore_search"
    workspace.configure(
        secret=SECRET, named_packages={"rows": {"task": "package_datastore", "api_url": url, "resource_id": "r"}}
    )
    workspace.queue(url)
    for command in ("process", "refresh", "clean"):
        workspace.spool.record_run(command)
    (workspace.spool.directory / "alerts" / "mail").touch()
    directory = "a" * 32 + "-" + "b" * 32
    with workspace.store.part(directory) as part:
        part.write_bytes(b"an archive")
        workspace.store.publish(part, directory, "x-2026-11-24.zip", rows=1, now=time.time())
    with workspace.store.part(directory) as part:
        part.write_bytes(b"an archive")
        workspace.store.publish_named(part, "rows", rows=1, now=time.time())
    return workspace


def names_of(workspace: Workspace) -> set[str]:
    metrics = measure(workspace.settings, workspace.spool, time.time()).metrics
    assert [metric.name for metric in metrics if not metric.values] == ["named_package_looked_at_timestamp_seconds"]
    return {f"ckanpackager_{metric.name}" for metric in metrics}


def test_promtool_finds_nothing_to_say_of_the_metrics(busy: Workspace) -> None:
    text = text_of(measure(busy.settings, busy.spool, time.time()).metrics)
    assert promtool("check", "metrics", cwd=busy.directory, given=text) == ""


def test_promtool_would_say_something_of_wrong_metrics(busy: Workspace) -> None:
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=b"# TYPE x_total gauge\nx_total 1\n", check=False)
    assert done.returncode != 0


def test_each_alert_is_raised_by_what_it_is_about_and_by_nothing_else() -> None:
    assert "SUCCESS: 12 rules found" in promtool("check", "rules", "ckanpackager.rules.yml", cwd=CONTRIB)
    assert "SUCCESS" in promtool("test", "rules", "ckanpackager.rules.test.yml", cwd=CONTRIB)
    rules = yaml.safe_load((CONTRIB / "ckanpackager.rules.yml").read_text())["groups"][0]["rules"]
    tested = yaml.safe_load((CONTRIB / "ckanpackager.rules.test.yml").read_text())["tests"]
    raised = {test["alertname"] for test in tested[1]["alert_rule_test"] if test.get("exp_alerts")}
    assert raised == {rule["alert"] for rule in rules}


def test_the_alert_rules_and_the_page_use_metrics_that_exist(busy: Workspace) -> None:
    there = names_of(busy)
    rules = set(re.findall(r"ckanpackager_\w+", (CONTRIB / "ckanpackager.rules.yml").read_text()))
    assert rules and rules <= there
    told = set(re.findall(r"`(ckanpackager_\w+)", DOCS.read_text()))
    kept = {f"ckanpackager_{name}_kept" for name in ("requests", "errors", "served_rows", "served_bytes")}
    assert told == there | kept | {"ckanpackager_named_package_looked_at_timestamp_seconds"}


@pytest.fixture
def prometheus(busy: Workspace, tmp_path: Path) -> Iterator[str]:
    """Prometheus with the shipped configuration, scraping a running receiver; its address."""
    program = needs("prometheus", debian="prometheus")
    directory = tmp_path / "prometheus"
    directory.mkdir()
    (directory / "ckanpackager.rules.yml").write_text((CONTRIB / "ckanpackager.rules.yml").read_text())
    (directory / "ckanpackager.secret").write_text(SECRET)
    with serving(busy) as address:
        text = (CONTRIB / "prometheus.yml").read_text()
        assert "scheme: https\n" in text and "[packager.example.org]" in text
        text = text.replace("scheme: https\n", "scheme: http\n").replace("packager.example.org", address[7:])
        text = text.replace("scrape_interval: 1m", "scrape_interval: 1s").replace("timeout: 30s", "timeout: 1s")
        (directory / "prometheus.yml").write_text(f"global: {{evaluation_interval: 1s}}\n{text}")
        promtool("check", "config", "prometheus.yml", cwd=directory)
        port = free_port()
        options = ["--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.path=data"]
        with process([program, *options], directory / "log", cwd=directory) as started:
            until(lambda: is_ready(port) or started.poll() is not None)
            assert started.poll() is None, (directory / "log").read_text()
            yield f"http://127.0.0.1:{port}"


def is_ready(port: int) -> bool:
    try:
        return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=30).status == 200)
    except OSError:
        return False


def asked(prometheus: str, path: str, **query: str) -> Any:
    with urllib.request.urlopen(f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
        return json.load(answer)["data"]


def test_prometheus_scrapes_the_metrics_and_raises_an_alert(prometheus: str, busy: Workspace) -> None:
    def value(name: str, labels: str = "") -> str:
        found = asked(prometheus, "query", query=f"{name}{labels}")["result"]
        return str(found[0]["value"][1]) if found else ""

    until(lambda: value("ckanpackager_jobs", '{state="waiting",queue="fast"}') == "1")
    (target,) = asked(prometheus, "targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    told = set(asked(prometheus, "label/__name__/values"))
    assert names_of(busy) - told == {"ckanpackager_named_package_looked_at_timestamp_seconds"}
    alerts = until(lambda: asked(prometheus, "alerts")["alerts"])
    raised = {alert["labels"]["alertname"] for alert in alerts}
    assert raised - {"CkanpackagerDiskLow"} == {"CkanpackagerMailFails"}  # the disk of this machine may be full
    assert value("ckanpackager_scrape_errors", '{part="statistics"}') == "0"
