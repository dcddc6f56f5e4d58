from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from olad_core.engine import Engine
from olad_core.events import ClassDecision, Event, GraphSchema, LabelNode, UpsertNode
from olad_core.tasks.label_rule import LabelRule, decide
from tests.device import DEVICE
from tests.olad_core.runs import PAIR, Run, learned
from tests.olad_core.streams import two_communities

WIDE = replace(PAIR, arrivals_scored=100, arrivals_remembered=200)


def declare(run: Run, **decisions: ClassDecision) -> None:
    run.engine.declare(f"{10**9 + run.engine.applied_events}-0", GraphSchema(decisions=decisions))


def newcomers(first: int, count: int) -> list[Event]:
    return [UpsertNode(id=node, x=[1.0, 0.0, 0.5]) for node in range(first, first + count)]


def test_what_was_labelled_by_a_rule_is_scored_so() -> None:
    """Every node that arrives is called "odd", however unlikely that is; without the rule none is."""
    plain, ruled = (learned(Run(WIDE)) for _ in range(2))
    ruled.engine.declare("1000-0", GraphSchema(decisions={"odd": ClassDecision(threshold=1e-9)}))
    for run in (plain, ruled):
        arrived = [event for event in two_communities(60, labelled=False) if isinstance(event, UpsertNode)][40:]
        run.turn(arrived)
        run.turn([LabelNode(event.id, ["even", "odd"][int(event.id) % 2]) for event in arrived])
    reports = [run.engine.assessment.served_report(run.engine.graph.classes) for run in (plain, ruled)]
    rows = {row.name: row for row in reports[1].classes}
    assert (rows["odd"].predicted, rows["odd"].whole.recall, rows["even"].predicted) == (20, 1.0, 0)
    assert {row.name: row.predicted for row in reports[0].classes} != {"odd": 20, "even": 0}
    # Probabilities do not follow the rule: log-loss and rankings are the same.
    for one, other in zip(reports[0].classes, sorted(rows.values(), key=lambda row: row.name), strict=False):
        assert one.whole.average_precision == rows[one.name].whole.average_precision, other
    losses = [run.engine.assessment.served_score().log_loss.tolist() for run in (plain, ruled)]
    assert losses[0] == losses[1]
    assert ruled.engine.assessment.served_score().accuracy[0] == pytest.approx(0.5)


def test_a_share_becomes_the_threshold_that_so_many_nodes_reach() -> None:
    run = learned(Run(WIDE))
    run.turn([event for event in two_communities(140, labelled=False) if isinstance(event, UpsertNode)][40:])
    declare(run, odd=ClassDecision(top_share=0.1))
    rule = run.engine.take_publication().rule
    graph, served = run.engine.graph, run.engine.versions.served
    assert served is not None
    rows = np.flatnonzero(graph.alive & (graph.label < 0))
    probabilities = served.embedding.probabilities(rows)
    flagged = decide(probabilities, rule.table(served.version.classes)) == served.version.classes.index("odd")
    assert flagged.sum() >= len(rows) // 10
    assert len(np.unique(probabilities[flagged, 1])) <= len(rows) // 10
    assert rule.thresholds["odd"] == probabilities[flagged, 1].min()


def test_a_share_is_found_anew_for_every_version_and_stays_between() -> None:
    run = learned(Run(WIDE))
    declare(run, odd=ClassDecision(top_share=0.2))
    first = run.engine.take_publication()
    assert run.engine.take_publication().rule == first.rule
    run.turn(newcomers(1000, 3), steps=20)
    later = run.engine.take_publication()
    assert later.served is not None
    assert first.served is not None
    assert later.served.number > first.served.number
    assert later.rule != first.rule


def test_a_rule_survives_a_checkpoint_and_goes_when_it_is_removed() -> None:
    run = learned(Run(WIDE))
    declare(run, odd=ClassDecision(top_share=0.2), even=ClassDecision(cost=3.0))
    rule = run.engine.take_publication().rule
    assert rule.costs == {"even": 3.0}
    restored = Engine.restore(WIDE, *run.engine.state(), DEVICE)
    assert restored.take_publication().rule == rule
    assert restored.graph.schema.decisions == run.engine.graph.schema.decisions
    restored.declare("2000000000-0", GraphSchema())
    assert restored.take_publication().rule == LabelRule()
