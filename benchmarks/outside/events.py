"""The events that are posted: the graph as it is loaded, and what changes afterwards."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from benchmarks.graphs import GraphArrays

HUB = "hub"
_KEPT_EDGES = 400
"""An edge that the stream adds is removed after so many others, so that the graph keeps its size."""
_LABEL_SHARE = 0.02


def graph_events(graph: GraphArrays, unlabelled: npt.NDArray[np.int64] | None = None) -> Iterator[str]:
    """All nodes in their order, then all edges. Nodes named as unlabelled get no label."""
    hidden = set() if unlabelled is None else set(unlabelled.tolist())
    for node, (x, label) in enumerate(zip(graph.x, graph.label.tolist(), strict=True)):
        said = "" if node in hidden else f',"label":"{label}"'
        yield f'{{"op":"upsert_node","id":"{node}","x":[{_row(x)}]{said}}}'
    for src, dst in zip(graph.src.tolist(), graph.dst.tolist(), strict=True):
        yield edge(src, dst)


def hub_events(graph: GraphArrays, neighbours: int) -> Iterator[str]:
    """A node with that many neighbours, the first of the graph."""
    yield f'{{"op":"upsert_node","id":"{HUB}","x":[{_row(graph.x[0])}]}}'
    for node in range(neighbours):
        yield edge(node, HUB)


def changes(graph: GraphArrays, first: int = 0, seed: int = 0) -> Iterator[str]:
    """Events without end: half features, half edges (as many added as removed), two labels in a hundred.

    An added edge goes from any node to where an edge of the graph points, so what is cited often is cited more.
    Nodes before ``first`` are left alone.
    """
    random = np.random.default_rng(seed)
    added: deque[tuple[int, int]] = deque()
    ends = graph.dst[graph.dst >= first]
    while True:
        kinds, nodes = random.random(10_000), random.integers(first, len(graph), 10_000).tolist()
        targets = random.choice(ends, 10_000).tolist()
        for kind, node, target in zip(kinds.tolist(), nodes, targets, strict=True):
            if kind < _LABEL_SHARE:
                yield f'{{"op":"label","id":"{node}","label":"{graph.label[node]}"}}'
            elif kind < 0.5:
                noise = 0.3 * random.standard_normal(graph.x.shape[1])
                yield f'{{"op":"upsert_node","id":"{node}","x":[{_row(graph.x[node] + noise)}]}}'
            elif kind < 0.75 and len(added) >= _KEPT_EDGES:
                src, dst = added.popleft()
                yield f'{{"op":"remove_edge","src":"{src}","dst":"{dst}"}}'
            else:
                added.append((node, target))
                yield edge(node, target)


def hub_edges(first: int, end: int) -> Iterator[str]:
    """Edges of the hub without end: one more, then the same one less, from nodes that are no neighbours otherwise."""
    for node in itertools.cycle(range(first, end)):
        yield edge(node, HUB)
        yield f'{{"op":"remove_edge","src":"{node}","dst":"{HUB}"}}'


def hub_features(graph: GraphArrays) -> Iterator[str]:
    """Other features of the hub without end."""
    for row in itertools.cycle(graph.x[:1000]):
        yield f'{{"op":"upsert_node","id":"{HUB}","x":[{_row(row)}]}}'


def new_edges(nodes: int, seed: int = 0) -> Iterator[str]:
    """Edges between any two nodes without end."""
    random = np.random.default_rng(seed)
    while True:
        for src, dst in random.integers(nodes, size=(10_000, 2)).tolist():
            yield edge(src, dst)


def edge(src: object, dst: object) -> str:
    """One edge."""
    return f'{{"op":"upsert_edge","src":"{src}","dst":"{dst}"}}'


def bodies(events: Iterable[str], batch: int) -> Iterator[bytes]:
    """Events as bodies of ``POST /events``.

    >>> list(bodies(iter(["1", "2", "3"]), 2))
    [b'[1,2]', b'[3]']
    """
    events = iter(events)
    while part := list(itertools.islice(events, batch)):
        yield f"[{','.join(part)}]".encode()


def _row(x: npt.NDArray[np.floating]) -> str:
    return ",".join([f"{value:.3f}" for value in x.tolist()])
