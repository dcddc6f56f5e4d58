"""All tasks of a graph beside the classes of nodes: what the engine calls before and after each entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy.typing as npt

from olad_core.edge_tasks import EdgeTasks
from olad_core.events import Event
from olad_core.graph import Changes, DynamicGraph, Rejection
from olad_core.graph.arriving_edges import ArrivingEdges, arrived_edges, arriving_edges
from olad_core.link_tasks import LinkTasks
from olad_core.named_state import join_parts, take_part
from olad_core.node_value_tasks import NodeValueTasks
from olad_core.task_types import tasks_on_edges
from olad_core.value_tasks import ValueTasks

ByType: TypeAlias = Mapping[str, ArrivingEdges]
"""The edges that arrive with an entry, by type, for each type that has a task."""


@dataclass(frozen=True)
class GraphTasks:
    """The tasks of all kinds.

    Attributes:
        classes: what is predicted of the classes of edges.
        links: which edges are predicted.
        values: what is predicted of their values.
        nodes: what is predicted of the values of nodes.
    """

    classes: EdgeTasks
    links: LinkTasks
    values: ValueTasks
    nodes: NodeValueTasks

    def declare(self, graph: DynamicGraph) -> None:
        """Follow what the graph's schema declares now."""
        self.classes.declare(graph)
        self.links.declare(graph)
        self.values.declare(graph)
        self.nodes.declare(graph)

    def predict(self, graph: DynamicGraph, position: str, events: Sequence[Event], time: float) -> ByType:
        """Predict the edges that arrive with an entry, which is not applied yet; these edges.

        Args:
            graph: before the entry.
            position: of the entry.
            events: of the entry.
            time: seconds at which it arrived.
        """
        now = graph.time_at(time)
        types = dict.fromkeys(task.edge_type for task in tasks_on_edges(graph.tasks).values())
        arriving = {edge_type: arriving_edges(graph, edge_type, events, now) for edge_type in types}
        self.classes.predict(graph, events, arriving)
        self.links.predict(graph, position, arriving)
        self.values.predict(arriving)
        return arriving

    def follow(
        self, graph: DynamicGraph, events: Sequence[Event], changes: Changes, arriving: ByType
    ) -> list[Rejection]:
        """Remember what came with an entry that was applied; score and learn the labels and values in it.

        Args:
            graph: after the entry.
            events: of the entry.
            changes: that it made.
            arriving: what :meth:`predict` returned.

        Returns:
            Labels that cannot be taken.
        """
        if not graph.tasks:
            return []
        rejected = {rejection.index for rejection in changes.rejected}
        applied = [(index, event) for index, event in enumerate(events) if index not in rejected]
        arrived = {edge_type: arrived_edges(graph, edges, rejected) for edge_type, edges in arriving.items()}
        refused = self.classes.follow(graph, applied, arrived, changes.removed_rows)
        refused += self.values.follow(graph, applied, arrived, changes.removed_rows)
        self.links.follow(arrived, changes.removed_rows)
        refused += self.nodes.follow(graph, applied, changes)
        return refused

    def state(self, graph: DynamicGraph) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Arrays and plain values for a checkpoint, by kind of task; nothing where the graph has none."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        values: dict[str, Any] = {}
        # Readers of a checkpoint find a part of those on classes wherever there is any task.
        for name, tasks, there in (
            ("edge_tasks", self.classes, graph.tasks),
            ("link_tasks", self.links, self.links),
            ("value_tasks", self.values, self.values),
            ("node_values", self.nodes, self.nodes),
        ):
            if there:
                learned, values[name] = tasks.state()
                arrays |= join_parts({name: learned})
        return arrays, values

    def restore(self, graph: DynamicGraph, arrays: Mapping[str, npt.NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take over the :meth:`state` of the tasks of this graph."""
        for name, tasks in (
            ("edge_tasks", self.classes),
            ("link_tasks", self.links),
            ("value_tasks", self.values),
            ("node_values", self.nodes),
        ):
            tasks.restore(graph, take_part(arrays, name), values.get(name, {}))
