"""The registry is the one place that knows the formats."""

from importlib import import_module
from inspect import signature

import msgspec
import pytest

from ckanpackager.errors import BadRequest
from ckanpackager.formats.registry import FORMATS, without_suffix
from ckanpackager.jobs.parameters import request_from


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)
def test_every_format_has_a_writer(format):
    module = import_module(f"ckanpackager.formats.{format.module}")
    assert list(signature(module.write).parameters) == ["format", "entry", "table"]


@pytest.mark.parametrize("task", ["package_datastore", "package_dataset"])
def test_a_request_may_name_each_format_and_no_other(task):
    of = {"resource_id": "r"} if task == "package_datastore" else {"dataset_id": "d"}
    parameters = {"api_url": "http://ckan.example.org/api", "email": "ann@example.org", **of}
    for name in FORMATS:
        assert request_from(task, {**parameters, "format": name}).format == name
    with pytest.raises(BadRequest, match=" or ".join(FORMATS)):
        request_from(task, {**parameters, "format": "dwca"})


def test_a_name_that_a_job_file_holds_is_checked_too():
    kind = type(
        request_from("package_dataset", {"api_url": "http://x.example/", "email": "a@example.org", "dataset_id": "d"})
    )
    content = {"task": "package_dataset", "api_url": "http://x/", "email": "a@b.c", "dataset_id": "d", "format": "exe"}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(content, kind)


@pytest.mark.parametrize(
    ("title", "without"),
    [("Birds.csv", "Birds"), ("Birds.XLS", "Birds"), ("Birds.jsonl", "Birds"), ("Birds.pdf", "Birds.pdf"), ("a", "a")],
)
def test_the_title_of_a_table_loses_the_suffix_of_a_format(title, without):
    assert without_suffix(title) == without
