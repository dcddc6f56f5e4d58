"""Trees that follow a graph: they learn from nodes as they were at arrival, and go on from a checkpoint."""

from __future__ import annotations

import numpy as np

from olad_core.events import Event, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.trees.member import FEWEST_LABELS, MOST_CLASSES, MOST_FEATURES, Trees, forest_answers
from olad_core.trees.table import Tables


def arrive(graph: DynamicGraph, trees: Trees, first: int, count: int) -> float:
    """Nodes whose class is the sign of their feature; their labels come right after."""
    random = np.random.default_rng(first)
    values = random.normal(size=(count, 3))
    nodes = [f"n{first + at}" for at in range(count)]
    events: list[Event] = [UpsertNode(node, x=v) for node, v in zip(nodes, values.tolist(), strict=True)]
    events += [UpsertEdge(node, f"n{random.integers(first + 1)}") for node in nodes]
    graph.apply(events, time=float(first))
    rows = graph.rows(nodes)
    answers = trees.arrived(Tables(graph, rows, hidden=rows))
    labels = ["down" if value[0] < 0 else "up" for value in values.tolist()]
    graph.apply([UpsertNode(n, label=label) for n, label in zip(nodes, labels, strict=True)], time=float(first))
    trees.labelled(graph.arrival[rows], graph.label[rows].astype(np.int64))
    if not answers.shape[1]:
        return 0.0
    names = np.array(graph.classes)
    return float(np.mean(names[np.argmax(answers, axis=1)] == np.array(labels)))


def grow(trees: Trees) -> bool:
    plan = trees.plan()
    if plan is None:
        return False
    trees.take(plan.grow(), plan.labels_seen)
    return True


def test_trees_learn_what_the_features_show() -> None:
    graph, trees = DynamicGraph(), Trees(1000)
    for first in range(0, 200, 20):
        right = arrive(graph, trees, first, 20)
        grow(trees)
    assert right >= 0.8


def test_no_forest_before_there_are_labels_of_two_classes() -> None:
    graph, trees = DynamicGraph(), Trees(1000)
    arrive(graph, trees, 0, FEWEST_LABELS - 1)
    assert trees.plan() is None
    assert trees.forest is None
    arrive(graph, trees, FEWEST_LABELS, 10)
    assert grow(trees)
    assert trees.plan() is None, "nothing has come since"


def test_too_many_classes_are_left_to_the_students() -> None:
    graph, trees = DynamicGraph(), Trees(1000)
    nodes = [f"n{at}" for at in range(MOST_CLASSES + 1)]
    graph.apply([UpsertNode(node) for node in nodes], time=0.0)
    rows = graph.rows(nodes)
    trees.arrived(Tables(graph, rows, hidden=rows))
    trees.labelled(graph.arrival[rows], np.arange(len(nodes)))
    assert trees.plan() is None


def test_a_restored_member_goes_on_to_the_same_bytes() -> None:
    graph, trees = DynamicGraph(), Trees(1000)
    for first in range(0, 80, 20):
        arrive(graph, trees, first, 20)
        grow(trees)
    graph.apply([UpsertNode("late", x=[1.0, 0.0, 0.0])], time=100.0)
    late = graph.rows(["late"])
    trees.arrived(Tables(graph, late, hidden=late))
    other = Trees(1000)
    other.restore(trees.state(), graph)
    for member in (trees, other):
        member.labelled(graph.arrival[late], np.array([0]))
        member._seen += 50  # makes a forest due
        assert grow(member)
    rows = np.flatnonzero(graph.alive)
    assert trees.forest is not None
    assert other.forest is not None
    answers = [forest_answers(forest, graph, rows, 3).tobytes() for forest in (trees.forest, other.forest)]
    assert answers[0] == answers[1]


def test_classes_that_came_after_the_forest_have_no_probability() -> None:
    graph, trees = DynamicGraph(), Trees(1000)
    arrive(graph, trees, 0, 40)
    assert grow(trees)
    graph.apply([UpsertNode("new", x=[1.0, 2.0, 3.0], label="third")], time=50.0)
    new = graph.rows(["new"])
    answers = trees.arrived(Tables(graph, new, hidden=new))
    assert answers.shape == (1, 3)
    assert answers[0, 2] == 0
    assert abs(answers.sum() - 1) < 1e-6


def test_trees_begin_anew_where_features_appear() -> None:
    graph, trees = DynamicGraph(), Trees(1000)
    nodes = [f"n{at}" for at in range(40)]
    graph.apply([UpsertNode(node) for node in nodes], time=0.0)
    rows = graph.rows(nodes)
    trees.arrived(Tables(graph, rows, hidden=rows))
    trees.labelled(graph.arrival[rows], np.arange(40) % 2)
    plan = trees.plan()
    assert plan is not None
    late = plan.grow()
    assert trees.take(late, plan.labels_seen)
    arrive(graph, trees, 100, 5)
    assert trees.forest is None
    assert not trees.take(late, plan.labels_seen), "it is of other columns"
    # A version that was made of it goes on with the columns that it knows.
    assert np.isfinite(forest_answers(late, graph, rows, 2)).all()


def test_wide_features_are_left_to_the_students() -> None:
    graph, trees = DynamicGraph(), Trees(1000)
    graph.apply([UpsertNode("wide", x=[1.0] * (MOST_FEATURES + 1), label="a"), UpsertNode("b", label="b")], time=0.0)
    rows = graph.rows(["wide", "b"])
    assert np.isnan(trees.arrived(Tables(graph, rows, hidden=rows))).all()
    trees.labelled(graph.arrival[rows], np.array([0, 1]))
    assert trees.labels_seen == 0
