"""Paths of two edges, against the product of adjacency matrices."""

from __future__ import annotations

import numpy as np
import pytest

from olad_core.events import Event, RemoveNode, UpsertEdge
from olad_core.graph import DynamicGraph
from olad_core.tasks.link import two_hops as module
from olad_core.tasks.link.two_hops import reached, two_hops
from tests.olad_core.streams import changes, take


@pytest.mark.parametrize("directed", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_they_are_products_of_adjacencies(seed: int, directed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_DEGREE", 12)
    graph = DynamicGraph(directed=directed)
    graph.apply(take(changes(seed, nodes=40), 300), 0.0)
    source, target, _ = graph.edge_index()
    size = graph.capacity
    out = np.zeros((size, size))
    out[source, target] = 1
    degree = graph.in_degree(np.arange(size)) + graph.out_degree(np.arange(size))
    between = np.diag((degree <= 12).astype(float))
    weighted = between / np.log(2.0 + degree)
    ways = (out, out.T)
    products = [first @ between @ second for first in ways for second in ways]
    paths = [products[0], products[1], products[2], products[3]]
    total = sum(first @ weighted @ second for first in ways for second in ways)
    rows = np.concatenate([np.flatnonzero(graph.alive), [-1]])
    candidates = np.tile(rows, (len(rows), 1))
    found = two_hops(graph, rows, candidates)
    inside = rows[:-1]
    for number, expected in enumerate([*paths, total]):
        np.testing.assert_allclose(found[:-1, :-1, number], expected[np.ix_(inside, inside)], rtol=1e-5)
    assert not found[-1].any()
    assert not found[:, -1].any()
    for row in inside[:5].tolist():
        near = reached(graph, row)
        np.testing.assert_array_equal(np.sort(near), np.flatnonzero(total[row] > 0))
        assert (np.diff(total[row][near]) < 1e-5).all(), "the best connected ones come first"


def test_a_part_of_many_neighbours_is_read() -> None:
    graph = DynamicGraph(directed=True)
    events: list[Event] = [UpsertEdge("a", f"b{number}") for number in range(300)]
    events += [UpsertEdge(f"b{number}", "c") for number in range(300)]
    graph.apply(events, 0.0)
    one, other = graph.rows(["a", "c"])
    assert two_hops(graph, np.array([one]), np.array([[other]]))[0, 0, 0] == module.MOST_BETWEEN
    graph.apply([RemoveNode("a")], 0.0)
    assert not two_hops(graph, np.array([-1]), np.array([[other]])).any()
