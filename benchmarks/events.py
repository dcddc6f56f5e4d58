"""Streams of events for a graph that is there already, as bodies of POST /events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from benchmarks.graphs import GraphArrays

KEPT_BATCHES = 20
"""An edge that the stream adds is removed that many batches later, so that the graph keeps its size."""


def mixed_bodies(graph: GraphArrays, batch: int, seed: int = 0) -> Iterator[bytes]:
    """Batches without end: half new edges, half removals of those added before, and two labels in a hundred.

    A new edge goes from any node to where an edge of the graph points, so what is cited often is cited more.
    """
    random = np.random.default_rng(seed)
    labels = max(1, batch // 50)
    added: list[list[tuple[int, int]]] = []
    while True:
        adds = (batch - labels) // 2 if len(added) >= KEPT_BATCHES else batch - labels
        pairs = list(
            zip(random.integers(len(graph), size=adds).tolist(), random.choice(graph.dst, adds).tolist(), strict=True)
        )
        added.append(pairs)
        parts = [f'{{"op":"upsert_edge","src":"{src}","dst":"{dst}"}}' for src, dst in pairs]
        removals = batch - labels - adds
        if removals:
            gone = added.pop(0)
            again, gone = gone[removals:], gone[:removals]
            if again:
                added.insert(0, again)
            parts += [f'{{"op":"remove_edge","src":"{src}","dst":"{dst}"}}' for src, dst in gone]
        nodes = random.integers(len(graph), size=labels).tolist()
        parts += [f'{{"op":"label","id":"{node}","label":"{graph.label[node]}"}}' for node in nodes]
        yield _array(parts)


def edge_bodies(nodes: int, batch: int, count: int, seed: int = 0) -> list[bytes]:
    """A number of batches of nothing but new edges."""
    ends = np.random.default_rng(seed).integers(nodes, size=(count, batch, 2)).tolist()
    return [_array(f'{{"op":"upsert_edge","src":"{src}","dst":"{dst}"}}' for src, dst in one) for one in ends]


def _array(parts: Iterable[str]) -> bytes:
    return f"[{','.join(parts)}]".encode()
