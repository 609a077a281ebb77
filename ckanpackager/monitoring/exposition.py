"""Measurements in Prometheus' text format, by Prometheus' own library."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ckanpackager.monitoring.measure import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_FAMILIES = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily}


def text_of(metrics: Sequence[Metric]) -> bytes:
    """The metrics as text, each with its help.

    They are told by a registry of their own: the library's common one counts what this process does, which under CGI
    has just begun.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Told(metrics))
    text: bytes = generate_latest(registry)
    return text


class _Told(Collector):
    """Tells what was measured."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        for metric in self._metrics:
            family = _FAMILIES[metric.kind](f"ckanpackager_{metric.name}", metric.help, labels=metric.labels)
            for labels, value in metric.values:
                family.add_metric(labels, value)
            yield family
