"""The worker's metrics; the API serves them with its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from service.status import WorkerStatus

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class WorkerMetrics:
    """Counters and timings of every stage of the loop."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.events = Counter(
            "olad_worker_events",
            "Events read from the log, applied or not; those that are read again after a failure count again.",
            registry=self.registry,
        )
        self.rejected = Counter(
            "olad_worker_rejected",
            "Of these the ones that could not be applied; all events of a batch that is set aside.",
            registry=self.registry,
        )
        self.published = Counter("olad_worker_published_rows", "Predictions written.", registry=self.registry)
        self.reconnects = Counter(
            "olad_worker_reconnects", "Times Redis was out of reach or could not write.", registry=self.registry
        )
        self.apply_failures = Counter(
            "olad_worker_apply_failures",
            "Times that applying failed and the worker went back to a checkpoint.",
            registry=self.registry,
        )
        self.training_failures = Counter(
            "olad_worker_training_failures", "Times that training failed and began anew.", registry=self.registry
        )
        self.decisions = Counter(
            "olad_worker_decisions", "What was decided, listed by GET /students.", ["kind"], registry=self.registry
        )
        self._stages = Histogram(
            "olad_worker_stage_seconds",
            "Duration of one turn's stages.",
            ["stage"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._nodes = Gauge("olad_worker_nodes", "Nodes in the graph.", registry=self.registry)
        self._edges = Gauge("olad_worker_edges", "Edges in the graph.", registry=self.registry)
        self._steps = Gauge("olad_worker_steps", "Training steps taken.", registry=self.registry)
        self._skipped = Gauge(
            "olad_worker_skipped_steps",
            "Training steps without effect on the students: a loss or gradient was not finite.",
            registry=self.registry,
        )
        self._resets = Gauge(
            "olad_worker_student_resets",
            "Times a student, or the discriminators, began anew: losses or gradients stayed not finite.",
            registry=self.registry,
        )
        self._refused = Gauge(
            "olad_worker_refused_versions",
            "Versions that were not served because their predictions were broken.",
            registry=self.registry,
        )
        self._checkpoint_failures = Gauge(
            "olad_worker_checkpoint_failures", "Checkpoints that could not be written.", registry=self.registry
        )
        self._disk_free = Gauge(
            "olad_worker_disk_free_bytes", "Room where checkpoints are written.", registry=self.registry
        )
        self._version = Gauge("olad_worker_served_version", "Number of the served version.", registry=self.registry)
        self._accuracy = Gauge(
            "olad_worker_accuracy", "Recent prequential accuracy.", ["student"], registry=self.registry
        )
        self._macro_f1 = Gauge(
            "olad_worker_macro_f1", "Recent prequential macro-F1.", ["student"], registry=self.registry
        )
        self._calibration = Gauge(
            "olad_worker_calibration_error",
            "Recent expected calibration error.",
            ["student"],
            registry=self.registry,
        )
        self._temperature = Gauge(
            "olad_worker_calibration_temperature",
            "What a student's logits are to be divided by.",
            ["student"],
            registry=self.registry,
        )
        self._resting = Gauge(
            "olad_worker_resting",
            "1 while nothing is left to learn: no training steps, versions or checkpoints until something changes.",
            registry=self.registry,
        )
        self._losses = Gauge("olad_worker_loss", "Mean loss of the last steps.", ["term"], registry=self.registry)
        self._checkpoint = Gauge(
            "olad_worker_checkpoint_timestamp_seconds",
            "When the newest checkpoint was written.",
            registry=self.registry,
        )

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage: ``apply``, ``refresh``, ``publish``, ``learn`` or ``checkpoint``."""
        started = perf_counter()
        try:
            yield
        finally:
            self._stages.labels(name).observe(perf_counter() - started)

    def text(self, status: WorkerStatus) -> bytes:
        """Everything in Prometheus' text format."""
        self._nodes.set(status.graph.nodes)
        self._edges.set(status.graph.edges)
        self._steps.set(status.learning.steps)
        self._skipped.set(status.learning.skipped_steps)
        self._resets.set(status.learning.resets)
        self._refused.set(status.learning.refused_versions)
        self._checkpoint_failures.set(status.checkpoint_failures)
        if status.disk_free is not None:
            self._disk_free.set(status.disk_free)
        self._version.set(status.served.version if status.served else 0)
        for name, score in [("served", status.served_score), *((s.name, s.score) for s in status.students)]:
            if score.accuracy_recent is not None:
                self._accuracy.labels(name).set(score.accuracy_recent)
            if score.macro_f1_recent is not None:
                self._macro_f1.labels(name).set(score.macro_f1_recent)
            if score.calibration_error_recent is not None:
                self._calibration.labels(name).set(score.calibration_error_recent)
        for student in status.students:
            self._temperature.labels(student.name).set(student.temperature)
        for term, loss in status.learning.losses.items():
            self._losses.labels(term).set(loss)
        self._resting.set(status.learning.state == "resting")
        if status.checkpoint:
            self._checkpoint.set(status.checkpoint.written_at)
        return generate_latest(self.registry)
