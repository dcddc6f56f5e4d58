"""The parts of all ranks together are the graph that one process would have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from olad_core.events import Event, GraphSchema, LabelNode, RemoveEdge, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.graph_types import EdgeType, NodeType
from olad_core.messages.sample import inputs
from olad_core.messages.sparse_features import Features, SparseRows
from tests.olad_core.partition.runs import Group, group
from tests.olad_core.streams import FEATURES, changes, take

SIZES = (60, 1, 3, 0, 20, 80, 1, 40)
TYPES = GraphSchema(
    node_types={"one": NodeType(feature_width=FEATURES), "two": NodeType()},
    edge_types={"near": EdgeType(), "far": EdgeType(directed=True, lifetime=5.0), "paid": EdgeType(feature_width=2)},
)


def timed(stream: Iterator[Event], seed: int) -> Iterator[Event]:
    """Most edges with times, after a while; some far ahead, which are refused where that is declared."""
    draw = np.random.default_rng(seed)
    for at, event in enumerate(stream):
        if isinstance(event, UpsertEdge | LabelNode) and at > 40 and draw.random() < 0.8:
            ahead = 1000.0 if draw.random() < 0.05 else 0.0
            yield msgspec.structs.replace(event, ts=float(round(at / 4 + draw.normal(scale=4))) + ahead)
        else:
            yield event


def typed(stream: Iterator[Event], seed: int) -> Iterator[Event]:
    """Nodes and edges with types, which are not always the right ones."""
    draw = np.random.default_rng(seed)
    for event in stream:
        if isinstance(event, UpsertNode):
            kind = draw.choice(["one", "one", "two", "three"])
            yield msgspec.structs.replace(event, type=str(kind), x=event.x if kind == "one" else None)
        elif isinstance(event, UpsertEdge | RemoveEdge):
            kind = str(draw.choice(["near", "far", "paid"]))
            x = {"x": draw.normal(size=2).tolist()} if kind == "paid" and isinstance(event, UpsertEdge) else {}
            yield msgspec.structs.replace(event, type=kind, **x)
        else:
            yield event


def as_dense(x: Features) -> np.ndarray[Any, Any]:
    if not isinstance(x, SparseRows):
        return x.numpy()
    dense = np.zeros(x.shape, np.float32)
    dense[x.entries.target_of_edge.numpy(), x.entries.sources.numpy()] = x.entries.weight.numpy()
    return dense


def nodes_of(graph: DynamicGraph, rows: np.ndarray[Any, Any]) -> dict[str, tuple[Any, ...]]:
    x = inputs(graph, rows, graph.num_features or 1, torch.device("cpu")).x if graph.num_features else None
    dense = np.zeros((rows.size, 0)) if x is None else as_dense(x)
    kinds = graph.kinds(rows).tolist()
    return {
        node: (dense[at].tobytes(), kinds[at], int(graph.label[row]), graph.structure.steps[row].tobytes())
        for at, (node, row) in enumerate(zip(graph.ids(rows), rows.tolist(), strict=True))
    }


def edges_of(graph: DynamicGraph) -> set[tuple[Any, ...]]:
    edges = graph.edge_list()
    x = graph.edge_features(edges)
    found = set()
    directed = [rule.directed for rule in graph.relation_rules.values()]
    ends = zip(graph.ids(edges.source), graph.ids(edges.target), strict=True)
    for at, (source, target) in enumerate(ends):
        relation = int(edges.relation[at])
        pair = (source, target) if directed[relation] else tuple(sorted((source, target)))
        found.add((*pair, relation, float(edges.weight[at]), float(edges.time[at]), x[at].tobytes()))
    return found


def assert_same(parts: Group, whole: DynamicGraph) -> None:
    nodes: dict[str, tuple[Any, ...]] = {}
    edges: set[tuple[Any, ...]] = set()
    for part in parts.parts:
        graph, store = part.graph, part.store
        nodes |= nodes_of(graph, np.flatnonzero(store.owned))
        edges |= edges_of(graph)
        assert graph.clock == whole.clock
        assert graph.classes == whole.classes
        assert graph.num_features == whole.num_features
        copies = np.flatnonzero(graph.alive & ~store.owned)
        assert (graph.in_degree(copies) + graph.out_degree(copies) > 0).all()
        assert store.copies == copies.size
        rows = np.flatnonzero(graph.alive)
        np.testing.assert_array_equal(store.number[rows], whole.arrival[whole.rows(graph.ids(rows))])
    assert nodes == nodes_of(whole, whole.living())
    assert edges == edges_of(whole)


@pytest.mark.parametrize("ranks", [1, 4])
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_parts_are_the_graph(seed: int, directed: bool, ranks: int) -> None:
    settings: dict[str, Any] = {"directed": directed, "edge_lifetime": 12.0 if seed % 2 else None, "removed_kept": 5}
    schema = GraphSchema(edge_lifetime=settings["edge_lifetime"], ts_ahead_max=100.0)
    whole, parts = DynamicGraph(**settings), group(ranks, **settings)
    if seed % 3 == 2:
        whole.declare(schema)
        for part in parts.parts:
            part.declare(schema)
    stream = timed(changes(seed), seed)
    for turn, size in enumerate(SIZES):
        events = take(stream, size)
        expected = whole.apply(events, 3.0 * turn)
        found = parts.apply(events, 3.0 * turn)
        for outcome in found:
            assert outcome.rejected == expected.rejected
        assert sorted(node for each in found for node in each.removed) == sorted(expected.removed_ids)
        assert_same(parts, whole)


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("seed", range(2))
def test_parts_of_a_graph_with_types(seed: int, ranks: int) -> None:
    whole, parts = DynamicGraph(), group(ranks, schema=TYPES)
    whole.declare(TYPES)
    stream = typed(timed(changes(seed), seed), seed)
    for turn, size in enumerate(SIZES):
        events = take(stream, size)
        expected = whole.apply(events, float(turn))
        assert all(outcome.rejected == expected.rejected for outcome in parts.apply(events, float(turn)))
        assert_same(parts, whole)


def test_a_copy_leaves_with_its_last_edge() -> None:
    parts = group(4)
    parts.apply([UpsertEdge(str(node), str(node + 1)) for node in range(20)])
    assert sum(part.store.copies for part in parts.parts) > 0
    parts.apply([RemoveEdge(str(node), str(node + 1)) for node in range(20)])
    assert [part.store.copies for part in parts.parts] == [0, 0, 0, 0]
    assert sum(part.graph.num_nodes for part in parts.parts) == 21
