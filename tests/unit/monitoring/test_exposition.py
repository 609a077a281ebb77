"""Measurements as Prometheus' text: right by its own parser, and nothing about this process."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ckanpackager.monitoring.exposition import text_of
from ckanpackager.monitoring.measure import Metric

JOBS = Metric("jobs", "Jobs by queue.", [(("fast",), 3), (("slow",), 0)], ("queue",))
SERVED = Metric("requests_total", "Requests.", [((), 1_000_001)], kind="counter")


def test_every_value_is_told_with_its_labels_and_its_help() -> None:
    families = {family.name: family for family in text_string_to_metric_families(text_of([JOBS, SERVED]).decode())}
    assert set(families) == {"ckanpackager_jobs", "ckanpackager_requests"}
    jobs = families["ckanpackager_jobs"]
    assert (jobs.type, jobs.documentation) == ("gauge", "Jobs by queue.")
    assert [(sample.labels, sample.value) for sample in jobs.samples] == [
        ({"queue": "fast"}, 3),
        ({"queue": "slow"}, 0),
    ]
    (served,) = families["ckanpackager_requests"].samples
    assert (served.name, served.value) == ("ckanpackager_requests_total", 1_000_001)


def test_nothing_is_told_of_the_process_that_measures() -> None:
    text = text_of([SERVED]).decode()
    assert not [word for word in ("process_", "python_gc", "_created") if word in text]


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "übung{}"])
def test_a_label_cannot_break_out_of_its_line(name: str) -> None:
    text = text_of([Metric("x", "X.", [((name,), 1)], ("name",))]).decode()
    ((sample,),) = [family.samples for family in text_string_to_metric_families(text)]
    assert sample.labels == {"name": name}
