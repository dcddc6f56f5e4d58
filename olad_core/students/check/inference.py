"""The check that what is served incrementally equals a full computation."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from olad_core.config import STRUCTURE
from olad_core.events import Event, GraphSchema, LabelNode, RemoveEdge, RemoveNode, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.graph_types import EdgeType, NodeType
from olad_core.messages.sample import inputs, to_block
from olad_core.students.check.case import Case, require_close
from olad_core.students.memory import Memory, Rows
from olad_core.students.student import Student

FEATURES, CLASSES, NODES = 3, 2, 40
ROUNDS = (40, 1, 3, 20, 60, 1, 5)
"""Events between two comparisons."""
TYPES = {
    "one": EdgeType(),
    "way": EdgeType(directed=True, feature_width=2),
    "two": EdgeType(directed=False, lifetime=90.0, ids=True, feature_width=1),
}
NODE_TYPES = {"account": NodeType(feature_width=3), "payment": NodeType(feature_width=2)}
CPU = torch.device("cpu")


def inference_is_exact(case: Case) -> None:
    """After random events, rows that were brought up to date equal a full computation (tolerance 1e-5)."""
    for feature_width, read in ((FEATURES, ()), (FEATURES, STRUCTURE), (0, STRUCTURE)):
        for directed in (False, True):
            student = case.build(feature_width)
            student.encoder.read_structure(read)
            student.advance()
            _follow(student, DynamicGraph(directed=directed, feature_width=feature_width or None))


def inference_is_exact_for_types(case: Case) -> None:
    """The same for nodes of two types and edges of three, some with ids and features, and after a fourth (1e-5)."""
    student = case.build(edge_width=2)
    graph = DynamicGraph(feature_width=student.feature_width)
    graph.declare(GraphSchema(feature_width=student.feature_width, edge_types={"edge": TYPES["way"]}))
    _follow(student, graph)
    for node_types in (NODE_TYPES, {}):
        widths = tuple(each.feature_width or 0 for each in node_types.values())
        student = case.build(len(widths) + sum(widths), relations=len(TYPES), type_widths=widths, edge_width=2)
        student.encoder.read_structure(STRUCTURE if node_types else ())
        student.advance()
        graph = DynamicGraph()
        graph.declare(GraphSchema(edge_types=TYPES, node_types=node_types))
        _follow(student, graph)
        more = {**node_types, "third": NodeType(feature_width=1)} if node_types else {}
        graph.declare(GraphSchema(edge_types={"fourth": EdgeType(feature_width=3)}, node_types=more))
        _follow(student, graph)


def _follow(student: Student, graph: DynamicGraph) -> None:
    # Serving is a layer above students. It is imported here alone, so that an import of students does not load it.
    from olad_core.serving.embedding import Embedding  # noqa: PLC0415
    from olad_core.serving.touched import merge  # noqa: PLC0415

    stream, states = _events(student.feature_width, graph), _States(student)
    graph.apply([next(stream) for _ in range(ROUNDS[0])], 0.0)
    states.draw(np.flatnonzero(graph.alive), seed=0)
    embedding = Embedding.alone(student, CLASSES, CPU, states.recall)
    while not embedding.complete:
        embedding.advance(graph)
    for seed, count in enumerate(ROUNDS[1:], start=1):
        touch = merge([graph.apply([next(stream) for _ in range(count)], 0.0)], graph)
        states.forget(touch.created)
        embedding.mark(graph, replace(touch, remembered=states.draw(touch.rows[::2], seed)))
        # One row alone first, then the others: what is computed does not depend on the order.
        embedding.compute(graph, embedding.marked(graph)[:1])
        embedding.compute(graph, embedding.marked(graph))
        rows = np.flatnonzero(graph.alive)
        disagreement, probabilities = embedding.disagreement(rows), embedding.probabilities(rows)
        served = torch.from_numpy(np.column_stack([disagreement, probabilities]))
        after = f"after {sum(ROUNDS[: seed + 1])} random events"
        require_close(served, _computed(student, graph, states), f"{after}, incremental and full inference differ")


def _computed(student: Student, graph: DynamicGraph, states: _States) -> Tensor:
    """Disagreement and class probabilities of all nodes, computed from the whole graph."""
    rows = np.flatnonzero(graph.alive)
    block, sources = to_block(graph, rows, graph.in_neighbours(rows), CPU)
    assert np.array_equal(sources, rows), "all neighbours are among all nodes"
    given = replace(inputs(graph, rows, student.feature_width, CPU), memory=states.recall(rows))
    with torch.no_grad():
        _, embedding = student(given, [block] * student.num_layers)
        return student.answers(student.read(embedding)[:, : 1 + CLASSES])


class _States:
    """Hidden states of all nodes, for a student that has them."""

    def __init__(self, student: Student) -> None:
        self._width = student.width
        self._memory = Memory(["student"] if student.remembers else [], student.width, CPU)

    def recall(self, rows: Rows) -> Tensor | None:
        return self._memory.recall("student", rows)

    def forget(self, rows: Rows) -> None:
        self._memory.forget(rows)

    def draw(self, rows: Rows, seed: int) -> Rows:
        """Give rows other hidden states; returns those that have other ones."""
        if self.recall(rows) is None:
            return rows[:0]
        states = torch.randn(len(rows), self._width, generator=torch.Generator().manual_seed(seed)).tanh()
        self._memory.remember("student", rows, states)
        return rows


def _events(features: int, graph: DynamicGraph) -> Iterator[Event]:
    """An endless stream of events: nodes and edges are added, changed and removed, and nodes are labelled.

    Where nodes have types, the name of a node decides which it has.
    """
    draw, types, node_types = random.Random(7), graph.relations, [*graph.node_types.items()]
    time = 0.0

    def name() -> str:
        # A few nodes are in most edges, so that neighbourhoods overlap.
        return f"n{draw.randrange(NODES if draw.random() < 0.6 else 5)}"

    def node() -> UpsertNode:
        named = name()
        kind, each = node_types[int(named[1:]) % len(node_types)] if node_types else (None, None)
        width = features if each is None else each.feature_width or 0
        x = [draw.uniform(-3, 3) for _ in range(width)] if width and draw.random() < 0.8 else None
        return UpsertNode(named, x, type=kind)

    def edge_id(of: str) -> str | None:
        return str(draw.randrange(NODES)) if graph.relation_rules[of].ids else None

    def edge_x(of: str) -> list[float] | None:
        width = graph.relation_rules[of].width
        return [draw.uniform(-9, 9) for _ in range(width)] if width and draw.random() < 0.8 else None

    while True:
        kind = draw.random()
        if kind < 0.5:
            time += draw.choice([0.0, 0.3, 40.0])
            weight = draw.choice([None, 0.25, draw.uniform(0.1, 9.0)])
            of = draw.choice(types)
            yield UpsertEdge(name(), name(), weight, time, of, edge_id(of), edge_x(of))
        elif kind < 0.7:
            yield node()
        elif kind < 0.85:
            of = draw.choice(types)
            yield RemoveEdge(type=of, id=edge_id(of)) if edge_id(of) else RemoveEdge(name(), name(), of)
        elif kind < 0.92:
            yield RemoveNode(name())
        else:
            yield LabelNode(name(), draw.choice(["a", "b"]))
