"""Naming rules and helpers that the metrics of the API and of the worker share."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from platform import python_version

from prometheus_client import CollectorRegistry, Info, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

# Each would double the series of a counter or histogram, for a creation time that no query uses.
disable_created_metrics()  # type: ignore[no-untyped-call]


_FAMILY = re.compile(rb"^# HELP (\S+) ", re.MULTILINE)


class Labelled(Collector):
    """The metrics of a registry, with further labels at each sample.

    Args:
        registry: whose metrics they are.
        labels: values by name; a sample that has one of the names keeps its own.
    """

    def __init__(self, registry: Collector, labels: Mapping[str, str]) -> None:
        self._registry = registry
        self._labels = dict(labels)

    def collect(self) -> Iterator[Metric]:
        """What the registry has now."""
        for family in self._registry.collect():
            labelled = copy.copy(family)
            labelled.samples = [sample._replace(labels={**self._labels, **sample.labels}) for sample in family.samples]
            yield labelled


def joined(texts: Iterable[bytes]) -> bytes:
    r"""Several texts of Prometheus' format as one, in which each family is there once, with the samples of all.

    >>> one, other = (b'# HELP a A.\n# TYPE a gauge\na{of="%d"} 1.0\n' % number for number in (1, 2))
    >>> print(joined([one, other]).decode(), end="")
    # HELP a A.
    # TYPE a gauge
    a{of="1"} 1.0
    a{of="2"} 1.0
    """
    families: dict[bytes, list[bytes]] = {}
    for text in texts:
        found = [*_FAMILY.finditer(text)]
        ends = [each.start() for each in found[1:]] + [len(text)] * bool(found)
        for each, end in zip(found, ends, strict=True):
            name, lines = each[1], text[each.start() : end].splitlines(keepends=True)
            families[name] = [*families[name], *lines[2:]] if name in families else lines
    return b"".join(line for lines in families.values() for line in lines)


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
