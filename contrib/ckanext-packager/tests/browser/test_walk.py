"""The walk of a person: look at data, request it, follow the request, take the link from the mail, open the archive."""

import csv
import io
import re
import urllib.request
import zipfile

import pytest
from ckan.tests import factories

from ..conftest import RECORDS, make_table, make_user, trusted
from .conftest import PATIENCE, log_in, playwright

expect = playwright.expect
PASSWORD = "a password of 24 letters"


@pytest.fixture
def data(portal):
    """A public dataset with a table, its view, and a file; and a private one."""
    member = make_user(password=PASSWORD)
    organization = factories.Organization(users=[{"name": member["name"], "capacity": "member"}])
    package = factories.Dataset(owner_org=organization["id"], title="Made-up specimens")
    table = make_table(package["id"])
    trusted("resource_view_create", resource_id=table["id"], title="Table", view_type="datatables_view")
    hidden = factories.Dataset(owner_org=organization["id"], title="Embargoed", private=True)
    return {
        "member": member,
        "package": package,
        "table": table,
        "url": f"/dataset/{package['name']}/resource/{table['id']}",
        "private": make_table(hidden["id"], "Embargoed specimens"),
        "private_url": f"/dataset/{hidden['name']}",
    }


def own_address(data):
    return f"{data['member']['name']}@ckan.example.com"


def press(page, words):
    """Press the button once the page's script has made it open a dialog."""
    page.locator("a[aria-haspopup=dialog]", has_text=words).click()


def archive_of(mail):
    """The archive whose link is in the mail."""
    text = mail.get_body(("plain",)).get_content()
    link = re.search(r"https?://\S+/archives/\S+\.zip", text).group()
    with urllib.request.urlopen(link, timeout=PATIENCE) as response:
        return zipfile.ZipFile(io.BytesIO(response.read()))


def rows_of(archive, name="resource.csv"):
    found = next(member for member in archive.namelist() if member.endswith(name))
    return list(csv.DictReader(io.StringIO(archive.read(found).decode("utf-8"))))


def names_in(archive):
    return [row["Name"] for row in rows_of(archive)]


def in_country(country):
    return [record["Name"] for record in RECORDS if record["Country"] == country]


def test_filters_of_the_address_are_the_rows_of_the_archive(portal, page, data, picture, address):
    page.goto(data["url"] + "?filters=Country%3AKenya")
    picture(page, "resource")
    press(page, "Request download")
    dialog = page.locator("dialog.packager-dialog")
    expect(dialog).to_contain_text("Country is Kenya")
    expect(dialog).to_contain_text("2 rows")
    dialog.get_by_label("Your e-mail address").fill(address)
    picture(page, "dialog")
    dialog.get_by_role("button", name="Request download").click()
    expect(dialog.get_by_role("heading")).to_have_text("Your download")
    expect(dialog.locator(".packager-state")).to_contain_text("Ready, 2 rows")
    picture(page, "dialog-done")
    mail = portal.mails.next(address)
    assert names_in(archive_of(mail)) == in_country("Kenya")


def test_what_is_typed_into_the_table_is_the_rows_of_the_archive(portal, page, data, picture, address):
    page.goto(data["url"])
    frame = page.frame_locator(".resource-view iframe")
    box = frame.locator("th.fhead input").nth(1)
    box.fill("Jap")
    box.press("Enter")
    expect(frame.locator("#dtprv_info")).to_contain_text("filtered from 3")
    press(page, "Request download")
    dialog = page.locator("dialog.packager-dialog")
    expect(dialog).to_contain_text("Country has a word that begins with “Jap”")
    picture(page, "dialog-datatables")
    dialog.get_by_label("Your e-mail address").fill(address)
    dialog.get_by_label("Your e-mail address").press("Enter")  # the form's first button must not remove a condition
    expect(dialog.get_by_role("heading")).to_have_text("Your download")
    assert names_in(archive_of(portal.mails.next(address))) == in_country("Japan")


def test_the_general_search_of_the_table_is_taken_over(page, data):
    page.goto(data["url"])
    frame = page.frame_locator(".resource-view iframe")
    box = frame.locator("#dtprv_filter input")
    box.fill("Panth")
    box.press("Enter")
    expect(frame.locator("#dtprv_info")).to_contain_text("filtered from 3")
    press(page, "Request download")
    dialog = page.locator("dialog.packager-dialog")
    expect(dialog).to_contain_text("A word begins with “Panth”")
    expect(dialog).to_contain_text("1 row,")


def test_without_javascript_it_is_the_same_walk(portal, plain_page, data, address):
    page = plain_page
    page.goto(data["url"] + "?filters=Country%3AKenya%7CYear%3A1901")
    page.click("text=Request download")
    page.get_by_label("Your e-mail address").fill(address)
    page.get_by_role("button", name="Remove Year is 1901").click()
    expect(page.locator(".packager-selection")).not_to_contain_text("Year")
    expect(page.get_by_label("Your e-mail address")).to_have_value(address)
    page.get_by_label("Your e-mail address").press("Enter")
    expect(page.get_by_role("heading", name="Your download")).to_be_visible()
    assert names_in(archive_of(portal.mails.next(address))) == in_country("Kenya")


def test_conditions_are_removed_in_the_dialog(portal, page, data):
    page.goto(data["url"] + "?filters=Country%3AKenya%7CYear%3A1901")
    press(page, "Request download")
    dialog = page.locator("dialog.packager-dialog")
    dialog.get_by_label("Your e-mail address").fill("half typed")
    dialog.get_by_role("button", name="Remove Country is Kenya").click()
    expect(dialog.locator(".packager-criteria")).not_to_contain_text("Country")
    expect(dialog.get_by_label("Your e-mail address")).to_have_value("half typed")
    dialog.get_by_role("button", name="Request download").click()
    expect(dialog.get_by_label("Your e-mail address")).to_have_attribute("aria-invalid", "true")
    expect(dialog.get_by_label("Your e-mail address")).to_be_focused()
    expect(dialog.get_by_label("Your e-mail address")).to_have_value("half typed")


def test_the_dialog_keeps_the_focus_and_gives_it_back(page, data):
    page.goto(data["url"])
    page.locator("a[aria-haspopup=dialog]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("dialog.packager-dialog #packager-heading")).to_be_focused()
    for _ in range(12):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.get_by_role("link", name="Request download")).to_be_focused()


def test_a_dataset_is_packed_as_a_whole(portal, page, data, picture, address):
    page.goto(f"/dataset/{data['package']['name']}")
    picture(page, "dataset")
    press(page, "Download everything")
    dialog = page.locator("dialog.packager-dialog")
    expect(dialog).to_contain_text("Specimens")
    expect(dialog).to_contain_text("3 rows")
    dialog.get_by_label("Your e-mail address").fill(address)
    picture(page, "dialog-dataset")
    dialog.get_by_role("button", name="Request download").click()
    expect(dialog.get_by_role("heading")).to_have_text("Your download")
    archive = archive_of(portal.mails.next(address))
    assert "datapackage.json" in archive.namelist()
    assert [row["Name"] for row in rows_of(archive, ".csv")] == [record["Name"] for record in RECORDS]


def test_private_data_is_for_those_who_may_read_it(portal, page, data):
    url = f"{data['private_url']}/resource/{data['private']['id']}"
    assert page.goto(url).status in (403, 404)
    assert page.goto(f"/download-request/resource/{data['private']['id']}").status == 404
    log_in(page, data["member"]["name"], PASSWORD)
    page.goto(url)
    press(page, "Request download")
    dialog = page.locator("dialog.packager-dialog")
    expect(dialog.get_by_label("Your e-mail address")).to_have_value(own_address(data))
    dialog.get_by_role("button", name="Request download").click()
    expect(dialog.get_by_role("heading")).to_have_text("Your download")
    mail = portal.mails.next(own_address(data))
    assert mail["To"] == own_address(data)
    assert names_in(archive_of(mail)) == [record["Name"] for record in RECORDS]


def test_downloads_are_listed_for_who_is_logged_in(portal, page, data, picture):
    log_in(page, data["member"]["name"], PASSWORD)
    page.goto(f"/download-request/resource/{data['table']['id']}?filters=Country%3AKenya")
    picture(page, "form")
    page.get_by_role("button", name="Request download").last.click()
    expect(page.locator(".packager-state")).to_contain_text("Ready, 2 rows")
    picture(page, "job")
    portal.mails.next(own_address(data))
    page.get_by_role("link", name="My Downloads").click()
    expect(page.locator(".packager-downloads li")).to_have_count(1)
    expect(page.locator(".packager-downloads")).to_contain_text("Ready, 2 rows")
    picture(page, "downloads")


def test_a_packager_that_is_stopped_loses_nothing(portal, page, data, picture, address):
    page.goto(data["url"] + "?filters=Country%3AKenya")
    portal.serve.stop()
    try:
        press(page, "Request download")
        dialog = page.locator("dialog.packager-dialog")
        dialog.get_by_label("Your e-mail address").fill(address)
        dialog.get_by_label("Format").select_option("xlsx")
        dialog.get_by_role("button", name="Request download").click()
        expect(dialog.get_by_role("alert")).to_contain_text("cannot be reached just now")
        picture(page, "dialog-down")
    finally:
        portal.serve.start()
    expect(dialog.get_by_label("Your e-mail address")).to_have_value(address)
    expect(dialog.get_by_label("Format")).to_have_value("xlsx")
    expect(dialog).to_contain_text("Country is Kenya")
    dialog.get_by_role("button", name="Request download").click()
    expect(dialog.get_by_role("heading")).to_have_text("Your download")
    assert [name for name in archive_of(portal.mails.next(address)).namelist() if name.endswith(".xlsx")]


def test_a_portal_that_does_not_answer_loses_nothing(portal, page, data, address):
    page.goto(data["url"] + "?filters=Country%3AKenya")
    press(page, "Request download")
    dialog = page.locator("dialog.packager-dialog")
    dialog.get_by_label("Your e-mail address").fill(address)
    page.context.set_offline(True)
    dialog.get_by_role("button", name="Remove").click()
    expect(dialog.get_by_role("alert")).to_contain_text("The portal does not answer just now.")
    page.context.set_offline(False)
    expect(dialog).to_contain_text("Country is Kenya")
    dialog.get_by_role("button", name="Request download").click()
    expect(dialog.get_by_role("heading")).to_have_text("Your download")
    assert names_in(archive_of(portal.mails.next(address))) == in_country("Kenya")


def test_a_file_is_packed_as_it_is(portal, page, data, address):
    package = data["package"]
    resource = trusted("resource_create", package_id=package["id"], name="Its page", url=f"{portal.url}/about")
    page.goto(f"/dataset/{package['name']}/resource/{resource['id']}")
    press(page, "Request download")
    dialog = page.locator("dialog.packager-dialog")
    expect(dialog).to_contain_text("You get the file as it is.")
    dialog.get_by_label("Your e-mail address").fill(address)
    dialog.get_by_role("button", name="Request download").click()
    archive = archive_of(portal.mails.next(address))
    assert any(b"<html" in archive.read(name) for name in archive.namelist())


def test_figures_are_shown_to_sysadmins(portal, page, data, picture):
    admin = make_user(password=PASSWORD, sysadmin=True)
    log_in(page, admin["name"], PASSWORD)
    page.goto("/ckan-admin/downloads")
    expect(page.get_by_role("heading", name="Requested downloads")).to_be_visible()
    picture(page, "statistics")


@pytest.mark.parametrize("language", ["de", "fr", "es"])
def test_the_form_speaks_the_languages_that_come_along(page, data, language, picture):
    words = {
        "de": "Ihre E-Mail-Adresse",
        "fr": "Votre adresse électronique",
        "es": "Su dirección de correo electrónico",
    }
    page.goto(f"/{language}/download-request/resource/{data['table']['id']}?filters=Country%3AKenya")
    expect(page.get_by_label(words[language])).to_be_visible()
    picture(page, f"form-{language}")


def test_a_phone_shows_all_of_it(phone, data, picture):
    phone.goto(data["url"] + "?filters=Country%3AKenya")
    picture(phone, "phone-resource")
    phone.locator("a[aria-haspopup=dialog]").tap()
    dialog = phone.locator("dialog.packager-dialog")
    expect(dialog).to_contain_text("Country is Kenya")
    picture(phone, "phone-dialog")
    assert phone.evaluate(
        "document.querySelector('dialog').scrollWidth <= document.querySelector('dialog').clientWidth"
    )
    phone.goto(f"/download-request/resource/{data['table']['id']}?filters=Country%3AKenya")
    picture(phone, "phone-form")
    assert phone.evaluate("document.querySelector('.packager-form').scrollWidth <= window.innerWidth")
