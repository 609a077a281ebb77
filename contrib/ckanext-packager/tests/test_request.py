"""The action `packager_request`: what is sent, to whom it is allowed, what is refused."""

import pytest
from ckan.plugins import toolkit as tk
from ckan.tests import factories

from .conftest import JOB, SECRET, action, make_table, make_user, trusted


def errors_of(*arguments, **data):
    with pytest.raises(tk.ValidationError) as caught:
        action(*arguments, **data)
    return caught.value.error_dict


def test_the_rows_that_are_selected_are_requested(packager, table):
    answer = action(
        "packager_request",
        resource_id=table["id"],
        email="someone@example.org",
        format="xlsx",
        filters={"Country": ["Kenya"]},
        q="aloe",
    )
    assert answer == {"job": JOB, "message": "Queued: you will get a mail."}
    assert packager.requests() == [
        (
            "/package_datastore",
            {
                "secret": SECRET,
                "api_url": "http://test.ckan.net/api/3/action/datastore_search",
                "resource_id": table["id"],
                "email": "someone@example.org",
                "format": "xlsx",
                "filters": {"Country": ["Kenya"]},
                "q": "aloe",
            },
        )
    ]


def test_a_search_that_is_not_plain_stays_so(packager, table):
    search = {"q": {"Country": "Ken:*"}, "plain": False, "language": "simple"}
    action("packager_request", resource_id=table["id"], email="someone@example.org", **search)
    assert {name: packager.requests()[0][1][name] for name in search} == search


def test_a_file_is_requested_with_the_api_url_beside_it(packager, dataset):
    resource = factories.Resource(package_id=dataset["id"], url="https://elsewhere.example.org/a.csv")
    action("packager_request", resource_id=resource["id"], email="someone@example.org", filters={"a": "b"})
    assert packager.requests() == [
        (
            "/package_url",
            {
                "secret": SECRET,
                "api_url": "http://test.ckan.net/api/3/action/datastore_search",
                "resource_id": resource["id"],
                "resource_url": "https://elsewhere.example.org/a.csv",
                "email": "someone@example.org",
            },
        )
    ]


def test_a_dataset_is_requested_as_a_whole(packager, dataset, table):
    action("packager_request", dataset_id=dataset["name"], email="someone@example.org", format="tsv")
    path, parameters = packager.requests()[0]
    assert path == "/package_dataset"
    assert (parameters["dataset_id"], parameters["format"]) == (dataset["id"], "tsv")


@pytest.mark.ckan_config("ckanext.packager.formats", "csv dwca")
def test_a_darwin_core_archive_is_another_task(packager, table):
    action("packager_request", resource_id=table["id"], email="someone@example.org", format="dwca")
    path, parameters = packager.requests()[0]
    assert path == "/package_dwc_archive"
    assert "format" not in parameters


@pytest.mark.ckan_config("ckanext.packager.ckan_url", "http://inside:5000/")
def test_the_packager_is_told_the_address_that_it_can_reach(packager, dataset):
    resource = factories.Resource(package_id=dataset["id"], url="http://test.ckan.net/dataset/x/a.csv")
    action("packager_request", resource_id=resource["id"], email="someone@example.org")
    parameters = packager.requests()[0][1]
    assert parameters["api_url"] == "http://inside:5000/api/3/action/datastore_search"
    assert parameters["resource_url"] == "http://inside:5000/dataset/x/a.csv"


def test_a_user_need_not_give_their_address(packager, table):
    user = make_user()
    action("packager_request", user["name"], resource_id=table["id"])
    email = trusted("user_show", id=user["id"])["email"]
    assert packager.requests()[0][1]["email"] == email


@pytest.mark.parametrize(
    ("field", "data"),
    [
        ("email", {"email": "nonsense"}),
        ("email", {}),
        ("format", {"email": "a@example.org", "format": "docx"}),
        ("filters", {"email": "a@example.org", "filters": "[1]"}),
        ("q", {"email": "a@example.org", "q": {"Name": 1}}),
    ],
)
def test_a_wrong_parameter_is_named_and_nothing_is_sent(packager, table, field, data):
    assert list(errors_of("packager_request", resource_id=table["id"], **data)) == [field]
    assert packager.requests() == []


def test_either_a_resource_or_a_dataset_is_requested(packager, dataset, table):
    assert "resource_id" in errors_of("packager_request", email="a@example.org")
    both = {"resource_id": table["id"], "dataset_id": dataset["id"]}
    assert "resource_id" in errors_of("packager_request", email="a@example.org", **both)


def test_what_does_not_exist_cannot_be_requested(packager):
    with pytest.raises(tk.ObjectNotFound):
        action("packager_request", resource_id="nothing", email="a@example.org")


def test_a_resource_without_rows_and_file_cannot_be_requested(packager, dataset):
    resource = factories.Resource(package_id=dataset["id"], url="")
    assert "packager" in errors_of("packager_request", resource_id=resource["id"], email="a@example.org")
    assert packager.requests() == []


@pytest.mark.ckan_config("ckanext.packager.anonymous", False)
def test_anonymous_requests_can_be_switched_off(packager, table):
    with pytest.raises(tk.NotAuthorized):
        action("packager_request", resource_id=table["id"], email="a@example.org")
    action("packager_request", make_user()["name"], resource_id=table["id"])
    assert len(packager.requests()) == 1


class TestPrivateData:
    """A key goes along only for what the public cannot read, and only for people who may read it."""

    @pytest.mark.ckan_config("ckanext.packager.api_token", "the-readers-token")
    def test_whoever_may_read_it_gets_it_by_the_readers_token(self, packager, organization, private_table):
        action("packager_request", organization["member"]["name"], resource_id=private_table["id"])
        assert packager.requests()[0][1]["key"] == "the-readers-token"

    @pytest.mark.ckan_config("ckanext.packager.api_token", "the-readers-token")
    def test_others_get_nothing(self, packager, private_table):
        for user in ("", make_user()["name"]):
            with pytest.raises(tk.NotAuthorized):
                action("packager_request", user, resource_id=private_table["id"], email="a@example.org")
            with pytest.raises(tk.NotAuthorized):
                action("packager_request", user, dataset_id=private_table["package_id"], email="a@example.org")
        assert packager.requests() == []

    @pytest.mark.ckan_config("ckanext.packager.api_token", "the-readers-token")
    def test_public_data_goes_without_a_key(self, packager, organization, dataset, table):
        action("packager_request", organization["member"]["name"], resource_id=table["id"])
        action("packager_request", organization["member"]["name"], dataset_id=dataset["id"])
        assert all("key" not in parameters for _, parameters in packager.requests())

    def test_without_a_readers_token_it_is_refused_in_words(self, packager, organization, private_table):
        member = organization["member"]["name"]
        assert "private" in errors_of("packager_request", member, resource_id=private_table["id"])["packager"][0]
        assert "private" in errors_of("packager_request", member, dataset_id=private_table["package_id"])["packager"][0]
        assert packager.requests() == []

    @pytest.mark.ckan_config("ckanext.packager.api_token", "the-readers-token")
    def test_a_persons_own_token_never_leaves_ckan(self, packager, app, organization, private_table):
        token = trusted("api_token_create", user=organization["member"]["name"], name="own")["token"]
        app.post(
            "/api/action/packager_request",
            json={"resource_id": private_table["id"], "key": token},
            headers={"Authorization": token},
            status=200,
        )
        assert token not in str(packager.calls)
        assert packager.requests()[0][1]["key"] == "the-readers-token"

    @pytest.mark.ckan_config("ckanext.packager.api_token", "the-readers-token")
    def test_a_private_dataset_is_packed_with_the_token(self, packager, organization, private_table):
        action("packager_request", organization["member"]["name"], dataset_id=private_table["package_id"])
        assert packager.requests()[0][1]["key"] == "the-readers-token"


class TestRefusals:
    def test_the_packagers_own_words_are_passed_on(self, packager, table):
        packager.answer("/package_datastore", 429, msg="You have 5 open requests; please wait.")
        errors = errors_of("packager_request", resource_id=table["id"], email="a@example.org")
        assert errors == {"packager": ["You have 5 open requests; please wait."]}

    def test_a_wrong_address_is_said_beside_the_field(self, packager, table):
        packager.answer("/package_datastore", 400, msg="email: expected one e-mail address")
        errors = errors_of("packager_request", resource_id=table["id"], email="a@example.org")
        assert errors == {"email": ["email: expected one e-mail address"]}

    @pytest.mark.parametrize("status", [401, 500, 503])
    def test_faults_of_the_service_are_told_in_plain_words(self, packager, table, status):
        packager.answer("/package_datastore", status, msg="internal: the secret is wrong")
        errors = errors_of("packager_request", resource_id=table["id"], email="a@example.org")
        assert errors["packager"] == [
            "The download service cannot be reached just now. Please try again in a few minutes."
        ]

    def test_a_task_that_an_older_packager_lacks_is_said_so(self, packager, dataset, table):
        del packager.answers["/package_dataset"]
        errors = errors_of("packager_request", dataset_id=dataset["id"], email="a@example.org")
        assert errors == {"packager": ["The download service does not offer this."]}

    def test_a_packager_that_is_down_is_told_in_plain_words(self, packager, table, ckan_config, monkeypatch):
        monkeypatch.setitem(ckan_config, "ckanext.packager.url", "http://127.0.0.1:9")
        errors = errors_of("packager_request", resource_id=table["id"], email="a@example.org")
        assert "cannot be reached" in errors["packager"][0]

    def test_the_secret_does_not_follow_a_redirect(self, packager, table):
        packager.answer("/package_datastore", 307, headers={"Location": "http://127.0.0.1:9/elsewhere"})
        errors = errors_of("packager_request", resource_id=table["id"], email="a@example.org")
        assert "cannot be reached" in errors["packager"][0]
        assert len(packager.requests()) == 1


class TestStatus:
    def test_whoever_knows_a_job_may_see_it(self, packager):
        packager.answer("/status", state="running", rows=10, message="Being packed", msg="Being packed")
        assert action("packager_status", job=JOB) == {"state": "running", "rows": 10, "message": "Being packed"}
        assert packager.calls == [("/status", {"secret": SECRET, "job": JOB})]

    def test_an_unknown_job_is_not_found(self, packager):
        packager.answer("/status", 400, msg="job: there is no such job")
        with pytest.raises(tk.ObjectNotFound):
            action("packager_status", job=JOB)

    def test_nothing_but_an_id_is_passed_on(self, packager):
        with pytest.raises(tk.ObjectNotFound):
            action("packager_status", job="../status")
        assert packager.calls == []

    def test_the_service_is_for_sysadmins(self, packager):
        with pytest.raises(tk.NotAuthorized):
            action("packager_status", make_user()["name"])
        assert action("packager_status", make_user(sysadmin=True)["name"])["processed_requests"] == 7

    def test_it_can_be_read_by_get(self, packager, app):
        packager.answer("/status", state="waiting", position=2)
        answer = app.get(f"/api/action/packager_status?job={JOB}", status=200)
        assert answer.json["result"] == {"state": "waiting", "position": 2}


def test_a_request_by_the_api_is_the_same_as_by_the_page(packager, app, table):
    data = {"resource_id": table["id"], "email": "a@example.org", "filters": '{"Country": "Kenya"}'}
    answer = app.post("/api/action/packager_request", json=data, status=200)
    assert answer.json["result"]["job"] == JOB
    assert packager.requests()[0][1]["filters"] == {"Country": ["Kenya"]}


def test_the_doi_of_a_dataset_goes_along(packager, table, monkeypatch):
    from ckanext.packager.logic import action as module

    real = tk.get_action

    def with_doi(name):
        if name != "package_show":
            return real(name)
        return lambda context, data: {**real(name)(context, data), "doi": "10.5519/x"}

    monkeypatch.setattr(module.tk, "get_action", with_doi)
    module.packager_request({"user": ""}, {"resource_id": table["id"], "email": "a@example.org"})
    assert packager.requests()[0][1]["doi"] == "10.5519/x"


def test_a_dataset_with_several_tables_is_one_request(packager, dataset, table):
    make_table(dataset["id"], "More")
    action("packager_request", dataset_id=dataset["id"], email="a@example.org")
    assert len(packager.requests()) == 1
