"""The worker's heartbeat, and its status report out of the engine's state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from olad_core.config import GROUP, LINEAR, TREES
from olad_core.edge_tasks import TaskReport
from olad_core.engine import Engine
from olad_core.judging.assessment import Assessment
from olad_core.judging.class_report import ClassReport
from olad_core.judging.lead import LeadFigure
from olad_core.judging.prequential import ScoreTable
from olad_core.judging.value_scores import ValueReport
from olad_core.learning.trainer import Trainer
from olad_core.linear.member import fits
from olad_core.link_tasks import LinkReport
from olad_core.memory_use import bytes_needed
from olad_core.node_value_tasks import NodeValueReport
from olad_core.serving.versions import HeldVersion
from olad_core.students import registered_name
from olad_core.tasks.link import RankScore
from olad_core.value_tasks import ValueTaskReport
from service.machine_memory import memory_used
from service.store.status import (
    ArchiveStatus,
    CheckpointStatus,
    ClassReportStatus,
    CombinedStatus,
    CostStatus,
    DecisionStatus,
    GraphStatus,
    LeadStatus,
    LearningState,
    LearningStatus,
    LinearStatus,
    LinkStatus,
    MemoryStatus,
    NodeValueTaskStatus,
    RankStatus,
    Score,
    StudentStatus,
    TaskStatus,
    TreesStatus,
    ValueScore,
    ValueTaskStatus,
    VersionStatus,
    WorkerStatus,
)
from service.worker.checkpoint_schedule import CheckpointSchedule, Mark, mark_of
from service.worker.checkpointer import Checkpointer
from service.worker.clock import Clock
from service.worker.metrics import WorkerMetrics
from service.worker.stores import Predictions
from service.worker.version_report import versions_status

REPORT_EVERY_S = 1.0
HEARTBEAT_MS = 15_000


@dataclass(frozen=True)
class Rates:
    """Events and training steps a second."""

    events_per_s: float
    steps_per_s: float


@dataclass(frozen=True)
class _Sample:
    """Counters of an engine at one time."""

    at: float
    events: int
    steps: int
    cpu: float

    def rates_to(self, later: _Sample) -> Rates:
        """The rates between two samples; 0 for a counter that has gone back to a checkpoint."""
        seconds = later.at - self.at
        events, steps = max(0, later.events - self.events), max(0, later.steps - self.steps)
        return Rates(events / seconds, steps / seconds)


def _cost(first: _Sample, last: _Sample, now: _Sample) -> CostStatus:
    """The cost since the first sample, and lately: since the last one before now."""
    share = (now.cpu - last.cpu) / max(1e-9, now.at - last.at)
    return CostStatus(
        cpu_s=round(now.cpu - first.cpu, 3), events=max(0, now.events - first.events), cpu_share=round(share, 4)
    )


class Reporter:
    """Writes heartbeat and status once a second.

    Args:
        engine: at the start.
        predictions: where both are written.
        checkpoints: the newest one is part of the status.
        checkpointer: its failures and the free disk space are part of the status.
        metrics: are written together with the status.
        clock: for the interval, and for times that people read.
        memory_budget: bytes that the worker may use.
    """

    def __init__(
        self,
        engine: Engine,
        predictions: Predictions,
        checkpoints: CheckpointSchedule,
        checkpointer: Checkpointer,
        metrics: WorkerMetrics,
        clock: Clock,
        memory_budget: int,
    ) -> None:
        self._predictions = predictions
        self._checkpoints = checkpoints
        self._checkpointer = checkpointer
        self._metrics = metrics
        self._clock = clock
        self._memory_budget = memory_budget
        self._started_at = clock.wall()
        self._first = self._last = self._sample(engine)
        self._learning: LearningState = "learning"
        self._learning_since = self._started_at
        self._at_rest: tuple[Engine, Mark, WorkerStatus] | None = None
        """The last report of an engine that rested, which is that of the next second too."""

    @property
    def is_due(self) -> bool:
        """Whether the last report was a second ago."""
        return self._clock.monotonic() - self._last.at >= REPORT_EVERY_S

    def beat(self) -> None:
        """Send a heartbeat."""
        self._predictions.heartbeat(HEARTBEAT_MS)

    def write(self, engine: Engine, *, rests: bool) -> None:
        """Write the status of an engine, and the metrics.

        Args:
            engine: the one that is used.
            rests: whether there is nothing to learn before the next entry.
        """
        sample = self._sample(engine)
        rates, cost = self._last.rates_to(sample), _cost(self._first, self._last, sample)
        self._last = sample
        now = self._clock.wall()
        learning: LearningState = "resting" if rests else "learning"
        if learning != self._learning:
            self._learning, self._learning_since = learning, now
        status = self._unchanged(engine, now, cost) if rests else None
        if status is None:
            status = report(
                engine,
                rates,
                learning=learning,
                learning_since=self._learning_since,
                started_at=self._started_at,
                now=now,
                checkpoint=self._checkpoints.newest,
                checkpoint_failures=self._checkpointer.failures,
                disk_free=self._checkpointer.disk_free(),
                memory_budget=self._memory_budget,
                archive=self._checkpoints.archive,
                cost=cost,
            )
            # A report with rates has them of the last second; the next one begins the rest.
            still = rests and not (rates.events_per_s or rates.steps_per_s)
            self._at_rest = (engine, mark_of(engine), status) if still else None
        self._predictions.write_status(status, self._metrics.text(status), engine.outcomes.records())
        engine.outcomes.clear()

    def _unchanged(self, engine: Engine, now: float, cost: CostStatus) -> WorkerStatus | None:
        """The last report as it is now, where the engine has rested since: to sum up many classes takes long."""
        if self._at_rest is None:
            return None
        reported, mark, status = self._at_rest
        if reported is not engine or mark != mark_of(engine):
            return None
        changed = {
            "updated_at": now,
            "checkpoint": self._checkpoints.newest,
            "checkpoint_failures": self._checkpointer.failures,
            "disk_free": self._checkpointer.disk_free(),
            "archive": self._checkpoints.archive,
            "memory": _memory(engine, self._memory_budget),
            "cost": cost,
        }
        return status.model_copy(update=changed)

    def _sample(self, engine: Engine) -> _Sample:
        steps = engine.trainer.steps if engine.trainer else 0
        return _Sample(self._clock.monotonic(), engine.applied_events, steps, self._clock.cpu())


def report(
    engine: Engine,
    rates: Rates,
    *,
    learning: LearningState,
    learning_since: float,
    started_at: float,
    now: float,
    checkpoint: CheckpointStatus | None,
    checkpoint_failures: int,
    disk_free: int | None,
    memory_budget: int,
    archive: ArchiveStatus | None = None,
    cost: CostStatus | None = None,
) -> WorkerStatus:
    """The engine's state as the worker reports it."""
    graph, trainer = engine.graph, engine.trainer
    served, candidate = engine.versions.served, engine.versions.candidate
    # A student of a former group that is served is none of these, whatever its name.
    chosen = served.version.student if served and not served.former else None
    return WorkerStatus(
        position=engine.position,
        applied_events=engine.applied_events,
        rejected_events=engine.rejected_events,
        started_at=started_at,
        updated_at=now,
        device=str(engine.device),
        events_per_s=rates.events_per_s,
        steps_per_s=rates.steps_per_s,
        graph=GraphStatus(
            nodes=graph.num_nodes,
            edges=graph.num_edges,
            labelled=int(np.count_nonzero(graph.alive & (graph.label >= 0))),
            classes=tuple(graph.classes),
            feature_width=graph.num_features,
            latest_time=graph.clock if math.isfinite(graph.clock) else None,
            event_time=graph.clock_from_ts,
            removed_ids=graph.removed_ids,
        ),
        learning=learning_status(
            trainer,
            engine.assessment,
            learning,
            learning_since,
            missing=engine.missing(),
            refused=engine.versions.refused,
        ),
        served=_version(served, 1.0) if served else None,
        served_score=score_status(engine.assessment.served_score()),
        lead=lead_status(engine.assessment.served_lead(graph.classes)),
        served_report=report_status(engine.assessment.served_report(graph.classes)),
        tasks=tuple(task_status(report) for report in engine.edge_tasks.reports()),
        links=tuple(link_status(report) for report in engine.link_tasks.reports()),
        value_tasks=tuple(value_task_status(report) for report in engine.value_tasks.reports()),
        node_value_tasks=tuple(node_value_status(report) for report in engine.node_values.reports()),
        kept=versions_status(engine),
        candidate=_version(candidate, candidate.embedding.progress(graph)) if candidate else None,
        students=student_statuses(trainer, engine.assessment, graph.classes, chosen, engine.versions.served_since),
        combined=_combined(engine) if trainer else None,
        decisions=tuple(DecisionStatus(**asdict(decision)) for decision in engine.decisions.newest_first()),
        student_ranks=engine.spread.ranks,
        checkpoint=checkpoint,
        checkpoint_failures=checkpoint_failures,
        disk_free=disk_free,
        archive=archive,
        memory=_memory(engine, memory_budget),
        cost=cost,
    )


def learning_status(
    trainer: Trainer | None,
    assessment: Assessment,
    state: LearningState,
    since: float,
    *,
    missing: tuple[str, ...],
    refused: int,
) -> LearningStatus:
    """How far training is.

    Args:
        trainer: None before there is anything to learn.
        assessment: of its students.
        state: whether it learns now.
        since: when that began.
        missing: what is needed before it can begin.
        refused: versions that were refused.
    """
    return LearningStatus(
        state=state,
        since=since,
        steps=trainer.steps if trainer else 0,
        skipped_steps=trainer.skipped_steps if trainer else 0,
        resets=trainer.health.resets if trainer else 0,
        refused_versions=refused,
        missing=missing,
        losses={term: float(losses.mean()) for term, losses in assessment.mean_losses.items()},
    )


def student_statuses(
    trainer: Trainer | None, assessment: Assessment, classes: Sequence[str], chosen: str | None, since: int | None
) -> tuple[StudentStatus, ...]:
    """The students with their scores.

    Args:
        trainer: of them.
        assessment: of them.
        classes: of the graph.
        chosen: the one that is served.
        since: version since which it is.
    """
    if trainer is None:
        return ()
    temperatures, scores = assessment.temperatures(), assessment.student_scores()
    leads = [lead_status(found) for found in assessment.student_leads(classes)]
    reports = [report_status(found) for found in assessment.student_reports(classes)]
    return tuple(
        StudentStatus(
            name=name,
            architecture=registered_name(student),
            parameters=sum(parameter.numel() for parameter in student.parameters()),
            score=score_status(scores, number),
            lead=leads[number],
            report=reports[number],
            temperature=float(temperatures[number]),
            served=name == chosen,
            served_since_version=since if name == chosen else None,
        )
        for number, (name, student) in enumerate(zip(trainer.group.names, trainer.group.students, strict=True))
    )


def _combined(engine: Engine) -> CombinedStatus | None:
    """What the members predict together; None where it is not learned."""
    assessment, versions = engine.assessment, engine.versions
    combined, lead = assessment.combined, assessment.combined_lead(engine.graph.classes)
    if combined is None or lead is None or engine.trainer is None:
        return None
    served = versions.served
    is_served = served is not None and not served.former and served.version.student == GROUP
    weights, names = combined.weights(), (*engine.trainer.group.names, *combined.beside)
    pool, mean, best = weights.shares.tolist()
    return CombinedStatus(
        score=score_status(combined.table()),
        lead=lead_status(lead),
        exponents=dict(zip(names, weights.exponents.tolist(), strict=True)),
        best=names[weights.best] if weights.best >= 0 else None,
        pool_share=pool,
        mean_share=mean,
        best_share=best,
        served=is_served,
        served_since_version=versions.served_since if is_served else None,
        trees=_trees(engine, is_served=is_served),
        linear=_linear(engine, is_served=is_served),
    )


def _trees(engine: Engine, *, is_served: bool) -> TreesStatus | None:
    """The boosted trees of the group; None where they are not grown."""
    trees, assessment, served = engine.trees, engine.assessment, engine.versions.served
    lead = assessment.lead_of(TREES, engine.graph.classes)
    if trees is None or assessment.combined is None or lead is None:
        return None
    return TreesStatus(
        score=score_status(assessment.combined.table_of(TREES)),
        lead=lead_status(lead),
        trees=len(trees.forest.root) if trees.forest else 0,
        labels=trees.grown_at,
        labels_seen=trees.labels_seen,
        served=is_served and served is not None and served.embedding.forest is not None,
    )


def _linear(engine: Engine, *, is_served: bool) -> LinearStatus | None:
    """The linear model of the group; None without one."""
    linear, assessment, served = engine.linear, engine.assessment, engine.versions.served
    lead = assessment.lead_of(LINEAR, engine.graph.classes)
    if linear is None or assessment.combined is None or lead is None:
        return None
    return LinearStatus(
        score=score_status(assessment.combined.table_of(LINEAR)),
        lead=lead_status(lead),
        columns=linear.model.columns if linear.model else 0,
        fits=fits(engine.graph.num_features or 0, len(engine.graph.classes)),
        labels=linear.solved_at,
        labels_seen=linear.labels_seen,
        served=is_served and served is not None and served.embedding.linear is not None,
    )


def task_status(report: TaskReport) -> TaskStatus:
    """A task as it is reported."""
    return TaskStatus(
        name=report.name,
        kind="edge_class",
        edge_type=report.edge_type,
        classes=report.classes,
        arrived=report.arrived,
        labels=report.labels,
        waiting=report.waiting,
        steps=report.steps,
        score=score_status(report.scores, 1),
        base_score=score_status(report.scores, 0),
        report=report_status(report.report),
    )


def link_status(report: LinkReport) -> LinkStatus:
    """A task on links as it is reported."""

    def shown(score: RankScore | None) -> RankStatus | None:
        return None if score is None else RankStatus(**asdict(score))

    return LinkStatus(
        name=report.name,
        edge_type=report.edge_type,
        arrived=report.arrived,
        scored=report.scored,
        steps=report.steps,
        score=shown(report.scores["learned"]),
        recent=shown(report.recent["learned"]),
        popularity=shown(report.scores["popularity"]),
        last_seen=shown(report.scores["last_seen"]),
    )


def value_task_status(report: ValueTaskReport) -> ValueTaskStatus:
    """A task that predicts values as it is reported."""
    return ValueTaskStatus(
        name=report.name,
        kind="edge_value",
        edge_type=report.edge_type,
        coverage=report.coverage,
        arrived=report.arrived,
        labels=report.labels,
        waiting=report.waiting,
        steps=report.steps,
        scored=report.scored,
        **_value_scores(report),
    )


def node_value_status(report: NodeValueReport) -> NodeValueTaskStatus:
    """A task that predicts values of nodes as it is reported."""
    return NodeValueTaskStatus(
        name=report.name,
        kind="node_value",
        node_type=report.node_type,
        coverage=report.coverage,
        arrived=report.arrived,
        labels=report.labels,
        waiting=report.waiting,
        steps=report.steps,
        scored=report.scored,
        **_value_scores(report),
    )


def _value_scores(report: ValueReport) -> dict[str, ValueScore]:
    """Of what was answered and of the simple prediction, over all values and recent ones."""
    tables = {
        "score": report.scores,
        "recent": report.recent,
        "base_score": report.base,
        "base_recent": report.base_recent,
    }
    return {name: ValueScore(**asdict(table)) for name, table in tables.items()}


def _memory(engine: Engine, budget: int) -> MemoryStatus:
    sizes, group = engine.graph.sizes, engine.group_sizes
    return MemoryStatus(
        budget=budget,
        needed=bytes_needed(sizes, group),
        used=memory_used(),
        rows=sizes.nodes,
        featured=sizes.featured,
        edges=sizes.edges,
        edge_types=sizes.edge_types,
        edge_numbers=sizes.edge_numbers,
        tasks=sizes.tasks,
        task_numbers=sizes.task_numbers,
        students=group.students,
        recurrent=group.recurrent,
        hidden=group.hidden,
        served=group.served,
        trees=group.trees,
        kept=group.kept,
        linear=group.linear,
    )


def _version(held: HeldVersion, progress: float) -> VersionStatus:
    return VersionStatus(
        version=held.version.shown,
        student=held.version.student,
        progress=progress,
        created_position=held.position,
        former=held.former,
    )


def lead_status(found: LeadFigure) -> LeadStatus:
    """A lead as it is reported."""
    return LeadStatus(**asdict(found))


def report_status(found: ClassReport) -> ClassReportStatus:
    """Scores by class as they are reported."""
    return ClassReportStatus(**asdict(found))


def score_status(scores: ScoreTable, predictor: int = 0) -> Score:
    """The scores of one predictor as they are reported."""

    def known(values: npt.NDArray[np.float64]) -> float | None:
        value = float(values[predictor])
        return None if math.isnan(value) else value

    return Score(
        scored=int(scores.scored[predictor]),
        accuracy=known(scores.accuracy),
        macro_f1=known(scores.macro_f1),
        log_loss=known(scores.log_loss),
        accuracy_recent=known(scores.recent_accuracy),
        macro_f1_recent=known(scores.recent_macro_f1),
        log_loss_recent=known(scores.recent_log_loss),
        calibration_error_recent=known(scores.recent_calibration_error),
    )
