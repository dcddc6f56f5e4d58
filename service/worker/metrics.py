"""The worker's metrics; the API serves them with its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from olad_core.config import GROUP, LINEAR, TREES
from service.prometheus import Labelled, counter, gauge, gauges_by
from service.store.status import WorkerStatus

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class WorkerMetrics:
    """Counters and timings of every stage of the loop.

    Args:
        labels: of every sample, values by name; None for none.
    """

    def __init__(self, labels: Mapping[str, str] | None = None) -> None:
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
        self.tree_failures = Counter(
            "olad_worker_tree_failures",
            "Times that trees could not be grown; those before stay.",
            registry=self.registry,
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
        ProcessCollector(namespace="olad_worker", registry=self.registry)
        self._report = _Report()
        self.registry.register(self._report)
        self._shown = Labelled(self.registry, labels or {})

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage.

        It is ``apply``, ``refresh``, ``publish``, ``due``, ``learn``, ``tidy``, ``requests``, ``what-if``,
        ``explain``, ``edge``, ``neighbours``, ``embeddings``, ``link`` or ``checkpoint``.
        """
        started = perf_counter()
        try:
            yield
        finally:
            self._stages.labels(name).observe(perf_counter() - started)

    def text(self, status: WorkerStatus) -> bytes:
        """Everything in Prometheus' text format, what the report knows included."""
        self._report.status = status
        return generate_latest(self._shown)


class _Report(Collector):
    """Metrics of the last report: what it does not know is left out."""

    def __init__(self) -> None:
        self.status: WorkerStatus | None = None

    def collect(self) -> Iterator[Metric]:
        """The report's metrics; none before the first report."""
        if self.status is not None:
            yield from _sizes(self.status)
            yield from _archive(self.status)
            yield from _training(self.status)
            yield from _serving(self.status)
            yield from _scores(self.status)


def _sizes(status: WorkerStatus) -> Iterator[Metric]:
    yield from gauge("olad_worker_nodes", "Nodes in the graph.", status.graph.nodes)
    yield from gauge("olad_worker_edges", "Edges in the graph.", status.graph.edges)
    yield from counter(
        "olad_worker_checkpoint_failures", "Checkpoints that could not be written.", status.checkpoint_failures
    )
    yield from gauge("olad_worker_disk_free_bytes", "Free space where checkpoints are written.", status.disk_free)
    yield from gauge(
        "olad_worker_checkpoint_timestamp_seconds",
        "When the newest checkpoint was written.",
        status.checkpoint.written_at if status.checkpoint else None,
    )


def _archive(status: WorkerStatus) -> Iterator[Metric]:
    archive = status.archive
    if archive is not None:
        yield from counter(
            "olad_worker_archive_failures", "Attempts to write to the archive that failed.", archive.failures
        )
        yield from gauge(
            "olad_worker_archive_failing",
            "1 while the last attempt has failed: the log is not trimmed.",
            archive.problem is not None,
        )
        yield from gauge(
            "olad_worker_archive_timestamp_seconds", "When the last segment was written.", archive.written_at
        )


def _training(status: WorkerStatus) -> Iterator[Metric]:
    learning = status.learning
    yield from counter("olad_worker_steps", "Training steps taken.", learning.steps)
    yield from counter(
        "olad_worker_skipped_steps",
        "Training steps without effect on the students: a loss or gradient was not finite.",
        learning.skipped_steps,
    )
    yield from counter(
        "olad_worker_student_resets",
        "Times a student, or the discriminators, got new weights: losses or gradients stayed not finite.",
        learning.resets,
    )
    yield from counter(
        "olad_worker_refused_versions",
        "Versions that were not served because their predictions were broken.",
        learning.refused_versions,
    )
    yield from gauge(
        "olad_worker_resting",
        "1 while nothing is left to learn: no training steps, versions or checkpoints until something changes.",
        learning.state == "resting",
    )
    yield from gauges_by("term", "olad_worker_loss", "Mean loss of the last steps.", learning.losses.items())


def _serving(status: WorkerStatus) -> Iterator[Metric]:
    serving = status.kept.serving if status.kept else None
    if serving is None:
        return
    yield from gauges_by(
        "choice",
        "olad_worker_event_cost_seconds",
        "What an event takes with each that can be served, as lately measured.",
        ((choice.name, None if choice.cost_us is None else 1e-6 * choice.cost_us) for choice in serving.choices),
    )
    yield from gauges_by(
        "choice",
        "olad_worker_load",
        "Load of each that can be served; above 1 it does not keep to the freshness target.",
        ((choice.name, choice.load) for choice in serving.choices),
    )
    yield from gauge(
        "olad_worker_group_expected_gain",
        "By how much the group is expected to score better than the best student.",
        serving.expected_gain,
    )
    if serving.withheld is not None:
        yield from gauges_by(
            "reason",
            "olad_worker_group_withheld",
            "1, with what keeps the group from being served.",
            [(serving.withheld, 1.0)],
        )


def _scores(status: WorkerStatus) -> Iterator[Metric]:
    yield from gauge(
        "olad_worker_served_version", "Number of the served version.", status.served.version if status.served else None
    )
    scores = [("served", status.served_score), *((student.name, student.score) for student in status.students)]
    leads = [("served", status.lead), *((student.name, student.lead) for student in status.students)]
    temperatures = [(student.name, student.temperature) for student in status.students]
    if status.combined is not None:
        scores.append((GROUP, status.combined.score))
        leads.append((GROUP, status.combined.lead))
        if status.combined.trees is not None:
            scores.append((TREES, status.combined.trees.score))
            leads.append((TREES, status.combined.trees.lead))
            yield from gauge(
                "olad_worker_trees", "Trees that predict beside the students.", status.combined.trees.trees
            )
        if status.combined.linear is not None:
            scores.append((LINEAR, status.combined.linear.score))
            leads.append((LINEAR, status.combined.linear.lead))
        yield from gauge(
            "olad_worker_group_served",
            "1 while predictions come from the group, 0 from one student.",
            status.combined.served,
        )
    yield from gauges_by(
        "student",
        "olad_worker_accuracy",
        "Recent prequential accuracy.",
        ((name, score.accuracy_recent) for name, score in scores),
    )
    yield from gauges_by(
        "student",
        "olad_worker_macro_f1",
        "Recent prequential macro-F1.",
        ((name, score.macro_f1_recent) for name, score in scores),
    )
    yield from gauges_by(
        "student",
        "olad_worker_lead",
        "Recent prequential score on the metric that decides which student is served.",
        ((name, lead.recent) for name, lead in leads if lead),
    )
    yield from gauge(
        "olad_worker_lead_baseline",
        "What one would score on that metric who knows nothing but the shares of the classes.",
        status.lead.baseline_recent if status.lead else None,
    )
    classes = status.served_report.classes if status.served_report else ()
    for measure in ("precision", "recall", "f1", "average_precision"):
        yield from gauges_by(
            "class",
            f"olad_worker_class_{measure}",
            f"Recent prequential {measure.replace('_', ' ')} of what was served, the greatest classes.",
            ((row.name, getattr(row.recent, measure)) for row in classes),
        )
    for measure in ("accuracy", "macro_f1", "log_loss"):
        yield from gauges_by(
            "task",
            f"olad_worker_task_{measure}",
            f"Recent prequential {measure.replace('_', ' ')} of a task on edges.",
            ((task.name, getattr(task.score, f"{measure}_recent")) for task in status.tasks),
        )
    for measure in ("mrr", "hits_10"):
        yield from gauges_by(
            "task",
            f"olad_worker_link_{measure}",
            f"Recent prequential {measure.replace('_', ' ')} of a task on links.",
            ((link.name, getattr(link.recent, measure, None)) for link in status.links),
        )
    of_values = [(task.name, task.recent) for task in status.value_tasks]
    of_values += [(task.name, task.recent) for task in status.node_value_tasks]
    for measure, meaning in (
        ("mae", "mean absolute error"),
        ("rmse", "root of the mean squared error"),
        ("coverage", "share of the values in the interval"),
    ):
        yield from gauges_by(
            "task",
            f"olad_worker_task_{measure}",
            f"Recent prequential {meaning} of a task that predicts values.",
            ((name, getattr(recent, measure)) for name, recent in of_values),
        )
    yield from gauges_by(
        "student",
        "olad_worker_calibration_error",
        "Recent expected calibration error.",
        ((name, score.calibration_error_recent) for name, score in scores),
    )
    yield from gauges_by(
        "student",
        "olad_worker_calibration_temperature",
        "What a student's logits are to be divided by.",
        temperatures,
    )
