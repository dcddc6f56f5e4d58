"""What is around a node, against a count by hand over all edges, after any events."""

from __future__ import annotations

import numpy as np
import pytest

from olad_core.events import Event, GraphSchema, RemoveEdge, RemoveNode, SparseFeatures, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.graph_types import EdgeType
from olad_core.tasks.node_value.inputs import Inputs, Shape
from olad_core.tasks.node_value.surroundings import features_of, shape_of, surroundings

TYPES = {
    "near": EdgeType(directed=False),
    "sold": EdgeType(directed=True),
    "seen": EdgeType(directed=True, lifetime=9.0),
}


def random_graph(seed: int, entries: int = 30) -> DynamicGraph:
    draw, graph = np.random.default_rng(seed), DynamicGraph()
    graph.declare(GraphSchema(edge_types=TYPES, feature_width=3))
    for at in range(entries):
        events: list[Event] = []
        for _ in range(8):
            source, target = (f"n{draw.integers(25)}" for _ in range(2))
            kind, what = str(draw.choice([*TYPES])), draw.random()
            if what < 0.6:
                events.append(UpsertEdge(source, target, float(draw.uniform(0.5, 3)), float(at), kind))
            elif what < 0.75:
                events.append(RemoveEdge(source, target, kind))
            elif what < 0.95:
                events.append(UpsertNode(source, draw.standard_normal(3).tolist()))
            else:
                events.append(RemoveNode(source))
        graph.apply(events, float(at))
    return graph


def arcs(graph: DynamicGraph, row: int) -> list[tuple[int, float, int]]:
    """Other end, weight and way of each edge of a node, by the list of all edges."""
    edges, found = graph.edge_list(), []
    directed = [rule.directed for rule in graph.relation_rules.values()]
    for source, target, weight, relation in zip(
        edges.source.tolist(), edges.target.tolist(), edges.weight.tolist(), edges.relation.tolist(), strict=True
    ):
        if target == row or (not directed[relation] and source == row):
            found.append((source if target == row else target, weight, 2 * relation))
        if directed[relation] and source == row:
            found.append((target, weight, 2 * relation + 1))
    return found


def by_hand(graph: DynamicGraph, known: dict[int, float], row: int, shape: Shape) -> Inputs:
    own = arcs(graph, row)
    valued = [(known[other], weight, way) for other, weight, way in own if other in known and other != row]

    def mean(values: list[float], weights: list[float] | None = None) -> float:
        return float(np.average(values, weights=weights)) if values else np.nan

    around = mean([value for value, _, _ in valued])
    beyond = [
        known[last]
        for other, _, _ in own
        if other != row
        for last, _, _ in arcs(graph, other)
        if last != row and last in known
    ]
    ways = range(shape.ways)
    levels = [around, mean([v for v, _, _ in valued], [w for _, w, _ in valued]), mean(beyond)]
    levels += [mean([value for value, _, found in valued if found == way]) for way in ways]
    counts = [sum(found == way for _, _, found in own) for way in ways]
    counts += [sum(found == way for _, _, found in valued) for way in ways]
    plain = [np.log1p(len(valued)), np.log1p(len(beyond)), bool(graph.features.has(np.array([row]))[0])]
    features = np.arcsinh(graph.features.dense(np.array([row, *(other for other, _, _ in own)])))
    apart = np.mean([abs(value - around) for value, _, _ in valued]) if valued else 0.0
    return Inputs(
        np.array([levels]),
        np.array([[apart]]),
        np.array([[*plain, *np.log1p(counts)]], np.float32),
        np.concatenate([features[:1], features[1:].mean(axis=0)[None] if own else np.zeros((1, 3))], axis=1),
    )


@pytest.mark.parametrize("seed", range(6))
def test_inputs_are_those_that_a_count_over_all_edges_gives(seed: int) -> None:
    graph, draw = random_graph(seed), np.random.default_rng(seed)
    rows = graph.living()
    known = np.full(graph.capacity - 5, np.nan)
    known[rows[: len(rows) // 2]] = draw.normal(50, 9, len(rows) // 2)
    held = {row: float(value) for row, value in enumerate(known) if not np.isnan(value)}
    shape = shape_of(graph)
    # A loop counts as one edge with no direction, and as one in each direction with one.
    found = surroundings(graph, known, rows, shape)
    for place, row in enumerate(rows.tolist()):
        expected = by_hand(graph, held, row, shape)
        for name, own, other in zip(Inputs._fields, found.part(np.array([place])), expected, strict=True):
            assert own == pytest.approx(other, abs=1e-6, nan_ok=True), (row, name)


def test_the_own_value_is_hidden_from_the_node_also_over_two_steps() -> None:
    graph = random_graph(7)
    rows = graph.living()
    known = np.random.default_rng(0).normal(50, 9, graph.capacity)
    whole = surroundings(graph, known, rows, shape_of(graph))
    for place, row in enumerate(rows.tolist()):
        changed = known.copy()
        changed[row] = np.nan
        alone = surroundings(graph, changed, rows[place : place + 1], shape_of(graph))
        for own, other in zip(whole.part(np.array([place])), alone, strict=True):
            assert own == pytest.approx(other, abs=1e-6, nan_ok=True)


def test_wide_features_are_hashed_to_the_same_sums_dense_or_sparse() -> None:
    graph = DynamicGraph(feature_width=500)
    x = np.zeros(500)
    x[[3, 70, 499]] = [1.0, -2.0, 4.0]
    graph.apply([UpsertNode("a", x.tolist()), UpsertNode("b", SparseFeatures([3, 70, 499], [1.0, -2.0, 4.0]))], 0.0)
    shape = shape_of(graph)
    assert shape == Shape(2, 64)
    one, other = features_of(graph, graph.rows(["a", "b"]), shape.features)
    assert one.tolist() == other.tolist()
    assert sorted(np.abs(one[one != 0])) == [1.0, 2.0, 4.0]
