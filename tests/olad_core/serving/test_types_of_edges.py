"""What is served of a graph whose edges have types equals a forward pass over the whole graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from olad_core.events import Event, GraphSchema, RemoveEdge, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.graph_types import EdgeType
from olad_core.messages.sample import inputs, to_block
from olad_core.serving.embedding import Embedding
from olad_core.serving.touched import merge
from olad_core.students import ARCHITECTURES, build_student
from tests.device import DEVICE

CLASSES, FEATURES, NODES = 2, 3, 300
TYPES = {
    "one": EdgeType(),
    "way": EdgeType(directed=True, feature_width=2),
    "short": EdgeType(lifetime=9.0, ids=True, feature_width=1),
}
CPU = torch.device("cpu")


def width_of(edge_type: str) -> int:
    return TYPES[edge_type].feature_width or 0


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_errors_do_not_add_up_in_a_hundred_thousand_events(architecture: str) -> None:
    draw = np.random.default_rng(6)
    graph = DynamicGraph(feature_width=FEATURES)
    graph.declare(GraphSchema(feature_width=FEATURES, edge_types=TYPES))
    graph.apply([UpsertNode(str(node), x) for node, x in enumerate(draw.normal(size=(NODES, FEATURES)).tolist())], 0.0)
    student = build_student(architecture, FEATURES, 8, 8, 3, len(TYPES), (), 2).to(DEVICE)
    embedding = Embedding.alone(student, CLASSES, DEVICE)
    while not embedding.complete:
        embedding.advance(graph)
    for turn in range(200):
        ends = draw.integers(NODES, size=(2, 500)).astype(str).tolist()
        kinds, chosen = draw.random(500), draw.choice([*TYPES], size=500).tolist()
        weights = draw.choice([0.01, 1.0, 100.0], size=500).tolist()
        names, x = draw.integers(2_000, size=500).astype(str).tolist(), draw.normal(scale=5, size=(500, 2)).tolist()
        events: list[Event] = [
            UpsertNode(source, draw.normal(size=FEATURES).tolist())
            if kind < 0.02
            else (RemoveEdge(type=which, id=name) if TYPES[which].ids else RemoveEdge(source, target, which))
            if kind < 0.5
            else UpsertEdge(
                source,
                target,
                weight,
                float(turn),
                which,
                name if TYPES[which].ids else None,
                of_edge[: width_of(which)] or None,
            )
            for source, target, kind, weight, which, name, of_edge in zip(
                *ends, kinds, weights, chosen, names, x, strict=True
            )
        ]
        changes = graph.apply(events, 0.0)
        assert {rejection.reason for rejection in changes.rejected} <= {"unknown-edge"}
        embedding.mark(graph, merge([changes], graph))
        embedding.compute(graph, embedding.marked(graph))
    rows = np.arange(NODES)
    block, _ = to_block(graph, rows, graph.in_neighbours(rows), CPU)
    with torch.no_grad():
        _, embedded = student.cpu()(inputs(graph, rows, FEATURES, CPU), [block] * student.num_layers)
        expected = student.answers(student.read(embedded)[:, : 1 + CLASSES])[:, 1:]
    np.testing.assert_allclose(embedding.probabilities(rows), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES.keys() - {"mlp"}))
def test_other_features_of_an_edge_are_followed_where_its_weight_stays(architecture: str, ids: bool) -> None:
    graph = DynamicGraph(feature_width=FEATURES)
    types = {"paid": EdgeType(directed=True, ids=ids, feature_width=1)}
    graph.declare(GraphSchema(feature_width=FEATURES, edge_types=types))
    name = "p" if ids else None
    graph.apply(
        [UpsertEdge("a", "b", type="paid", id=name, x=[1.0]), UpsertEdge("b", "c", type="paid", id=name and "q")], 0.0
    )
    embedding = Embedding.alone(build_student(architecture, FEATURES, 8, 8, 3, 1, (), 1).to(DEVICE), CLASSES, DEVICE)
    while not embedding.complete:
        embedding.advance(graph)
    rows = graph.rows(["a", "b", "c"])
    before = embedding.probabilities(rows)
    embedding.mark(graph, merge([graph.apply([UpsertEdge("a", "b", type="paid", id=name, x=[9.0])], 0.0)], graph))
    assert sorted(embedding.marked(graph)) == sorted(rows[1:])
    embedding.compute(graph, rows)
    after = embedding.probabilities(rows)
    assert (before != after).any(axis=1).tolist() == [False, True, True]
