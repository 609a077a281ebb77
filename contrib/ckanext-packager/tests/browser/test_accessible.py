"""What axe-core says of our part of each page (the rest of a page is CKAN's)."""

import pytest

from ..conftest import make_user
from .conftest import log_in
from .test_walk import PASSWORD, data, own_address, press  # noqa: F401  (a fixture)

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")


def faults(page, part):
    page.locator(part).first.wait_for()
    found = axe.Axe().run(page, context=part).response["violations"]
    return [(fault["id"], node["html"]) for fault in found for node in fault["nodes"]]


def test_the_button_and_the_dialog_have_no_fault(page, data, portal, address):  # noqa: F811
    page.goto(data["url"] + "?filters=Country%3AKenya")
    assert faults(page, "a[aria-haspopup=dialog]") == []
    press(page, "Request download")
    assert faults(page, "dialog") == []
    page.get_by_role("button", name="Request download").last.click()
    page.locator("[aria-invalid=true]").wait_for()
    assert faults(page, "dialog") == []
    page.get_by_label("Your e-mail address").fill(address)
    page.get_by_role("button", name="Request download").last.click()
    page.get_by_role("link", name="Download", exact=True).wait_for()
    assert faults(page, "dialog") == []
    portal.mails.next(address)


def test_the_pages_have_no_fault(page, data, portal):  # noqa: F811
    member = data["member"]
    log_in(page, member["name"], PASSWORD)
    page.goto(f"/download-request/dataset/{data['package']['id']}")
    assert faults(page, ".packager-form") == []
    page.goto(f"/download-request/resource/{data['table']['id']}?filters=Nonsense%3A1")
    assert faults(page, ".packager-form") == []
    page.goto(f"/download-request/resource/{data['table']['id']}")
    page.get_by_role("button", name="Request download").last.click()
    assert faults(page, ".packager-job") == []
    page.goto("/dashboard/downloads")
    assert faults(page, "article.module") == []
    portal.mails.next(own_address(data))


def test_the_figures_have_no_fault(page, portal):
    admin = make_user(password=PASSWORD, sysadmin=True)
    log_in(page, admin["name"], PASSWORD)
    page.goto("/ckan-admin/downloads")
    assert faults(page, "article.module") == []
