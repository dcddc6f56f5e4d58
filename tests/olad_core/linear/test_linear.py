"""A linear model that follows a graph: closed form, exact inputs, and a state to go on from."""

from __future__ import annotations

import numpy as np
import pytest

from olad_core.config import LINEAR_CLASSES
from olad_core.events import Event, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.linear.discriminant import Discriminant, Moments
from olad_core.linear.member import FEWEST_LABELS, Linear, scale_of
from olad_core.linear.table import columns_of, linear_table
from olad_core.trees.table import Tables
from tests.olad_core.streams import FEATURES, changes, take


def arrive(graph: DynamicGraph, linear: Linear, first: int, count: int) -> float:
    """Nodes whose class is the sign of their feature, and their labels right after; the share answered right."""
    random = np.random.default_rng(first)
    values = random.normal(size=(count, FEATURES))
    nodes = [f"n{first + at}" for at in range(count)]
    events: list[Event] = [UpsertNode(node, x=v) for node, v in zip(nodes, values.tolist(), strict=True)]
    events += [UpsertEdge(node, f"n{random.integers(first + 1)}") for node in nodes]
    graph.apply(events, time=float(first))
    rows = graph.rows(nodes)
    answers = linear.arrived(Tables(graph, rows, hidden=rows))
    labels = ["down" if value[0] < 0 else "up" for value in values.tolist()]
    graph.apply([UpsertNode(n, label=label) for n, label in zip(nodes, labels, strict=True)], time=float(first))
    linear.labelled(graph.arrival[rows], graph.label[rows].astype(np.int64))
    if not answers.shape[1]:
        return 0.0
    return float(np.mean(np.array(graph.classes)[answers.argmax(axis=1)] == np.array(labels)))


def learned(count: int = 120) -> tuple[DynamicGraph, Linear]:
    graph, linear = DynamicGraph(), Linear(1000)
    for first in range(0, count, 20):
        arrive(graph, linear, first, 20)
        linear.solve()
    return graph, linear


def test_learns_what_the_features_show() -> None:
    graph, linear = learned(200)
    assert arrive(graph, linear, 200, 100) >= 0.85


def test_no_model_before_there_are_labels_of_two_classes() -> None:
    graph, linear = DynamicGraph(), Linear(1000)
    arrive(graph, linear, 0, FEWEST_LABELS - 1)
    assert not linear.solve()
    assert np.isnan(linear.predict(graph, graph.rows(["n0"]))).all()
    arrive(graph, linear, FEWEST_LABELS, 10)
    assert linear.solve()
    assert not linear.solve(), "nothing has come since"


def test_too_many_classes_are_left_to_the_students() -> None:
    graph, linear = DynamicGraph(), Linear(1000)
    nodes = [f"n{at}" for at in range(LINEAR_CLASSES + 1)]
    graph.apply([UpsertNode(node, label=node) for node in nodes], time=0.0)
    rows = graph.rows(nodes)
    assert np.isnan(linear.arrived(Tables(graph, rows, hidden=rows))).all()
    linear.labelled(graph.arrival[graph.rows(nodes)], np.arange(len(nodes)))
    assert not linear.solve()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("directed", [False, True])
def test_the_table_holds_shares_of_two_hops_without_the_own_label(seed: int, directed: bool) -> None:
    graph = DynamicGraph(directed=directed, feature_width=FEATURES)
    graph.apply(take(changes(seed, 20), 150), 0.0)
    rows = np.flatnonzero(graph.alive)
    classes = len(graph.classes)

    def shares(row: int, label: np.ndarray) -> np.ndarray:
        near, votes = graph.in_neighbours(np.array([row])), np.zeros(classes)
        for index, weight in zip(near.index, near.weight, strict=True):
            if label[index] >= 0:
                votes[label[index]] += weight
        return np.asarray(votes / max(votes.sum(), 1e-12))

    for row in rows.tolist():
        table = linear_table(Tables(graph, np.array([row]), hidden=np.array([row])), FEATURES)[0]
        label = graph.label.copy()
        label[row] = -1
        assert len(table) == columns_of(FEATURES, classes)
        far = [shares(index, label) for index in graph.in_neighbours(np.array([row])).index.tolist()]
        expected = np.mean(far, axis=0) if far else np.zeros(classes)
        np.testing.assert_allclose(table[-2 * classes + 1 :: 2], expected, atol=1e-5)
        np.testing.assert_allclose(table[-2 * classes :: 2], shares(row, label), atol=1e-5)


def test_the_discriminant_is_that_of_the_normal_distribution() -> None:
    """With many rows the coefficients are those of the true means and the true covariance."""
    random = np.random.default_rng(0)
    mix = np.array([[1.0, 0.6], [0.0, 0.8]])
    means = np.array([[0.0, 0.0], [1.0, -0.5], [-1.0, 1.0]])
    label = random.integers(3, size=60_000)
    moments = Moments()
    moments.add((means[label] + random.normal(size=(60_000, 2)) @ mix).astype(np.float32), label, 1.0)
    weight, _ = moments.solve()
    expected = np.linalg.solve(mix.T @ mix, means.T).T
    np.testing.assert_allclose(weight[1:] - weight[0], expected[1:] - expected[0], atol=0.05)


def test_columns_that_tell_nothing_are_left_out() -> None:
    random = np.random.default_rng(0)
    label = random.integers(2, size=200)
    table = random.normal(size=(200, 300)).astype(np.float32)
    table[:, 0] += 2 * label
    moments = Moments()
    moments.add(table, label, 1.0)
    weight = np.abs(moments.solve()[0])
    assert weight[:, 0].max() > 20 * np.median(weight[:, 1:].max(axis=0))


def test_labels_are_forgotten_by_age_and_at_a_drift() -> None:
    moments, one = Moments(), np.ones((1, 1), np.float32)
    for _ in range(3):
        moments.add(one, np.zeros(1, np.int64), 0.5)
    assert moments.counts.tolist() == [1.75]
    _, linear = learned()
    linear.forget(10)
    assert linear._moments.counts.sum() == pytest.approx(10)


def test_the_scale_has_the_least_log_loss() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(5000, 3)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    label = (random.random((5000, 1)) > shares.cumsum(axis=1)).sum(axis=1)
    assert scale_of(label, (4 * logits).astype(np.float32)) == pytest.approx(0.25, abs=0.02)


def test_a_restored_member_goes_on_to_the_same_bytes() -> None:
    graph, linear = learned()
    other = Linear(1000)
    other.restore(linear.state(), graph)
    assert isinstance(other.model, Discriminant)
    graph.apply([UpsertNode("late", x=[1.0, 0.0, 0.0], label="third")], time=300.0)
    late = graph.rows(["late"])
    answers = []
    for member in (linear, other):
        answers.append(member.arrived(Tables(graph, late, hidden=late)).tobytes())
        member.labelled(graph.arrival[late], np.array([2]))
        member._seen += 50  # makes a model due
        assert member.solve()
        answers.append(member.predict(graph, graph.rows(["n0"])).tobytes())
    assert answers[:2] == answers[2:]
    ours, theirs = linear.state(), other.state()
    assert all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)


@pytest.mark.parametrize("name", ["numbers", "moments/products", "model/weight", "model/scale", "waiting/key"])
def test_what_is_no_state_is_refused(name: str) -> None:
    graph, linear = learned()
    state = linear.state()
    for wrong in (state[name][..., :0], np.full_like(state[name], -1).astype(np.float16)):
        with pytest.raises(ValueError, match=r".+"):
            Linear(1000).restore(state | {name: wrong}, graph)
