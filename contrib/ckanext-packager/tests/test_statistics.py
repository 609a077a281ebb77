"""The figures, for sysadmins and for the administrators of organizations."""

import pytest
from ckan.plugins import toolkit as tk
from ckan.tests import factories

from .conftest import action, make_table, make_user

SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><rect/></svg>'


def numbers(requests, emails=1, errors=0):
    return {"requests": requests, "emails": emails, "errors": errors}


@pytest.fixture
def counted(packager, dataset, table):
    """Figures of this organization's table and dataset, of another's table, and of something that is gone."""
    other = make_table(factories.Dataset(owner_org=factories.Organization()["id"], title="Others")["id"], "Other table")
    totals = {
        table["id"]: numbers(5, 3),
        other["id"]: numbers(9, 2, 1),
        dataset["id"]: numbers(2),
        "gone": numbers(1),
        "*": numbers(17, 6, 1),
    }
    packager.answer("/statistics", totals=totals)
    return {"table": table["id"], "other": other["id"], "dataset": dataset["id"]}


def test_sysadmins_get_all_most_requested_first(counted):
    found = action("packager_statistics", make_user(sysadmin=True)["name"])
    assert [row["id"] for row in found["resources"]] == [counted["other"], counted["table"], counted["dataset"], "gone"]
    assert found["total"] == {"requests": 17, "emails": 6, "errors": 1}
    assert found["resources"][1]["name"] == "Specimens"


def test_an_organizations_administrator_gets_its_own_alone(counted, organization):
    found = action("packager_statistics", organization["admin"]["name"], organization_id=organization["id"])
    assert [row["id"] for row in found["resources"]] == [counted["table"], counted["dataset"]]
    assert found["total"] == {"requests": 7, "errors": 0}


@pytest.mark.parametrize("role", ["member", "editor"])
def test_its_other_members_get_nothing(counted, organization, role):
    for data in ({}, {"organization_id": organization["id"]}):
        with pytest.raises(tk.NotAuthorized):
            action("packager_statistics", organization[role]["name"], **data)


def test_an_administrator_gets_nothing_of_other_organizations(counted, organization):
    other = factories.Organization()
    for data in ({}, {"organization_id": other["id"]}):
        with pytest.raises(tk.NotAuthorized):
            action("packager_statistics", organization["admin"]["name"], **data)


def test_the_sysadmins_page_has_the_table_and_the_charts(packager, client, counted):
    packager.answer("/statistics/resources", body=SVG)
    packager.answer("/statistics/domains", svg=SVG.decode())
    packager.answer("/statistics/formats", body=SVG)
    page = client.log_in(make_user(sysadmin=True)).get("/ckan-admin/downloads")
    assert "17 downloads, 6 people, 1 failed request" in page.words
    assert "Other table Others 9 2 1" in page.words
    assert "Everything Made-up specimens 2 1 0" in page.words
    assert "gone Not known any more 1 1 0" in page.words
    assert page.html.count('<img src="data:image/svg+xml;base64,') == 3
    assert ("/statistics/resources", "svg") in [(path, sent.get("format")) for path, sent in packager.calls]


def test_a_packager_without_charts_is_asked_for_one_and_the_table_stays(packager, client, counted):
    page = client.log_in(make_user(sysadmin=True)).get("/ckan-admin/downloads")
    assert "data:image/svg" not in page.html
    assert "17 downloads" in page.words
    assert [path for path, _ in packager.calls] == ["/statistics", "/statistics/resources"]


def test_a_packager_without_statistics_is_told_kindly(packager, client):
    page = client.log_in(make_user(sysadmin=True)).get("/ckan-admin/downloads")
    assert "The download service does not offer this." in page.words


def test_the_organizations_page_is_for_its_administrators(packager, client, counted, organization):
    url = f"/organization/downloads/{organization['name']}"
    page = client.log_in(organization["admin"]).get(url)
    assert "7 downloads" in page.words
    assert "Other table" not in page.words
    client.log_in(organization["editor"]).get(url, 403)
    client.headers = {}
    client.get(url, 403)
    client.get("/ckan-admin/downloads", 403)


def test_the_menus_lead_there_only_for_those_who_may(packager, client, organization):
    link = f"/organization/downloads/{organization['name']}"
    assert link in client.log_in(organization["admin"]).get(f"/organization/{organization['name']}").html
    assert link not in client.log_in(organization["editor"]).get(f"/organization/{organization['name']}").html
    assert "/ckan-admin/downloads" in client.log_in(make_user(sysadmin=True)).get("/ckan-admin/").html
