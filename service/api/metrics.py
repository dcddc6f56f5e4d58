"""The API's own metrics, and the middleware that counts and times requests."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class ApiMetrics:
    """Every metric of one API process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(namespace="olad_api", registry=registry)
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
        self.waiting = Gauge("olad_api_waiting", "Requests that wait for min_position now.", registry=registry)
        self.in_flight = Gauge(
            "olad_api_in_flight_bytes", "Bytes of request bodies and large answers held now.", registry=registry
        )
        self.redis_up = Gauge("olad_api_redis_up", "Whether Redis answered when metrics were read.", registry=registry)
        self.log_entries = Gauge("olad_api_log_entries", "Entries kept in the log.", registry=registry)
        self.appended = Gauge("olad_api_log_appended_events", "Events ever appended to the log.", registry=registry)
        self.behind = Gauge("olad_api_behind_events", "Events not yet visible in predictions.", registry=registry)


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
