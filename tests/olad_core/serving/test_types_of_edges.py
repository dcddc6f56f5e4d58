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
TYPES = {"one": EdgeType(), "way": EdgeType(directed=True), "short": EdgeType(lifetime=9.0)}
CPU = torch.device("cpu")


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_errors_do_not_add_up_in_a_hundred_thousand_events(architecture: str) -> None:
    draw = np.random.default_rng(6)
    graph = DynamicGraph(feature_width=FEATURES)
    graph.declare(GraphSchema(feature_width=FEATURES, edge_types=TYPES))
    graph.apply([UpsertNode(str(node), x) for node, x in enumerate(draw.normal(size=(NODES, FEATURES)).tolist())], 0.0)
    student = build_student(architecture, FEATURES, 8, 8, seed=3, relations=len(TYPES)).to(DEVICE)
    embedding = Embedding.alone(student, CLASSES, DEVICE)
    while not embedding.complete:
        embedding.advance(graph)
    for turn in range(200):
        ends = draw.integers(NODES, size=(2, 500)).astype(str).tolist()
        kinds, chosen = draw.random(500), draw.choice([*TYPES], size=500).tolist()
        weights = draw.choice([0.01, 1.0, 100.0], size=500).tolist()
        events: list[Event] = [
            UpsertNode(source, draw.normal(size=FEATURES).tolist())
            if kind < 0.02
            else RemoveEdge(source, target, which)
            if kind < 0.5
            else UpsertEdge(source, target, weight, float(turn), which)
            for source, target, kind, weight, which in zip(*ends, kinds, weights, chosen, strict=True)
        ]
        embedding.mark(graph, merge([graph.apply(events, 0.0)], graph))
        embedding.compute(graph, embedding.marked(graph))
    rows = np.arange(NODES)
    block, _ = to_block(graph, rows, graph.in_neighbours(rows), CPU)
    with torch.no_grad():
        _, embedded = student.cpu()(inputs(graph, rows, FEATURES, CPU), [block] * student.num_layers)
        expected = student.answers(student.read(embedded)[:, : 1 + CLASSES])[:, 1:]
    np.testing.assert_allclose(embedding.probabilities(rows), expected, rtol=1e-5, atol=1e-5)
