"""The pages, as a browser without JavaScript sees them."""

import json
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from ckan.tests import factories

from .conftest import JOB, make_table, make_user, trusted


def form_url(table, **arguments):
    query = "&".join(f"{name}={quote(value)}" for name, value in arguments.items())
    return f"/download-request/resource/{table['id']}?{query}"


def button(page, words):
    """Where the link with these words leads to."""
    before = page.html[: page.html.index(words)]
    return before[before.rindex('href="') + 6 :].split('"')[0].replace("&amp;", "&")


class TestButton:
    def test_the_resource_page_has_it_with_the_pages_filters(self, packager, client, dataset, table):
        page = client.get(f"/dataset/{dataset['name']}/resource/{table['id']}?filters=Country%3AKenya&q=aloe")
        url = urlsplit(button(page, "Request download"))
        assert url.path == f"/download-request/resource/{table['id']}"
        assert parse_qs(url.query) == {"filters": ["Country:Kenya"], "q": ["aloe"]}

    def test_the_view_that_is_shown_is_named(self, packager, client, dataset, table):
        view = trusted("resource_view_create", resource_id=table["id"], title="Table", view_type="datatables_view")
        page = client.get(f"/dataset/{dataset['name']}/resource/{table['id']}")
        assert parse_qs(urlsplit(button(page, "Request download")).query) == {"view_id": [view["id"]]}

    def test_a_file_has_it_too(self, packager, client, dataset):
        resource = factories.Resource(package_id=dataset["id"], url="https://elsewhere.example.org/a.csv")
        page = client.get(f"/dataset/{dataset['name']}/resource/{resource['id']}")
        assert "Request download" in page.words

    @pytest.mark.ckan_config("ckanext.packager.url", "")
    def test_without_a_packager_there_is_none(self, client, dataset, table):
        assert "Request download" not in client.get(f"/dataset/{dataset['name']}/resource/{table['id']}").words
        assert "Download everything" not in client.get(f"/dataset/{dataset['name']}").words

    def test_private_data_has_it_only_where_the_packager_has_a_token(
        self, packager, client, organization, private_table, ckan_config, monkeypatch
    ):
        client.log_in(organization["member"])
        url = f"/dataset/{private_table['package_id']}/resource/{private_table['id']}"
        assert "Request download" not in client.get(url).words
        monkeypatch.setitem(ckan_config, "ckanext.packager.api_token", "the-readers-token")
        assert "Request download" in client.get(url).words

    def test_the_dataset_page_has_it(self, packager, client, dataset, table):
        page = client.get(f"/dataset/{dataset['name']}")
        assert urlsplit(button(page, "Download everything")).path == f"/download-request/dataset/{dataset['id']}"

    def test_no_request_is_made_to_the_packager_for_it(self, packager, client, dataset, table):
        client.get(f"/dataset/{dataset['name']}/resource/{table['id']}")
        client.get(f"/dataset/{dataset['name']}")
        assert packager.calls == []


class TestForm:
    def test_it_shows_the_selection_in_words_and_its_rows(self, packager, client, table):
        page = client.get(form_url(table, filters="Country:Kenya|Country:Japan|Year:1901", q="aloe"))
        assert "Country is Kenya or Japan" in page.words
        assert "Year is 1901" in page.words
        assert "The row contains “aloe”" in page.words
        assert " 1 row, about " in page.words

    def test_without_a_selection_it_says_all_rows(self, packager, client, table):
        page = client.get(form_url(table))
        assert "All rows; nothing is filtered." in page.words
        assert "3 rows, about" in page.words

    def test_the_boxes_of_datatables_count_as_it_counts_them(self, packager, client, table):
        page = client.get(form_url(table, columns=json.dumps({"Country": "Ken", "Name": "Alo"})))
        assert "Country has a word that begins with “Ken”" in page.words
        assert " 1 row, about " in page.words
        page = client.get(form_url(table, search="Alo"))
        assert "A word begins with “Alo”" in page.words
        assert " 2 rows, about " in page.words

    def test_the_views_own_filters_hold(self, packager, client, table):
        view = trusted(
            "resource_view_create",
            resource_id=table["id"],
            title="Kenya",
            view_type="datatables_view",
            filter_fields=["Country"],
            filter_values=["Kenya"],
        )
        page = client.get(form_url(table, view_id=view["id"]))
        assert "Country is Kenya" in page.words
        assert " 2 rows, about " in page.words

    def test_conditions_are_removed_one_by_one_and_the_rest_stays(self, packager, client, table):
        page = client.get(form_url(table, filters="Country:Kenya|Year:1901"))
        sent = {"selection": page.field("selection"), "email": "half typed", "format": "xlsx", "remove": "1"}
        page = client.post(form_url(table), sent)
        assert "Country is Kenya" in page.words
        assert "Year is" not in page.words
        assert " 2 rows, about " in page.words
        assert page.field("email") == "half typed"
        assert '<option value="xlsx" selected>' in page.html
        assert packager.requests() == []

    def test_a_condition_that_ckan_cannot_apply_is_said_and_can_be_removed(self, packager, client, table):
        page = client.get(form_url(table, filters="Nonsense:1|Country:Kenya"))
        assert "The portal cannot apply these conditions" in page.words
        page = client.post(form_url(table), {"selection": page.field("selection"), "remove": "0"})
        assert " 2 rows, about " in page.words

    @pytest.mark.parametrize("filters", ["Year:nonsense", "Year:", "_id:x"])
    def test_a_wrong_value_is_said_in_words(self, packager, client, table, filters):
        assert "The portal cannot apply these conditions" in client.get(form_url(table, filters=filters)).words

    @pytest.mark.parametrize("columns", ['{"Name": ":*"}', "[]", "{", '{"Name": "\'"}'])
    def test_odd_searches_make_no_error_page(self, packager, client, table, columns):
        assert "What you get" in client.get(form_url(table, columns=columns)).words

    def test_markup_in_a_selection_is_text(self, packager, client, table):
        page = client.get(form_url(table, q="<script>alert(1)</script>"))
        assert "<script>alert(1)" not in page.html

    def test_the_address_of_who_is_logged_in_is_filled_in(self, packager, client, table):
        user = make_user()
        email = trusted("user_show", id=user["id"])["email"]
        assert client.log_in(user).get(form_url(table)).field("email") == email

    def test_formats_are_those_that_both_sides_offer(self, packager, client, table):
        packager.answer_status(formats=["csv", "parquet"], tasks=["package_datastore"], version="2.0.0")
        page = client.get(form_url(table))
        assert page.field("format") == "csv"
        assert "XLSX" not in page.html

    def test_an_older_packager_is_trusted_with_all_that_is_allowed(self, packager, client, table):
        page = client.get(form_url(table))
        assert [name for name in ("csv", "tsv", "xlsx", "ndjson") if f'<option value="{name}"' in page.html] == [
            "csv",
            "tsv",
            "xlsx",
            "ndjson",
        ]

    @pytest.mark.ckan_config("ckanext.packager.formats", "xlsx dwca")
    def test_darwin_core_is_offered_where_it_is_configured_for_tables_alone(self, packager, client, dataset, table):
        assert "Darwin Core Archive" in client.get(form_url(table)).words
        assert "Darwin Core Archive" not in client.get(f"/download-request/dataset/{dataset['id']}").words

    def test_a_dataset_lists_its_resources_and_their_sizes(self, packager, client, dataset, table):
        factories.Resource(package_id=dataset["id"], name="A file", size=1_234_567)
        factories.Resource(package_id=dataset["id"], name="A link")
        page = client.get(f"/download-request/dataset/{dataset['name']}")
        assert "Specimens 3 rows A file 1.2 MB A link size unknown" in page.words

    def test_what_is_private_is_not_found_by_others(self, packager, client, private_table):
        client.get(form_url(private_table), 404)
        client.get(f"/download-request/dataset/{private_table['package_id']}", 404)
        client.post(form_url(private_table), {"email": "a@example.org"}, 404)

    @pytest.mark.ckan_config("ckanext.packager.anonymous", False)
    def test_anonymous_people_are_asked_to_log_in(self, packager, client, table):
        page = client.get(form_url(table, filters="Country:Kenya"), 302)
        target = parse_qs(urlsplit(page.location).query)["next"][0]
        assert urlsplit(target).path == urlsplit(form_url(table)).path
        assert parse_qs(urlsplit(target).query)["filters"] == ["Country:Kenya"]


class TestSending:
    def send(self, client, table, status=302, **sent):
        page = client.get(form_url(table, filters="Country:Kenya"))
        data = {"selection": page.field("selection"), "email": "a@example.org", "format": "tsv", **sent}
        return client.post(form_url(table), data, status)

    def test_it_leads_to_the_page_of_the_job_with_the_packagers_words(self, packager, client, table):
        packager.answer(
            "/package_datastore", msg="You are in.", job=JOB, status_url=f"https://p.example.org/jobs/{JOB}"
        )
        sent = self.send(client, table)
        assert urlsplit(sent.location).path == f"/download-request/job/{JOB}"
        assert packager.requests()[0][1]["filters"] == {"Country": ["Kenya"]}
        assert packager.requests()[0][1]["format"] == "tsv"
        packager.answer("/status", state="waiting", position=2)
        page = client.get(f"/download-request/job/{JOB}")
        assert "You are in." in page.words
        assert f'href="https://p.example.org/jobs/{JOB}"' in page.html
        assert "2 requests are ahead of yours" in page.words

    @pytest.mark.parametrize(
        ("answer", "status", "words"),
        [
            ((429, "You have 5 open requests."), 400, "You have 5 open requests."),
            ((400, "email: expected one e-mail address"), 400, "email: expected one e-mail address"),
            ((503, "cannot write"), 503, "The download service cannot be reached just now."),
        ],
    )
    def test_a_refusal_loses_nothing_that_was_typed(self, packager, client, table, answer, status, words):
        packager.answer("/package_datastore", answer[0], msg=answer[1])
        page = self.send(client, table, status)
        assert words in page.words
        assert page.field("email") == "a@example.org"
        assert '<option value="tsv" selected>' in page.html
        assert "Country is Kenya" in page.words

    def test_a_packager_that_is_down_loses_nothing(self, packager, client, table, ckan_config, monkeypatch):
        monkeypatch.setitem(ckan_config, "ckanext.packager.url", "http://127.0.0.1:9")
        page = self.send(client, table, 503)
        assert "The download service cannot be reached just now." in page.words
        assert "Nothing was requested. What you entered is still here." in page.words
        assert page.field("email") == "a@example.org"
        assert "Country is Kenya" in page.words

    def test_a_wrong_address_is_marked_and_kept(self, packager, client, table):
        page = self.send(client, table, 400, email="someone at example")
        assert page.field("email") == "someone at example"
        assert 'aria-invalid="true"' in page.html
        assert packager.requests() == []

    def test_a_packager_that_names_no_job_is_thanked_for_all_the_same(self, packager, client, table):
        packager.answer("/package_datastore", message="Your request is queued.")  # as the original ckanpackager
        page = self.send(client, table, 200)
        assert "Your request is queued." in page.words
        assert "/download-request/job/" not in page.html

    def test_a_broken_selection_is_no_error_page(self, packager, client, table):
        page = client.post(form_url(table), {"selection": "[nonsense", "email": "bad"}, 400)
        assert "All rows; nothing is filtered." in page.words

    def test_the_dialog_gets_the_inner_part_alone(self, packager, client, table):
        page = client.post(form_url(table), {"email": ""}, 400, headers={"X-Requested-With": "XMLHttpRequest"})
        assert "<html" not in page.html
        assert page.html.lstrip().startswith("<!--") or page.html.lstrip().startswith('<form class="packager-form"')


def test_tables_beyond_the_first_are_listed_without_being_counted(packager, client, dataset, table, monkeypatch):
    from ckanext.packager import forms

    monkeypatch.setattr(forms, "_COUNTED", 1)
    make_table(dataset["id"], "More")
    assert "Specimens 3 rows More size unknown" in client.get(f"/download-request/dataset/{dataset['id']}").words
