"""A bound on the work of a turn leaves predictions marked, and the choice of the student takes that into account."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from olad_core.events import UpsertEdge, UpsertNode
from olad_core.judging.metric import ACCURACY
from olad_core.serving.choice import Candidates
from olad_core.serving.load import TurnTime
from olad_core.serving.refresh_cost import cost_of, costs_of
from olad_core.serving.version_schedule import Schedule
from olad_core.students import build_student
from tests.olad_core.runs import BEST_OF_PAIR, PAIR, Run, assert_readers_are_fresh, learned


def edges(first: int) -> list[UpsertEdge]:
    return [UpsertEdge(str(node % 40), str((7 * node + first) % 40), 1.0 + first) for node in range(40)]


def served(run: Run) -> str:
    assert run.engine.versions.served is not None
    return run.engine.versions.served.version.student


def bounded(run: Run, turn: int, most_work: int) -> int:
    """A turn whose refresh may do so much work; the work that it was."""
    run.engine.apply(f"{100 + turn}-0", edges(turn), float(turn))
    work = run.engine.refresh(most_work)
    run.publish()
    return work


def test_what_is_left_stays_marked_until_it_is_asked_for_or_there_is_time() -> None:
    run = learned(Run(PAIR))
    assert bounded(run, 1, most_work=1) > 0
    marked = run.engine.marked
    assert 0 < marked == len(run.reader.marked)
    assert_readers_are_fresh(run)
    node = min(run.reader.marked)
    run.engine.ask([node, "no such node"])
    run.publish()
    assert node not in run.reader.marked
    assert_readers_are_fresh(run)
    while run.engine.tidy(most_work=5):
        run.publish()
        assert_readers_are_fresh(run)
    assert run.engine.marked == 0
    assert not run.engine.has_news


def test_a_node_that_was_asked_for_again_is_kept_fresh() -> None:
    run = learned(Run(PAIR))
    run.engine.ask(["3"])
    turn = 0
    while "3" not in run.reader.marked:
        turn += 1
        bounded(run, turn, most_work=1)
    run.engine.ask(["3"])
    for _ in range(5):
        turn += 1
        bounded(run, turn, most_work=1)
        assert "3" not in run.reader.marked


def test_new_nodes_have_predictions_whatever_the_bound_is() -> None:
    run = learned(Run(PAIR))
    run.engine.apply("100-0", [UpsertEdge("new", "3"), UpsertEdge("other", "new")], 0.0)
    run.engine.refresh(most_work=0)
    run.publish()
    assert not {"new", "other"} & run.reader.marked
    assert_readers_are_fresh(run)


def test_a_hub_that_every_turn_touches_leaves_time_for_the_others() -> None:
    run = learned(Run(PAIR))
    leaves = [UpsertEdge(f"leaf{number}", "hub") for number in range(300)]
    run.turn([*leaves, UpsertEdge("one", "other")], steps=0)
    for turn in range(100, 160):
        changed = UpsertNode("hub", [1.0, 0.0, float(turn)])
        run.engine.apply(f"{turn}-0", [changed, UpsertEdge("one", "other", 1.0 + turn)], float(turn))
        run.engine.refresh(most_work=60)
        run.publish()
        assert_readers_are_fresh(run)
    assert "hub" in run.reader.marked
    assert not {"one", "other"} & run.reader.marked
    while run.engine.tidy(most_work=60):
        run.publish()
    assert_readers_are_fresh(run)
    assert not run.reader.marked


def test_a_turn_that_leaves_predictions_counts_as_longer() -> None:
    loads = []
    for most_work in (1, 10**9):
        run = learned(Run(PAIR))
        for turn in range(20):
            bounded(run, turn, most_work)
            run.engine.follow_load(TurnTime(events=40, elapsed_s=0.02, own_s=0.001))
        loads.append(run.engine.versions.load.expected([served(run)])[0])
    assert loads[0] > 1.2 * loads[1]


@pytest.mark.parametrize(("own_s", "chosen"), [(0.001, "gcn"), (5.0, "sage")])
def test_under_load_a_cheaper_student_is_chosen(own_s: float, chosen: str) -> None:
    run = learned(Run(replace(BEST_OF_PAIR, switch_margin=0.0)))
    engine = run.engine
    assert engine.trainer is not None
    group = engine.trainer.group
    for _ in range(100):
        engine.follow_load(TurnTime(events=10, elapsed_s=0.5, own_s=own_s))
    candidates = Candidates(
        names=group.names,
        students=group.students,
        standing=np.array([0.004, 0.0]),
        metric=ACCURACY,
        training_loss=np.zeros(2),
        temperatures=np.ones(2),
        classes=engine.graph.classes,
        evidence=(10**6, 0),
    )
    engine.versions.withdraw()
    Schedule(run.engine.config, engine.versions, engine.kept, engine.decisions).start(candidates, 10, engine.position)
    assert engine.versions.candidate is not None
    assert engine.versions.candidate.version.student == chosen


def test_members_that_are_no_graph_students_count() -> None:
    students = {name: build_student(name, 3, 8, 8, seed=0) for name in ("mlp", "gcn")}
    alone, beside = (costs_of(students, beside=beside)["group"] for beside in (0, 1))
    assert alone == cost_of(students["mlp"]) + cost_of(students["gcn"])
    assert beside > alone
