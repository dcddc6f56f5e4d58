"""Which edges of a type its task may remember: those that a checkpoint has, and those that arrived after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from olad_core.events import Event, UpsertEdge
from olad_core.graph.store import DynamicGraph
from olad_core.graph_types import RELATION
from olad_core.named_state import take_part
from olad_core.task_types import EdgeClassTask, EdgeValueTask
from service.export.remembered_edges import RINGS, remembered_edges


class LateEdges:
    """Edges of a type, named by their ids, or by both ends in any order.

    All that its task remembers are among them. Others may be.

    Args:
        edge_type: of the edges.
    """

    def __init__(self, edge_type: str) -> None:
        self.edge_type = edge_type
        self._named: set[str | tuple[str, str]] = set()

    def has(self, source: str, target: str, edge: str | None) -> bool:
        """Whether an edge is among them, by its id where it has one."""
        return _name(source, target, edge) in self._named

    def take_checkpoint(self, graph: DynamicGraph, tensors: Mapping[str, Tensor], values: Mapping[str, object]) -> None:
        """Add the edges that the task of this type remembers in a checkpoint.

        Args:
            graph: of the checkpoint.
            tensors: of the checkpoint.
            values: of the checkpoint.

        Raises:
            KeyError: a tensor is missing.
        """
        for kind, place in RINGS.items():
            own = values.get(kind, {})
            assert isinstance(own, Mapping), "the tasks of a kind, by name"
            for number, name in enumerate(own):
                if name in tasks_of(graph, self.edge_type):
                    ring = take_part(tensors, f"{kind}/{number}/{place}")
                    self._take_ring(graph, {part: tensor.numpy() for part, tensor in ring.items()})

    def take_events(self, events: Iterable[Event]) -> None:
        """Add the edges of this type that events of the log add or update."""
        for event in events:
            if type(event) is UpsertEdge and (event.type or RELATION) == self.edge_type:
                self._named.add(_name(str(event.src), str(event.dst), None if event.id is None else str(event.id)))

    def _take_ring(self, graph: DynamicGraph, ring: Mapping[str, npt.NDArray[Any]]) -> None:
        found = remembered_edges(graph, ring, np.flatnonzero(ring["held"]))
        self._named |= {_name(each.source, each.target, each.id) for each in found}


def tasks_of(graph: DynamicGraph, edge_type: str) -> list[str]:
    """Names of the tasks that predict edges of a type."""
    kinds = (EdgeClassTask, EdgeValueTask)
    return [name for name, task in graph.tasks.items() if isinstance(task, kinds) and task.edge_type == edge_type]


def _name(source: str, target: str, edge: str | None) -> str | tuple[str, str]:
    if edge is not None:
        return edge
    return (source, target) if source <= target else (target, source)
