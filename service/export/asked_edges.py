"""The edges of a type whose predictions are exported, in parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np

from olad_core.graph.store import DynamicGraph
from service.export.failed import ExportFailed


@dataclass(frozen=True)
class AskedEdge:
    """An edge of the graph; ``id`` is None where edges of its type have none."""

    src: str
    dst: str
    id: str | None

    def named(self, edge_type: str) -> dict[str, Any]:
        """As ``POST /predict/edge`` takes it."""
        ends = {"src": self.src, "dst": self.dst} if self.id is None else {"id": self.id}
        return {**ends, "type": edge_type}


def edges_of_type(graph: DynamicGraph, edge_type: str) -> list[AskedEdge]:
    """All edges of a type, by their times; edges of one time by the arrival of their ends.

    Raises:
        ExportFailed: no edge has such a type.
    """
    if edge_type not in graph.relations:
        raise ExportFailed(f"no edge has the type {edge_type!r}; the types are {', '.join(graph.relations)}")
    edges = graph.edge_list()
    own = edges.relation == graph.relations.index(edge_type)
    ids = list(compress(graph.edge_ids(), own))
    order = np.argsort(edges.time[own], kind="stable")
    sources, targets = graph.ids(edges.source[own][order]), graph.ids(edges.target[own][order])
    return [
        AskedEdge(source, target, ids[place])
        for source, target, place in zip(sources, targets, order.tolist(), strict=True)
    ]


def in_parts(edges: Sequence[AskedEdge], size: int) -> Iterator[Sequence[AskedEdge]]:
    """The edges in parts of that size."""
    for first in range(0, len(edges), size):
        yield edges[first : first + size]
