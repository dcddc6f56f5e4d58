"""Metrics of webhooks: what was taken, repeated and given up, and how long the oldest decision has waited."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge


class WebhookMetrics:
    """Metrics of each address, under the number of its place in ``OLAD_WEBHOOK_URLS``: it may hold a secret.

    Args:
        addresses: how many there are.
        registry: to which the metrics are added, once.
        clock: seconds that only grow.
    """

    def __init__(self, addresses: int, registry: CollectorRegistry, clock: Callable[[], float]) -> None:
        deliveries, retries, failures = (
            Counter(f"olad_worker_webhook_{name}", text, ["webhook"], registry=registry)
            for name, text in (
                ("deliveries", "Decisions that an address has taken."),
                ("retries", "Attempts to send a decision after the first one."),
                ("failures", "Decisions that were given up."),
            )
        )
        oldest = Gauge(
            "olad_worker_webhook_oldest_seconds",
            "Time since the first attempt to send the oldest decision that was not taken; 0 where none waits.",
            ["webhook"],
            registry=registry,
        )
        numbers = [str(number) for number in range(1, addresses + 1)]
        self.addresses = tuple(
            AddressMetrics(deliveries.labels(number), retries.labels(number), failures.labels(number), clock)
            for number in numbers
        )
        for number, address in zip(numbers, self.addresses, strict=True):
            oldest.labels(number).set_function(address.waited)


class AddressMetrics:
    """Metrics of one address.

    Args:
        deliveries: counts decisions that were taken.
        retries: counts attempts after the first.
        failures: counts decisions that were given up.
        clock: seconds that only grow.
    """

    def __init__(self, deliveries: Counter, retries: Counter, failures: Counter, clock: Callable[[], float]) -> None:
        self._deliveries, self._retries, self._failures = deliveries, retries, failures
        self._clock = clock
        self._since: float | None = None

    def begin(self, attempt: int) -> None:
        """Count an attempt to send the oldest decision, the first of which is 1."""
        if attempt == 1:
            self._since = self._clock()
        else:
            self._retries.inc()

    def end(self, *, taken: bool) -> None:
        """Count that it was taken, or given up."""
        self._since = None
        (self._deliveries if taken else self._failures).inc()

    def waited(self) -> float:
        """Seconds since the first attempt to send the oldest decision; 0 where none waits."""
        since = self._since
        return 0.0 if since is None else max(0.0, self._clock() - since)
