"""Publications for tests, in a short form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from olad_core.judging.class_report import class_report
from olad_core.judging.decisions import Decision
from olad_core.judging.served_outcomes import Records, arrival_keys, records_of
from olad_core.serving.publication import Publication, RejectedEvent, TableUpdate, Version
from olad_core.tasks.label_rule import LabelRule
from service.store.status import (
    CheckpointStatus,
    ClassReportStatus,
    DecisionStatus,
    GraphStatus,
    LearningStatus,
    Score,
    StudentStatus,
    WorkerStatus,
)


def publication(
    position: str,
    rows: Mapping[str, Sequence[float]] | None = None,
    *,
    applied: int = 0,
    version: int | None = 1,
    into: int | None = None,
    classes: tuple[str, ...] = ("a", "b"),
    removed: tuple[str, ...] = (),
    dropped: tuple[int, ...] = (),
    disagreement: float = 0.0,
    rejected: tuple[RejectedEvent, ...] = (),
    answered: str | None = None,
    rule: LabelRule | None = None,
    coming: int | None = None,
    decisions: tuple[Decision, ...] = (),
) -> Publication:
    """Serve ``version``, with rows written into the table of version ``into`` (the served one by default)."""
    updates: tuple[TableUpdate, ...] = ()
    if rows or removed:
        table = into if into is not None else version
        assert table is not None
        probabilities = np.array([*(rows or {}).values()], dtype=np.float32).reshape(len(rows or {}), len(classes))
        differing = np.full(len(probabilities), disagreement, dtype=np.float32)
        places = np.arange(len(probabilities))
        updates = (TableUpdate(table, tuple(rows or {}), probabilities, differing, removed, rows=places),)
    served = Version(version, "sage", classes) if version is not None else None
    return Publication(
        position,
        applied,
        updates,
        served,
        dropped,
        rejected,
        answered,
        rule=rule or LabelRule(),
        coming=Version(coming, "gat", classes) if coming is not None else None,
        decisions=decisions,
    )


def served_outcomes(count: int, right: float, seed: int) -> Records:
    """How what was served scored on nodes of two classes, a share of them ``right``."""
    random, arrivals = np.random.default_rng(seed), np.arange(count)
    truth = arrivals % 2
    predicted = np.where(random.random(count) < right, truth, 1 - truth)
    found = records_of(truth, predicted, np.where(predicted == truth, 0.2, 1.5).astype(np.float32), None, None)
    found["arrival"], found["time"] = arrival_keys(arrivals, map(str, arrivals)), 1000 + arrivals
    return found


def class_report_status() -> ClassReportStatus:
    """Of a hundred nodes, eight of which are of the rare class "b"; two of these were found."""
    counts = np.array([[90.0, 2.0], [96.0, 4.0], [92.0, 8.0]])
    confusion, ranked = np.array([[90, 2, 0], [6, 2, 0], [0, 0, 0]]), np.array([0.99, 0.6])
    return ClassReportStatus(**asdict(class_report(["a", "b"], counts, counts, ranked, ranked, confusion)))


def worker_status(*, missing: tuple[str, ...] = (), checkpoint_at: float | None = None) -> WorkerStatus:
    """A worker's report with plausible numbers."""
    score = Score(
        scored=10,
        accuracy=0.5,
        macro_f1=0.4,
        log_loss=0.7,
        accuracy_recent=0.6,
        macro_f1_recent=0.5,
        log_loss_recent=0.6,
        calibration_error_recent=0.1,
    )
    student = StudentStatus(
        name="sage",
        architecture="sage",
        parameters=1234,
        score=score,
        temperature=1.5,
        served=True,
        served_since_version=1,
    )
    decision = DecisionStatus(
        number=2,
        position="4-0",
        applied_events=2,
        kind="drift",
        student=None,
        version=None,
        reason="errors of what was served rose",
        numbers={"before": 0.1, "after": 0.3},
    )
    return WorkerStatus(
        position="5-0",
        applied_events=3,
        rejected_events=1,
        started_at=1.0,
        updated_at=2.0,
        device="cpu",
        events_per_s=10.0,
        steps_per_s=5.0,
        graph=GraphStatus(nodes=2, edges=1, labelled=1, classes=("a", "b"), feature_width=2),
        learning=LearningStatus(steps=7, skipped_steps=0, missing=missing, losses={"supervised": 0.5}),
        served=None,
        served_score=score,
        served_report=class_report_status(),
        candidate=None,
        students=(student,),
        decisions=(decision,),
        checkpoint=None
        if checkpoint_at is None
        else CheckpointStatus(position="4-0", written_at=checkpoint_at, path="/data/4-0"),
    )
