"""Random streams of graph changes that reach everything a stream can do, and small graphs to learn from."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

import numpy as np

from olad_core.events import Event, LabelNode, RemoveEdge, RemoveNode, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph

FEATURES = 3


def changes(seed: int, nodes: int = 90) -> Iterator[Event]:
    """Events without end over a few nodes: they come, change, leave and come back; some events are impossible.

    With more than 64 nodes the graph's arrays grow on the way.
    """
    draw = random.Random(seed)

    def name() -> str:
        # A few nodes are in most edges, so that neighbourhoods overlap.
        return f"n{draw.randrange(nodes) if draw.random() < 0.6 else draw.randrange(6)}"

    def x() -> list[float]:
        return [draw.choice([0.0, 1.0, -2.0, draw.uniform(-3, 3)]) for _ in range(FEATURES)]

    while True:
        kind = draw.random()
        if kind < 0.5:
            weight = draw.choice([None, 1.0, 0.25, draw.uniform(0.1, 9.0)])
            yield UpsertEdge(name(), name(), weight)
        elif kind < 0.65:
            yield UpsertNode(name(), x() if draw.random() < 0.8 else None, draw.choice([None, "red", "blue"]))
        elif kind < 0.8:
            yield RemoveEdge(name(), name())
        elif kind < 0.9:
            gone = name()
            yield RemoveNode(gone)
            if draw.random() < 0.5:
                yield UpsertNode(gone, x() if draw.random() < 0.5 else None)
        else:
            yield LabelNode(name(), draw.choice(["red", "blue", "green"]))


def take(stream: Iterator[Event], count: int) -> list[Event]:
    """The next events of a stream."""
    return [next(stream) for _ in range(count)]


def two_communities(nodes: int = 60, seed: int = 0, labelled: bool = True) -> list[Event]:
    """Nodes of two classes, with features and neighbours that separate them, in order of arrival."""
    draw = np.random.default_rng(seed)
    events: list[Event] = []
    for node in range(nodes):
        side = node % 2
        x = draw.normal(0, 1, FEATURES)
        x[0] += 2 * side - 1
        events.append(UpsertNode(str(node), x.tolist()))
        earlier = [other for other in range(node) if other % 2 == side]
        picked = draw.choice(earlier, min(2, len(earlier)), replace=False).tolist() if earlier else []
        events.extend(UpsertEdge(str(node), str(other)) for other in picked)
        if labelled:
            events.append(LabelNode(str(node), ["even", "odd"][side]))
    return events


def graph_of(events: list[Event], *, directed: bool = False) -> DynamicGraph:
    """A graph after these events."""
    graph = DynamicGraph(directed=directed)
    graph.apply(events, 0.0)
    return graph


def arriving(nodes: Iterable[int]) -> list[Event]:
    """Nodes with features that show clearly whether their names are even or odd."""
    return [UpsertNode(str(node), [3.0 if node % 2 else -3.0, 0.0, 0.0]) for node in nodes]


def labels_of(nodes: Iterable[int], *, right: bool = True) -> list[Event]:
    """The class that each node's features show, or else the other one."""
    return [LabelNode(str(node), ["even", "odd"][(node + (not right)) % 2]) for node in nodes]
