"""The API's own metrics, and the middleware that counts and times requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.shared_metrics import register_shared
from service.prometheus import Labelled, add_build_info, counter, gauge, gauges_by
from service.store.read_replicas import OUTCOMES, Outcome

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class ApiMetrics:
    """Every metric of one API process, in a registry of its own.

    Args:
        shared: folder of the metrics of all API processes under one supervisor, which are shown then; None for a
            process alone (:mod:`service.api.shared_metrics`).
        labels: of every sample, values by name; None for none.
    """

    def __init__(self, shared: Path | None = None, labels: Mapping[str, str] | None = None) -> None:
        registry = CollectorRegistry()
        self._shown = registry if shared is None else CollectorRegistry()
        if shared is None:
            ProcessCollector(registry=registry)
        else:
            register_shared(self._shown, shared)
        self._labelled = Labelled(self._shown, labels or {})
        self._gauges: list[tuple[Gauge, Callable[[], float]]] = []
        add_build_info(self._shown)
        self.store = StoreMetrics()
        self._shown.register(self.store)
        self.requests = Counter(
            "olad_api_requests", "Requests answered.", ["route", "method", "status"], registry=registry
        )
        self.seconds = Histogram(
            "olad_api_request_seconds",
            "Time from a request's head to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.events = Counter("olad_api_events_accepted", "Events appended to the log.", registry=registry)
        self.batches = Counter("olad_api_batches_accepted", "Batches appended to the log.", registry=registry)
        self.replayed = Counter(
            "olad_api_batches_replayed", "Batches answered from their Idempotency-Key.", registry=registry
        )
        self.refused = Counter("olad_api_batches_refused", "Batches refused as invalid.", registry=registry)
        self.bytes = Counter("olad_api_event_bytes", "Bytes of event batches received.", registry=registry)
        self.predictions = Counter("olad_api_predictions", "Predictions read.", registry=registry)
        self.waits = Counter("olad_api_waits", "Requests that had to wait for min_position.", registry=registry)
        self.timeouts = Counter("olad_api_wait_timeouts", "Waits that ended with 504.", registry=registry)
        self.rows_requested = Counter(
            "olad_api_rows_requested", "Marked rows that reads asked the worker to renew.", registry=registry
        )
        reads = Counter(
            "olad_api_replica_reads",
            "Reads of predictions from replicas of Redis; all but the served ones went to the primary then.",
            ["outcome"],
            registry=registry,
        )
        self._replica_reads = {outcome: reads.labels(outcome) for outcome in OUTCOMES}
        self._waiting = Gauge(
            "olad_api_waiting",
            "Requests that wait for min_position or for marked rows now.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.stream_changes = Counter(
            "olad_api_stream_changes", "Changes sent to readers of GET /stream.", registry=registry
        )
        self.stream_dropped = Counter(
            "olad_api_stream_dropped", "Readers of GET /stream that fell too far behind.", registry=registry
        )
        self._stream_readers = Gauge(
            "olad_api_stream_readers",
            "Readers of GET /stream that are connected now.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._in_flight = Gauge(
            "olad_api_in_flight_bytes",
            "Bytes of request bodies and large answers held now.",
            registry=registry,
            multiprocess_mode="livesum",
        )

    def note_replica_read(self, outcome: Outcome) -> None:
        """Count a read from a replica."""
        self._replica_reads[outcome].inc()

    def measure(
        self, waiting: Callable[[], float], in_flight: Callable[[], float], readers: Callable[[], float]
    ) -> None:
        """Take the values of the gauges from functions, whenever :meth:`refresh` is called."""
        self._gauges = [(self._waiting, waiting), (self._in_flight, in_flight), (self._stream_readers, readers)]

    def refresh(self) -> None:
        """Take the values of the gauges anew; other processes see those of the last time."""
        for shown, measured in self._gauges:
            shown.set(measured())

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        self.refresh()
        return generate_latest(self._labelled)


@dataclass(frozen=True)
class StoreState:
    """State of the log and the workers, read from Redis when metrics are requested.

    Attributes:
        entries: kept in the log.
        appended: events ever appended to it.
        behind: of these the ones that predictions of a variant do not show yet, by its name.
        worker_up: whether the worker of a variant is there (:mod:`service.store.presence`), likewise.
        heartbeat_age_s: seconds since the last heartbeat of a variant's worker, likewise; None where there was none.
    """

    entries: int
    appended: int
    behind: Mapping[str, int]
    worker_up: Mapping[str, bool]
    heartbeat_age_s: Mapping[str, float | None]


class StoreMetrics(Collector):
    """Metrics that are read from Redis; only ``olad_redis_up`` where Redis does not answer."""

    def __init__(self) -> None:
        self.state: StoreState | None = None

    def collect(self) -> Iterator[Metric]:
        """What is known now."""
        state = self.state
        yield from gauge("olad_redis_up", "1 where Redis answered when metrics were read, else 0.", state is not None)
        if state is None:
            return
        yield from gauge("olad_api_log_entries", "Entries kept in the log.", state.entries)
        yield from counter("olad_api_log_appended_events", "Events ever appended to the log.", state.appended)
        yield from gauges_by(
            "variant", "olad_api_behind_events", "Events not yet visible in predictions.", state.behind.items()
        )
        yield from gauges_by(
            "variant", "olad_worker_up", "1 while the worker is there, else 0.", state.worker_up.items()
        )
        yield from gauges_by(
            "variant",
            "olad_worker_heartbeat_age_seconds",
            "Time since the worker's last heartbeat.",
            state.heartbeat_age_s.items(),
        )


class MetricsMiddleware:
    """Counts and times every request under its route's template, never under its path."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, began = 500, time.perf_counter()

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            route = getattr(scope.get("route"), "path_format", None) or getattr(scope.get("route"), "path", "unmatched")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(route, method, str(status)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - began)
