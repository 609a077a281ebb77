"""A dataset changes, and the packager hears of it from a background job."""

import pytest
from ckan import model
from ckan.lib import jobs
from ckan.lib.redis import connect_to_redis
from ckan.tests import factories

from .conftest import SECRET, trusted

pytestmark = [
    pytest.mark.usefixtures("no_old_jobs"),
    pytest.mark.ckan_config("ckanext.packager.refresh", True),
]


@pytest.fixture
def no_old_jobs():
    clear()


def clear():
    jobs.get_queue().empty()
    redis = connect_to_redis()
    for key in redis.scan_iter("ckanext-packager:*:refresh:*"):
        redis.delete(key)


def waiting():
    return [job.args[0] for job in jobs.get_queue().jobs if job.func_name.endswith("refresh_dataset")]


def refreshed(packager):
    return [parameters for path, parameters in packager.calls if path == "/refresh"]


def test_a_changed_dataset_is_told_by_a_job_after_it_was_saved(packager, dataset):
    clear()
    trusted("package_patch", id=dataset["id"], title="Another title")
    assert packager.calls == []  # saving did not wait
    assert waiting() == [dataset["id"]]


def test_the_job_names_the_dataset_and_where_it_is(packager, dataset):
    from ckanext.packager.refresh import refresh_dataset

    packager.answer("/refresh", refreshed=["name"])
    refresh_dataset(dataset["id"])
    api_url = "http://test.ckan.net/api/3/action/datastore_search"
    assert refreshed(packager) == [{"secret": SECRET, "api_url": api_url, "dataset_id": dataset["id"]}]


def test_changed_resources_count_as_changes_of_their_dataset(packager, dataset, table):
    clear()
    trusted("resource_patch", id=table["id"], description="Another description")
    assert waiting() == [dataset["id"]]
    clear()
    factories.Resource(package_id=dataset["id"])
    assert waiting() == [dataset["id"]]
    clear()
    trusted("resource_delete", id=table["id"])
    assert waiting() == [dataset["id"]]


def test_several_changes_wait_as_one_job_and_later_ones_as_another(packager, dataset):
    from ckanext.packager.refresh import refresh_dataset

    clear()
    for title in ("One", "Two", "Three"):
        trusted("package_patch", id=dataset["id"], title=title)
    assert waiting() == [dataset["id"]]
    jobs.get_queue().empty()
    refresh_dataset(dataset["id"])
    trusted("package_patch", id=dataset["id"], title="Four")
    assert waiting() == [dataset["id"]]


def test_what_is_rolled_back_is_not_told(packager, dataset):
    clear()
    package = model.Package.get(dataset["id"])
    package.title = "Never saved"
    model.Session.flush()
    model.Session.rollback()
    model.Session.commit()
    assert waiting() == []


def test_it_is_off_unless_it_is_asked_for(packager, dataset, ckan_config, monkeypatch):
    monkeypatch.setitem(ckan_config, "ckanext.packager.refresh", False)
    clear()
    trusted("package_patch", id=dataset["id"], title="Another title")
    assert waiting() == []


def test_an_older_packager_is_no_error(packager, dataset, caplog):
    from ckanext.packager.refresh import refresh_dataset

    caplog.set_level("INFO")
    refresh_dataset(dataset["id"])  # answers 404
    assert "has no named packages" in caplog.text
    assert "WARNING" not in caplog.text


def test_a_packager_that_is_down_is_a_warning(packager, dataset, caplog, ckan_config, monkeypatch):
    from ckanext.packager.refresh import refresh_dataset

    monkeypatch.setitem(ckan_config, "ckanext.packager.url", "http://127.0.0.1:9")
    refresh_dataset(dataset["id"])
    assert "was not told" in caplog.text


def test_saving_goes_on_without_redis(packager, dataset, ckan_config, monkeypatch):
    from ckan.lib import redis as module

    monkeypatch.setitem(ckan_config, "ckan.redis.url", "redis://127.0.0.1:9/0")
    monkeypatch.setattr(module, "_connection_pool", None)
    assert trusted("package_patch", id=dataset["id"], title="Saved")["title"] == "Saved"


def test_a_worker_of_ckan_runs_it(packager, dataset):
    clear()
    packager.answer("/refresh", refreshed=[])
    trusted("package_patch", id=dataset["id"], title="Another title")
    for job in jobs.get_queue().jobs:
        job.perform()
    assert [sent["dataset_id"] for sent in refreshed(packager)] == [dataset["id"]]
