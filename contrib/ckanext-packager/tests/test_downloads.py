"""'My Downloads': what it remembers, for whom, and for how long."""

import datetime

import pytest
from ckan import model

from ckanext.packager.model import PackagerJob, jobs_of

from .conftest import JOB, action, make_user, trusted


@pytest.fixture
def person():
    return make_user()


def request_as(packager, person, job=JOB, **data):
    packager.answer("/package_datastore", msg="ok", job=job, status_url=f"https://p.example.org/jobs/{job}")
    packager.answer("/package_dataset", msg="ok", job=job)
    return action("packager_request", person["name"], **data)


def make_older(job, days):
    row = model.Session.query(PackagerJob).filter(PackagerJob.job == job).one()
    row.created -= datetime.timedelta(days=days)
    model.Session.commit()


def test_the_jobs_of_who_is_logged_in_are_listed_newest_first(packager, client, person, dataset, table):
    request_as(packager, person, "job-1", resource_id=table["id"])
    request_as(packager, person, "job-2", dataset_id=dataset["id"])
    packager.answer("/status", state="done", rows=3, size=1234, download_url="https://p.example.org/archives/x.zip")
    page = client.log_in(person).get("/dashboard/downloads")
    assert page.words.index("Made-up specimens Requested") < page.words.index("Specimens Requested", 0)
    assert page.html.index("/job/job-2") < page.html.index("/job/job-1")
    assert "Ready, 3 rows, 1.2 kB" in page.words
    assert 'href="https://p.example.org/archives/x.zip"' in page.html
    assert page.words.count("Requested ") == 2


def test_others_see_nothing_of_them(packager, client, person, table):
    request_as(packager, person, "job-3", resource_id=table["id"])
    page = client.log_in(make_user()).get("/dashboard/downloads")
    assert "job-3" not in page.html
    assert "You have not requested a download lately." in page.words


def test_who_is_not_logged_in_is_asked_to(packager, client):
    assert "/user/login" in client.get("/dashboard/downloads", 302).location


def test_requests_without_logging_in_are_not_remembered(packager, table):
    action("packager_request", resource_id=table["id"], email="a@example.org")
    assert model.Session.query(PackagerJob).filter(PackagerJob.resource_id == table["id"]).count() == 0


def test_no_address_is_kept(packager, person, table):
    request_as(packager, person, "job-4", resource_id=table["id"], email="private@example.org")
    row = jobs_of(person["id"], 1)[0]
    assert "private@example.org" not in str(vars(row))


def test_after_so_many_days_they_are_forgotten_and_deleted(packager, client, person, table):
    request_as(packager, person, "job-old", resource_id=table["id"])
    request_as(packager, person, "job-young", resource_id=table["id"])
    make_older("job-old", 31)
    make_older("job-young", 29)
    page = client.log_in(person).get("/dashboard/downloads")
    assert "job-old" not in page.html
    assert "job-young" in page.html
    request_as(packager, person, "job-new", resource_id=table["id"])  # this deletes
    assert model.Session.query(PackagerJob).filter(PackagerJob.job == "job-old").count() == 0
    assert model.Session.query(PackagerJob).filter(PackagerJob.job == "job-young").count() == 1


def test_what_the_packager_has_removed_is_said_so(packager, client, person, table):
    request_as(packager, person, "job-5", resource_id=table["id"])
    packager.answer("/status", 400, msg="job: there is no such job")
    assert "Not known any more" in client.log_in(person).get("/dashboard/downloads").words


def test_a_packager_that_is_down_is_asked_once(packager, client, person, table):
    for number in range(3):
        request_as(packager, person, f"job-6-{number}", resource_id=table["id"])
    packager.calls.clear()
    packager.answer("/status", 503, msg="cannot read")
    page = client.log_in(person).get("/dashboard/downloads")
    assert "cannot be reached just now" in page.words
    assert "job-6-0" in page.html
    assert len(packager.calls) == 1


def test_what_the_person_may_not_see_any_more_has_no_title(packager, client, organization, dataset, table):
    member = organization["member"]
    request_as(packager, member, "job-7", resource_id=table["id"])
    packager.answer("/status", state="waiting", position=0)
    trusted("package_patch", id=dataset["id"], private=True)
    trusted("organization_member_delete", id=organization["id"], username=member["name"])
    page = client.log_in(member).get("/dashboard/downloads")
    assert "No longer available to you" in page.words
    assert "Specimens" not in page.words


def test_a_table_that_is_missing_loses_no_request(packager, client, person, table):
    model.Session.execute(_sql("ALTER TABLE packager_job RENAME TO hidden"))
    model.Session.commit()
    try:
        assert request_as(packager, person, resource_id=table["id"])["job"] == JOB
        page = client.log_in(person).get("/dashboard/downloads")
        assert "is not set up on this portal yet" in page.words
    finally:
        model.Session.execute(_sql("ALTER TABLE hidden RENAME TO packager_job"))
        model.Session.commit()


def _sql(text):
    from sqlalchemy import text as as_sql

    return as_sql(text)


def test_the_migration_makes_what_the_model_describes():
    from sqlalchemy import inspect

    there = inspect(model.meta.engine)
    columns = {column["name"]: column["nullable"] for column in there.get_columns("packager_job")}
    assert columns == {column.name: column.nullable for column in PackagerJob.__table__.columns}
    indexed = {tuple(index["column_names"]) for index in there.get_indexes("packager_job")}
    assert indexed == {("user_id",), ("created",)}


def test_the_dashboard_leads_there(packager, client, person):
    assert "/dashboard/downloads" in client.log_in(person).get("/dashboard/datasets").html
