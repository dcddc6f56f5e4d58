"""What is known of the tasks on edges and on values of nodes: what a checkpoint has, and the log after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from olad_core.events import Event, LabelNode, RemoveEdge, RemoveNode, UpsertEdge
from olad_core.graph.arriving_edges import arriving_edges
from olad_core.graph.store import DynamicGraph
from olad_core.graph_types import RELATION
from olad_core.named_state import take_part
from olad_core.task_types import EdgeClassTask, EdgeValueTask, NodeValueTask
from olad_core.tasks.edge_class import UNKNOWN
from olad_core.tasks.labelled_edges import EdgeKey, edge_key
from olad_core.tasks.node_value.learner import are_of_type
from service.export.remembered_edges import RINGS, remembered_edges

Numbers = npt.NDArray[np.float64]
_Arrays = Mapping[str, npt.NDArray[Any]]
_Plain = Mapping[str, Any]
_Stated = Callable[[int], str | float]
"""The class or the value of the edge at a place."""


class KnownEdges(NamedTuple):
    """What is known of E edges.

    Attributes:
        labels: class of each, None where it is not known; None where no task predicts classes of edges.
        values: of each, NaN where it is not known; None where no task predicts values of edges.
    """

    labels: list[str | None] | None
    values: Numbers | None

    def numbered(self) -> tuple[npt.NDArray[np.int64], list[str]] | None:
        """Number of each edge's class, -1 where it is not known, and the classes in order; None without labels."""
        if self.labels is None:
            return None
        classes = sorted({label for label in self.labels if label is not None})
        number = {label: place for place, label in enumerate(classes)}
        return np.array([-1 if label is None else number[label] for label in self.labels], np.int64), classes


class KnownAnswers:
    """Values of nodes, and classes or values of edges, as events stated them.

    Of edges that arrived before the checkpoint, those are known that their task remembers.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, float] = {}
        self._edges: dict[str, dict[EdgeKey, str | float]] = {}

    def take_checkpoint(self, graph: DynamicGraph, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Take over what the tasks know in a checkpoint.

        Raises:
            KeyError: a tensor is missing.
        """
        for kind, take in (
            ("node_values", self._take_nodes),
            ("edge_tasks", self._take_classes),
            ("value_tasks", self._take_values),
        ):
            for number, (name, plain) in enumerate(values.get(kind, {}).items()):
                arrays = {key: each.numpy() for key, each in take_part(tensors, f"{kind}/{number}").items()}
                if name in graph.tasks:
                    take(graph, name, arrays, plain)

    def begin_entry(self, graph: DynamicGraph, events: Sequence[Event], now: float) -> None:
        """Forget what was known of edges that arrive anew with an entry.

        Args:
            graph: before the entry is applied.
            events: of the entry.
            now: time of events without one.
        """
        for edge_type in _edge_types(graph):
            arriving = arriving_edges(graph, edge_type, events, now)
            for (source, target), edge in zip(arriving.ends, arriving.ids, strict=True):
                self._set(graph, edge_type, source, target, edge, None)

    def end_entry(self, graph: DynamicGraph, events: Sequence[Event]) -> None:
        """Take what the events of an entry state.

        Args:
            graph: after the entry was applied.
            events: of the entry that were applied, in order.
        """
        kinds, removed = _edge_types(graph), set[str]()
        for event in events:
            if isinstance(event, RemoveNode):
                self._nodes.pop(str(event.id), None)
                removed.add(str(event.id))
            elif isinstance(event, UpsertEdge) or (isinstance(event, LabelNode) and event.of_edge):
                edge = event.id if isinstance(event, UpsertEdge) else event.edge
                kind = event.type or RELATION
                if kind in kinds and {str(event.src), str(event.dst)} & removed:
                    # The edge from before has left with its end.
                    self._set(graph, kind, event.src, event.dst, edge, None)
                if kind in kinds and (stated := _stated(event, kinds[kind])) is not None:
                    self._set(graph, kind, event.src, event.dst, edge, stated)
            elif not isinstance(event, RemoveEdge) and event.value is not None and _is_there(graph, event.id):
                self._nodes[str(event.id)] = float(event.value)

    def of_nodes(self, graph: DynamicGraph, rows: npt.NDArray[np.int64]) -> Numbers | None:
        """Value of each node ``[n]``, NaN where it is not known; None where no task predicts values of nodes."""
        types = [task.node_type for task in graph.tasks.values() if isinstance(task, NodeValueTask)]
        if not types:
            return None
        values = np.array([self._nodes.get(name, np.nan) for name in graph.ids(rows)], np.float64)
        return np.where(np.any([are_of_type(graph, rows, each) for each in types], axis=0), values, np.nan)

    def of_edges(self, graph: DynamicGraph) -> KnownEdges:
        """Classes and values of the edges in the order of :meth:`DynamicGraph.edge_list`."""
        tasks = {*_edge_types(graph).values()}
        if not tasks:
            return KnownEdges(None, None)
        edges = graph.edge_list()
        rules, kinds = list(graph.relation_rules.values()), list(graph.relation_rules)
        parts = graph.ids(edges.source), graph.ids(edges.target), edges.relation.tolist(), graph.edge_ids()
        none: dict[EdgeKey, str | float] = {}
        stated = [
            self._edges.get(kinds[number], none).get(edge_key(rules[number], source, target, edge))
            for source, target, number, edge in zip(*parts, strict=True)
        ]
        labels = [each if isinstance(each, str) else None for each in stated]
        values = np.array([each if isinstance(each, float) else np.nan for each in stated])
        return KnownEdges(labels if EdgeClassTask in tasks else None, values if EdgeValueTask in tasks else None)

    def _set(
        self,
        graph: DynamicGraph,
        edge_type: str,
        source: str | int | None,
        target: str | int | None,
        edge: str | int | None,
        stated: str | float | None,
    ) -> None:
        key, known = edge_key(graph.relation_rules[edge_type], source, target, edge), self._edges.get(edge_type, {})
        if stated is None:
            known.pop(key, None)
        else:
            self._edges.setdefault(edge_type, known)[key] = stated

    def _take_nodes(self, graph: DynamicGraph, _name: str, arrays: _Arrays, _plain: _Plain) -> None:
        values = arrays["learner/rows/value"]
        rows = np.flatnonzero(~np.isnan(values))
        rows = rows[graph.alive[rows]]
        self._nodes |= dict(zip(graph.ids(rows), values[rows].tolist(), strict=True))

    def _take_classes(self, graph: DynamicGraph, name: str, arrays: _Arrays, plain: _Plain) -> None:
        labels, classes = arrays["learner/edges/label"], plain["classes"]
        ring = take_part(arrays, RINGS["edge_tasks"])
        self._take_ring(graph, name, ring, labels != UNKNOWN, lambda place: classes[labels[place]])

    def _take_values(self, graph: DynamicGraph, name: str, arrays: _Arrays, _plain: _Plain) -> None:
        values = arrays["learner/edges/value"]
        ring = take_part(arrays, RINGS["value_tasks"])
        self._take_ring(graph, name, ring, ~np.isnan(values), lambda place: float(values[place]))

    def _take_ring(
        self, graph: DynamicGraph, name: str, ring: _Arrays, known: npt.NDArray[np.bool_], stated: _Stated
    ) -> None:
        task = graph.tasks[name]
        assert isinstance(task, EdgeClassTask | EdgeValueTask), "a task on edges"
        # Of several edges that came between two nodes, the last one is still the edge between them.
        current = ring["held"] if graph.relation_rules[task.edge_type].ids else ring["held"] & ring["last"]
        for each in remembered_edges(graph, ring, np.flatnonzero(current & known)):
            self._set(graph, task.edge_type, each.source, each.target, each.id, stated(each.place))


def _edge_types(graph: DynamicGraph) -> dict[str, type[EdgeClassTask] | type[EdgeValueTask]]:
    """Types of edges that have a task, and its kind."""
    tasks = graph.tasks.values()
    return {task.edge_type: type(task) for task in tasks if isinstance(task, EdgeClassTask | EdgeValueTask)}


def _stated(event: UpsertEdge | LabelNode, kind: type[EdgeClassTask] | type[EdgeValueTask]) -> str | float | None:
    """The class or the value that an event states of an edge."""
    if kind is EdgeClassTask:
        return None if event.label is None or event.label == "" else str(event.label)
    return None if event.value is None else float(event.value)


def _is_there(graph: DynamicGraph, node: str | int) -> bool:
    """Whether a graph has a node."""
    return bool(graph.rows([str(node)])[0] >= 0)
