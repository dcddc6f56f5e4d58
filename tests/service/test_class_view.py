"""The table of classes that status, replay and evaluate show."""

from __future__ import annotations

from dataclasses import asdict

from service.commands.class_view import class_table
from service.replay.arrival_stream import Batch
from service.replay.served_score import ServedScore
from service.store.status import ClassReportStatus


def _columns(ranked: str | None) -> list[str]:
    score = ServedScore(score_from=0)
    score.record(Batch((), ("a", "b"), (("a", "x"), ("b", "y"))), ["x", "x"], [0.9, 0.8])
    report = score.class_report(ranked)
    assert report is not None
    return [str(column.header) for column in class_table(ClassReportStatus(**asdict(report))).columns]


def test_average_precision_has_a_column_where_it_is_known() -> None:
    measures = ["class", "nodes", "predicted", "precision", "recall", "F1"]
    assert _columns(None) == measures
    assert _columns("x") == [*measures, "average precision"]
