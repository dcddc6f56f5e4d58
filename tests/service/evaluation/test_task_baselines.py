"""Baselines for tasks on edges, on the payments that are shipped, and how they are compared."""

from __future__ import annotations

import io
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import average_precision_score

from olad_core.events import GraphSchema, LabelNode, UpsertEdge
from olad_core.graph import DynamicGraph
from olad_core.graph_types import EdgeType
from olad_core.judging.paired import Outcomes, differences
from olad_core.task_types import EdgeClassTask
from service.commands.evaluate_view import print_report
from service.commands.sources import with_declared_types
from service.evaluation.baselines.edges import EdgeBaseline
from service.evaluation.baselines.regression import new_regression
from service.evaluation.configurations import configurations
from service.evaluation.evaluate import evaluate
from service.evaluation.report import Report, schema
from service.replay.sources import StreamOptions, open_source
from service.replay.table_options import TableOptions
from service.settings import Settings

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"


def report_of(limit: int) -> Report:
    tables = TableOptions(mapping=EXAMPLES / "payments_as_edges.yaml")
    source = with_declared_types(open_source(str(EXAMPLES / "payments.csv"), StreamOptions(limit=limit), tables=tables))
    return evaluate(source, configurations(Settings(), []), ["gradient-boosting", "logistic-regression", "majority"])


def test_baselines_are_compared_on_the_edges_that_both_predicted() -> None:
    report = report_of(1_800)
    jsonschema.validate(json.loads(json.dumps(report.as_dict())), schema())
    ours, *others, majority = report.contestants
    assert majority.tasks == ()
    [task] = ours.tasks
    assert (task.ranked, task.differences) == ("fraud", None)
    # Labels come late and fraud is rare: the engine is still better than the shares of the classes.
    assert task.log_loss is not None
    assert task.base_log_loss is not None
    assert task.log_loss < task.base_log_loss
    fraud = next(row for row in task.classes.classes if row.name == "fraud")
    assert fraud.predicted < 1.5 * fraud.support
    for other in others:
        [found] = other.tasks
        assert found.differences is not None
        assert found.differences.arrivals == task.scored
        assert found.scored >= task.scored
        assert found.arrived == task.arrived == 1_800
        precision = found.differences.average_precision
        assert precision is not None
        assert precision.low is not None
        assert precision.high is not None
        assert precision.low <= precision.value <= precision.high


def test_a_report_of_edges_alone_has_no_tables_of_nodes() -> None:
    printed = io.StringIO()
    print_report(Console(file=printed, width=120), report_of(900))
    assert "task fraud of default" in printed.getvalue()
    assert "less default on" in printed.getvalue()
    assert "accuracy over time" not in printed.getvalue()


def test_an_evaluation_with_a_task_is_repeatable() -> None:
    assert report_of(900) == report_of(900)


def test_the_difference_of_average_precision_is_that_of_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    truth = (draw.random(400) < 0.2).astype(np.int64)
    # Rounded, so that there are ties.
    ranked = [np.round(0.5 * draw.random(400) + share * truth, 2).astype(np.float64) for share in (0.3, 0.1)]
    one, other = (Outcomes((each > 0.5).astype(np.int64), np.ones(400), each) for each in ranked)
    found = differences(one, other, truth, 1).average_precision
    assert found is not None
    expected = [average_precision_score(truth, each) for each in ranked]
    assert found.value == pytest.approx(expected[0] - expected[1])
    assert found.low is not None
    assert 0 < found.low < found.value
    assert differences(one, other, truth).average_precision is None


def test_a_baseline_predicts_before_the_entry_is_applied() -> None:
    """Whatever stands in the entry beside an edge, or comes later, its prediction stays the same."""
    task = EdgeClassTask(kind="edge_class", edge_type="paid", classes=("ok", "fraud"))
    declared = GraphSchema(edge_types={"paid": EdgeType(directed=True)}, tasks={"fraud": task})
    asked = UpsertEdge("n2", "new", 3.0, 999.0, "paid")
    found = []
    others: list[UpsertEdge | LabelNode] = [
        LabelNode(label="fraud", src="n2", dst="new", type="paid"),
        UpsertEdge("n2", "m1", type="paid"),
    ]
    for more in ([], others):
        graph, baseline = DynamicGraph(), EdgeBaseline("fraud", task, new_regression)
        graph.declare(declared)
        for at in range(130):
            label = ("ok", "fraud")[at % 7 == 0]
            entries: list[list[UpsertEdge | LabelNode]] = [
                [UpsertEdge(f"n{at % 7}", f"m{at}", 1.0, float(at), "paid", label=label)]
            ]
            if at == 129:
                entries.append([asked, *more])
                entries.append([LabelNode(label="ok", src="n2", dst="new", type="paid")])
            for entry in entries:
                now = float(at)
                baseline.predict(graph, entry, now)
                rejected = {each.index for each in graph.apply(entry, now).rejected}
                baseline.follow(graph, entry, rejected, now)
                found += [each for each in baseline.labelled if each.edge == ("n2", "new")]
                baseline.learn()
    first, second = found
    assert first.probabilities[1].tolist() == second.probabilities[1].tolist()
    # After the trainings: the frauds are those of one payer.
    assert first.probabilities[1, 1] < 0.1
    assert [first.label, second.label] == [0, 1]
