"""No message about a wrong value is in the words of Python or msgspec, whatever is wrong and wherever it stands."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from ckanpackager.cli.remote import Options, read_defaults
from ckanpackager.config.load import load_settings
from ckanpackager.config.settings import keys
from ckanpackager.errors import BadRequest, ConfigError
from ckanpackager.jobs import job as jobs
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.parameters import request_from
from ckanpackager.jobs.request import TASKS

FOREIGN = re.compile(
    r"`|\bExpected\b|Invalid enum|\bObject\b|\b(str|dict|int|bool|NoneType|float|list\[)\b|\$[.\[]|codec|surrogate"
)
VALUES: dict[str, Any] = {
    "text": "abc",
    "number": 7,
    "negative": -7,
    "fraction": 1.5,
    "truth": True,
    "null": None,
    "list": ["abc", 7, None, {"a": []}],
    "mapping": {"abc": 7, "fast": "x", "extension": 3, "fields": {"a": 1}},
    "nested": {"a": {"task": 5, "refresh": [1]}, "fields": []},
    "empty": "",
}
PARAMETERS = {
    "api_url": "https://c.example.org/api/3/action/datastore_search",
    "resource_id": "r",
    "dataset_id": "d",
    "resource_url": "https://c.example.org/f.csv",
    "email": "a@b.org",
}
BROKEN_JSON = ["{", '{"a": 1,}', "{'a': 1}", '{"a" 1}', '{"a": nan}', "[1]", '{"a": 1} x', '"x"', "\udc80", "[" * 5000]


def plain(text: str) -> None:
    assert text and not FOREIGN.search(text), text


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("key", keys())
def test_the_configuration(tmp_path: Path, key: str, kind: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump({"download_url": "https://data.example.org/dl"} | {key: VALUES[kind]}))
    try:
        load_settings(file, {})
    except ConfigError as error:
        for line in str(error).splitlines():
            assert re.match(rf"{re.escape(str(file))}(:\d+)?: ", line)
            plain(line)


def faults_of_parameters() -> Iterator[tuple[str, str, str]]:
    for task, kind in TASKS.items():
        for name in kind.__struct_fields__:
            for value in VALUES:
                yield task, name, value


@pytest.mark.parametrize(("task", "name", "kind"), faults_of_parameters())
def test_parameters(task: str, name: str, kind: str) -> None:
    known = {each: value for each, value in PARAMETERS.items() if each in TASKS[task].__struct_fields__}
    for value in (VALUES[kind], json.dumps(VALUES[kind])):
        try:
            request_from(task, known | {name: value}, strict=True)
        except BadRequest as error:
            assert str(error).startswith(name)
            plain(str(error))


@pytest.mark.parametrize("text", BROKEN_JSON)
def test_json_in_parameters_and_in_the_file_of_defaults(tmp_path: Path, text: str) -> None:
    for name in ("filters", "fields", "sort", "q"):
        try:
            request_from("package_datastore", PARAMETERS | {name: text})
        except BadRequest as error:
            plain(str(error))
    file = tmp_path / "defaults.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadRequest) as caught:
        read_defaults(Options(defaults=file))
    plain(str(caught.value))
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("kind", VALUES)
def test_job_files(kind: str) -> None:
    job = Job(request=request_from("package_datastore", PARAMETERS), created=1, queue="fast")
    whole = msgspec.json.decode(jobs.encode(job))
    whole |= dict.fromkeys(("attempts", "archive", "failure", "link_mailed_at", "cancelled"))
    for place in (whole, whole["request"]):
        for name in list(place):
            before = place[name]
            place[name] = VALUES[kind]
            with_fault(json.dumps(whole).encode())
            place[name] = before
    with_fault(json.dumps(VALUES[kind]).encode())
    del whole["request"]
    with_fault(json.dumps(whole).encode())


@pytest.mark.parametrize("text", BROKEN_JSON)
def test_broken_job_files(text: str) -> None:
    with_fault(text.encode("utf-8", "surrogateescape"))


def with_fault(content: bytes) -> None:
    try:
        jobs.decode("id", content)
    except BadRequest as error:
        assert str(error).startswith("no valid job: ")
        plain(str(error))


def test_a_wrong_value_is_quoted_but_no_secret() -> None:
    with pytest.raises(BadRequest, match="limit: expected a whole number, got text 'many'"):
        request_from("package_datastore", PARAMETERS | {"limit": "many"})
    with pytest.raises(BadRequest) as caught:
        request_from("package_datastore", PARAMETERS | {"key": 12345})
    assert "key: expected text, got a number" in str(caught.value)
