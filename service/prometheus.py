"""Naming rules and helpers that the metrics of the API and of the worker share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import version
from platform import python_version

from prometheus_client import CollectorRegistry, Info, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

# Each would double the series of a counter or histogram, for a creation time that no query uses.
disable_created_metrics()  # type: ignore[no-untyped-call]


def add_build_info(registry: CollectorRegistry) -> None:
    """Add ``olad_build_info``, which is 1 and names versions in its labels."""
    Info("olad_build", "Versions of olad and Python.", registry=registry).info(
        {"version": version("olad"), "python": python_version()}
    )


def gauge(name: str, help_text: str, value: float | None) -> Iterator[Metric]:
    """A gauge; nothing where its value is not known."""
    if value is not None:
        yield GaugeMetricFamily(name, help_text, value=value)


def counter(name: str, help_text: str, value: float | None) -> Iterator[Metric]:
    """A counter, whose name ends with ``_total``; nothing where its value is not known."""
    if value is not None:
        yield CounterMetricFamily(name, help_text, value=value)


def gauges_by(label: str, name: str, help_text: str, values: Iterable[tuple[str, float | None]]) -> Iterator[Metric]:
    """A gauge with one label; without the values that are not known."""
    family = GaugeMetricFamily(name, help_text, labels=[label])
    for of, value in values:
        if value is not None:
            family.add_metric([of], value)
    if family.samples:
        yield family
