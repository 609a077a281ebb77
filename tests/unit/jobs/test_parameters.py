"""Parameters: what is accepted, what is refused and in which words."""

from typing import Any

import pytest

from ckanpackager.errors import BadRequest
from ckanpackager.jobs.parameters import parameters_from_words, request_from
from ckanpackager.jobs.request import PackageDatastore

DATASTORE = {"api_url": "https://c.example.org/api/3/action/datastore_search", "resource_id": "r", "email": "a@b.org"}
URL = {"resource_url": "https://c.example.org/f.csv", "resource_id": "r", "email": "a@b.org"}


def datastore(*, strict: bool = False, **parameters: Any) -> PackageDatastore:
    request = request_from("package_datastore", {**DATASTORE, **parameters}, strict=strict)
    assert isinstance(request, PackageDatastore)
    return request


def refusal(task: str = "package_datastore", *, strict: bool = False, **parameters: Any) -> str:
    known = DATASTORE if task == "package_datastore" else URL
    with pytest.raises(BadRequest) as caught:
        request_from(task, {**known, **parameters}, strict=strict)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What is taken


def test_a_form_and_json_give_the_same_request() -> None:
    values = {"filters": {"a": [1, "é"]}, "plain": True, "fields": ["x", "y"], "offset": 5, "limit": 7, "sort": ["x"]}
    form = {
        "filters": '{"a": [1, "é"]}',
        "plain": "true",
        "fields": "x, y",
        "offset": "5",
        "limit": "7",
        "sort": '["x"]',
    }
    assert datastore(**form) == datastore(**values)


def test_shell_words_give_the_same_request_and_values_may_hold_colons() -> None:
    words = ("api_url:https://c.example.org:8080/x", "resource_id:r", "email:a@b.org", 'filters:{"a": "b:c"}')
    request = request_from("package_datastore", parameters_from_words(words), strict=True)
    assert request == datastore(api_url="https://c.example.org:8080/x", filters={"a": "b:c"})


@pytest.mark.parametrize("word", ["limit", ":5", ""])
def test_a_shell_word_without_name_or_colon_is_refused(word: str) -> None:
    with pytest.raises(BadRequest, match=r"expected PARAM:VALUE, as in email:"):
        parameters_from_words((word,))


def test_a_parameter_given_twice_is_refused() -> None:
    with pytest.raises(BadRequest, match="limit: given twice"):
        parameters_from_words(("limit:1", "limit:2"))


def test_empty_parameters_count_as_absent() -> None:
    assert datastore(q="", filters="", limit="", offset=None, key="", doi="") == datastore()
    assert "email: missing" in refusal(email="")


def test_fields_and_sort_come_as_lists_or_as_ckan_writes_them() -> None:
    assert datastore(fields="a").fields == ["a"]
    assert datastore(fields='["a, b", "c"]').fields == ["a, b", "c"]
    assert datastore(sort="a desc, b").sort == "a desc, b"
    assert datastore(sort='["a desc", "b"]').sort == ["a desc", "b"]


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("True", True), ("1", True), ("false", False), ("0", False)]
)
def test_booleans_come_as_text(text: str, value: bool) -> None:
    assert datastore(plain=text, distinct=text).distinct is value


def test_q_is_text_or_an_object() -> None:
    assert datastore(q="a b").q == "a b"
    assert datastore(q={"a": "b"}).q == {"a": "b"}


# What is refused


@pytest.mark.parametrize(
    ("parameters", "fault"),
    [
        ({"limit": "-1"}, "limit: expected a whole number of at least 0, got text '-1'"),
        ({"limit": "x"}, "limit: expected a whole number, got text 'x'"),
        ({"limit": 1.5}, "limit: expected a whole number, got the number 1.5"),
        ({"limit": 2**63}, "limit: expected a whole number of at most 9223372036854775807, got the number 9"),
        ({"offset": True}, "offset: expected a whole number, got the truth value true"),
        ({"plain": "yes"}, "plain: expected true or false, got text 'yes'"),
        ({"format": "exe"}, "format: expected csv or tsv or xlsx or ndjson or parquet, got text 'exe'"),
        ({"filters": "{"}, "filters: no valid JSON: it ends too early"),
        ({"filters": '{"a": NaN}'}, "filters: no valid JSON: invalid character, at byte 6"),
        ({"filters": '{"a": 1e999}'}, "filters: number out of range"),
        ({"filters": {"a": float("nan")}}, "filters: nan is no number in JSON"),
        ({"filters": {"a": float("inf")}}, "filters: inf is no number in JSON"),
        ({"filters": "5"}, "filters: expected an object or a list, got the number 5"),
        ({"filters": "[1]"}, "filters[0]: expected an object, got the number 1"),
        ({"fields": [1]}, "fields[0]: expected text, got the number 1"),
        ({"resource_id": 28}, "resource_id: expected text, got the number 28"),
        ({"api_url": "ftp://x/"}, "api_url: expected a URL that starts with http:// or https://"),
        ({"api_url": "//x/"}, "api_url: expected a URL"),
        ({"api_url": "http://["}, "api_url: expected a URL"),
        ({"api_url": "http://x:0/"}, "api_url: expected a URL"),
        ({"api_url": "http://x:99999/"}, "api_url: expected a URL"),
        ({"api_url": "http://x/ y"}, "api_url: expected a URL"),
        ({"api_url": "http:///x"}, "api_url: expected a URL"),
        ({"email": "a"}, "email: expected one e-mail address"),
        ({"email": "a@b.org,c@d.org"}, "email: expected one e-mail address"),
        ({"email": "A <a@b.org>"}, "email: expected one e-mail address"),
        ({"email": "a@-b.org"}, "email: expected one e-mail address"),
        ({"email": "a@b..org"}, "email: expected one e-mail address"),
        ({"email": f"{'a' * 250}@b.org"}, "email: expected one e-mail address"),
        ({"key": "é"}, "key: expected an API key in printable ASCII"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_value_is_refused_by_name_with_what_was_expected(parameters: dict[str, Any], fault: str) -> None:
    assert fault in refusal(**parameters)


@pytest.mark.parametrize("name", ["resource_id", "email", "api_url", "key", "doi", "language"])
@pytest.mark.parametrize(
    "breaks", ["\n", "\r\nBcc: eve@example.org", "\0", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u202e", "\ud800"]
)
def test_nothing_that_reaches_a_header_a_mail_or_a_terminal_holds_control_characters(name: str, breaks: str) -> None:
    value = {"email": "a{}@b.org", "api_url": "https://c.example.org/{}x"}.get(name, "a{}b").format(breaks)
    assert refusal(**{name: value}).startswith(f"{name}: expected ")


def test_every_fault_is_named_at_once() -> None:
    said = refusal(limit="x", email="", filters="{", filter="y")
    assert all(f"{name}: " in said for name in ("limit", "email", "filters", "filter"))


@pytest.mark.parametrize("name", ["resource_id", "email", "api_url"])
def test_what_is_required_is_said_to_be_missing(name: str) -> None:
    parameters = {key: value for key, value in DATASTORE.items() if key != name}
    with pytest.raises(BadRequest, match=f"^{name}: missing; package_datastore requires it$"):
        request_from("package_datastore", parameters)


@pytest.mark.parametrize(
    ("task", "said"),
    [("package_datastor", "did you mean package_datastore?"), ("x", "expected one of package_datastore, package_url")],
)
def test_an_unknown_task_is_refused(task: str, said: str) -> None:
    with pytest.raises(BadRequest, match=f"unknown task '{task}': ") as caught:
        request_from(task, DATASTORE)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "meant"), [("filter", "filters"), ("Limit", "limit"), ("e-mail", "email"), ("resource", "resource_id")]
)
def test_an_unknown_parameter_that_is_close_to_a_known_one_is_refused(name: str, meant: str) -> None:
    assert f"{name}: package_datastore has no such parameter; did you mean {meant}?" in refusal(**{name: "1"})


def test_the_extra_parameters_that_ckanext_sends_pass_unless_strict() -> None:
    assert datastore(resource_url="https://x.example.org/", secret="s", anonymous="1") == datastore()
    assert request_from("package_url", {**URL, "format": "csv", "api_url": "x"}) == request_from("package_url", URL)
    assert "resource_url: package_datastore has no such parameter" in refusal(strict=True, resource_url="https://x/")
    assert "it takes api_url, bom, distinct, doi, email" in refusal(strict=True, anonymous="1")


def test_a_strange_name_of_a_parameter_stays_on_its_line() -> None:
    assert "'x\\ny': package_datastore has no such" in refusal(strict=True, **{"x\ny": "1"})


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' + "[" * 60 + "]" * 60 + "}", '{"a":' * 900 + "1" + "}" * 900])
def test_json_too_deep_for_its_readers_is_refused(text: str) -> None:
    assert refusal(filters=text).startswith("filters: ")


def test_half_a_surrogate_pair_is_refused_wherever_it_is() -> None:
    assert "cannot be written as JSON" in refusal(filters={"a": "\ud800"})
    assert "cannot be written as JSON" in refusal(q="\ud800")
    assert "no valid JSON" in refusal(filters='{"a": "\\ud800"}')
