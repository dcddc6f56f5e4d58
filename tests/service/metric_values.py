"""Values of metrics in Prometheus' text format."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families


def metric_value(text: str, name: str, **labels: str) -> float:
    """The value of the only sample of a name that has these labels, whichever others it has."""
    (found,) = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return found


def shows(client: httpx.Client, name: str, value: float) -> bool:
    """Whether a service's metrics have this value now."""
    return metric_value(client.get("/metrics").text, name) == value
