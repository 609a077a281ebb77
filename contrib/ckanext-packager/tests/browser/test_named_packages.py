"""A dataset changes, and the real packager queues a job for its named package."""

from pathlib import Path

import pytest
from ckan.lib import jobs

from ..conftest import SECRET, trusted
from ..test_refresh import no_old_jobs  # noqa: F401  (a fixture)
from .conftest import CKANPACKAGER, Service, free_port


@pytest.fixture
def renewing(portal, table, tmp_path, ckan_config, monkeypatch):
    """A packager with a named package of this table, and a CKAN that tells it of changes; the packager's spool."""
    url = f"http://127.0.0.1:{free_port()}"
    api_url = f"{portal.url}/api/3/action/datastore_search"
    package = f"{{task: package_datastore, api_url: '{api_url}', resource_id: {table['id']}, refresh: 1 day}}"
    settings = tmp_path / "ckanpackager.yaml"
    lines = [f"secret: {SECRET}", "host: 127.0.0.1", f"port: {url.rpartition(':')[2]}", "mail_transport: maildir"]
    lines += [f"download_url: {url}/archives", f"named_packages: {{specimens: {package}}}"]
    settings.write_text("\n".join(lines) + "\n")
    serve = Service([CKANPACKAGER, "--config", str(settings), "serve"], tmp_path / "log", url + "/jobs/x")
    for name, value in {"url": url, "secret": SECRET, "ckan_url": portal.url, "refresh": True}.items():
        monkeypatch.setitem(ckan_config, f"ckanext.packager.{name}", value)
    serve.start()
    yield tmp_path / "spool"
    serve.stop()


@pytest.mark.usefixtures("no_old_jobs")
def test_a_changed_dataset_renews_its_named_package(renewing: Path, dataset, table):
    assert not list(renewing.rglob("*.json"))
    trusted("package_patch", id=dataset["id"], title="Another title")
    (job,) = jobs.get_queue().jobs
    job.perform()
    (waiting,) = [path for queue in ("fast", "slow") for path in (renewing / queue).glob("*.json")]
    assert table["id"] in waiting.read_text()
