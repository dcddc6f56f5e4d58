"""The table of trees against a plain computation, and what a row of it depends on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from olad_core.config import AVERAGED
from olad_core.events import Event, RemoveEdge, RemoveNode, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.trees.table import STRUCTURE, Tables, averaged_features, table_of


def random_graph(seed: int, nodes: int, features: int) -> DynamicGraph:
    random = np.random.default_rng(seed)
    graph = DynamicGraph()
    events: list[Event] = []
    for node in range(nodes):
        values = random.normal(size=features).tolist() if features and random.random() < 0.7 else None
        label = f"class {random.integers(3)}" if random.random() < 0.6 else None
        events.append(UpsertNode(f"n{node}", x=values, label=label))
    for _ in range(3 * nodes):
        source, target = random.integers(nodes, size=2)
        events.append(UpsertEdge(f"n{source}", f"n{target}", weight=float(random.uniform(0.1, 3))))
    graph.apply([*events, RemoveNode("n0"), RemoveEdge("n1", "n2")], time=0.0)
    return graph


def plain_row(graph: DynamicGraph, row: int, hidden: set[int]) -> list[float]:
    near = graph.in_neighbours(np.array([row]))
    neighbours, weights = near.index.tolist(), near.weight.tolist()
    width = graph.num_features or 0
    has = {n: bool(graph.features.has(n)) for n in [row, *neighbours]}
    found = graph.features.dense(row).tolist() if has[row] else [math.nan] * width
    if width <= AVERAGED:
        total = sum(w for n, w in zip(neighbours, weights, strict=True) if has[n])
        for column in range(width):
            value = sum(w * graph.features.dense(n)[column] for n, w in zip(neighbours, weights, strict=True) if has[n])
            found.append(float(value / total) if total else math.nan)
    degrees = [math.log1p(graph.in_degree(np.array([n]))[0]) for n in neighbours]
    label = {n: -1 if n in hidden or n == row else int(graph.label[n]) for n in neighbours}
    known = sum(w for n, w in zip(neighbours, weights, strict=True) if label[n] >= 0)
    found += [math.log1p(len(neighbours)), math.log1p(sum(weights))]
    found += [sum(degrees) / len(degrees) if degrees else math.nan, known]
    for number in range(len(graph.classes)):
        of_class = sum(w for n, w in zip(neighbours, weights, strict=True) if label[n] == number)
        found.append(of_class / known if known else math.nan)
    return found


@pytest.mark.parametrize(("seed", "features"), [(0, 0), (1, 3), (2, AVERAGED + 1)])
def test_table_is_that_of_a_plain_computation(seed: int, features: int) -> None:
    graph = random_graph(seed, 30, features)
    rows = np.flatnonzero(graph.alive)
    hidden = rows[:5]
    found = table_of(graph, rows, features, hidden)
    wanted = np.array([plain_row(graph, row, set(hidden.tolist())) for row in rows.tolist()])
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    width = features + averaged_features(features) + STRUCTURE + len(graph.classes)
    assert found.shape == (len(rows), width)


def test_a_row_does_not_depend_on_its_own_label_nor_on_the_batch() -> None:
    graph = random_graph(3, 20, 2)
    rows = np.flatnonzero(graph.alive)
    together = table_of(graph, rows, 2)
    apart = np.concatenate([table_of(graph, rows[at : at + 1], 2) for at in range(len(rows))])
    assert together.tobytes() == apart.tobytes()
    [node] = graph.ids(rows[:1])
    graph.apply([UpsertEdge(node, node), UpsertNode(node, label="class 0")], time=1.0)
    before = table_of(graph, rows[:1], 2)
    graph.apply([UpsertNode(node, label="class 1")], time=1.0)
    np.testing.assert_array_equal(table_of(graph, rows[:1], 2), before)


def test_each_table_is_made_once() -> None:
    graph = random_graph(4, 20, 2)
    rows = np.flatnonzero(graph.alive)
    tables = Tables(graph, rows, hidden=rows)
    assert tables.of(2) is tables.of(2)
    assert tables.of(2).tobytes() == table_of(graph, rows, 2, rows).tobytes()
    assert tables.of(0).tobytes() == table_of(graph, rows, 0, rows).tobytes()
