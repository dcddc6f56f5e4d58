"""The edges of a type whose predictions are exported, in parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, NamedTuple

import numpy as np

from olad_core.graph.store import DynamicGraph
from service.export.failed import ExportFailed
from service.export.late_edges import LateEdges, tasks_of

NO_TASK = "edges of the type {!r} have no task: declare one (docs/tasks.md)"


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


class AskedEdges(NamedTuple):
    """Edges of a type.

    Attributes:
        asked: those that its task may remember, by their times; edges of one time by the arrival of their ends.
        others: how many others there are.
    """

    asked: list[AskedEdge]
    others: int


def edges_of_type(graph: DynamicGraph, late: LateEdges) -> AskedEdges:
    """The edges of a type that its task may remember.

    Raises:
        ExportFailed: no edge has such a type, or it has no task.
    """
    edge_type = late.edge_type
    if edge_type not in graph.relations:
        raise ExportFailed(f"no edge has the type {edge_type!r}; the types are {', '.join(graph.relations)}")
    if not tasks_of(graph, edge_type):
        raise ExportFailed(NO_TASK.format(edge_type))
    edges = graph.edge_list()
    own = edges.relation == graph.relations.index(edge_type)
    ids = list(compress(graph.edge_ids(), own))
    order = np.argsort(edges.time[own], kind="stable")
    sources, targets = graph.ids(edges.source[own][order]), graph.ids(edges.target[own][order])
    asked = [
        AskedEdge(source, target, ids[place])
        for source, target, place in zip(sources, targets, order.tolist(), strict=True)
        if late.has(source, target, ids[place])
    ]
    return AskedEdges(asked, len(ids) - len(asked))


def in_parts(edges: Sequence[AskedEdge], size: int) -> Iterator[Sequence[AskedEdge]]:
    """The edges in parts of that size."""
    for first in range(0, len(edges), size):
        yield edges[first : first + size]
