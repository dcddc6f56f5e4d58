"""The tasks of a graph that predict values of nodes: at their arrival, scored when the value has come, and on request.

See ``docs/decisions/0057-values-of-nodes.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from olad_core.config import EngineConfig
from olad_core.events import Event, LabelNode, RejectedOp, RemoveNode, UpsertNode
from olad_core.graph import Changes, DynamicGraph, Rejection
from olad_core.judging.value_scores import ValueReport
from olad_core.scored_values import ScoredValues
from olad_core.task_types import NodeValueTask
from olad_core.tasks.node_value import Learner, NodeAnswer, are_of_type, edges_of, shape_of
from olad_core.tasks.task_states import joined_states, restore_states

Arrays = dict[str, npt.NDArray[Any]]
Rows = npt.NDArray[np.int64]
_NodeEvent: TypeAlias = UpsertNode | LabelNode
NoNodeAnswer = Literal["no-task", "no-model", "unknown-node", "too-large"]
"""Why there is no answer: nodes of the type have no such task, too few values have come, there is no such node, or it
has more edges than may be read."""


@dataclass(frozen=True)
class NodeValueReport(ValueReport):
    """How a task stands; its simple prediction is the mean of the neighbours' values, else the usual value.

    Attributes:
        node_type: of its nodes.
    """

    node_type: str


class NodeValueAnswer(NamedTuple):
    """An answer of a task.

    Attributes:
        task: its name.
        coverage: share of the values that shall lie in the interval.
        node: what is predicted of the node.
        version: steps that the head had taken.
    """

    task: str
    coverage: float
    node: NodeAnswer
    version: int


class ScoredNode(NamedTuple):
    """A prediction at arrival whose value has come: its task, the node's id, and both values."""

    task: str
    node: str
    predicted: float
    value: float


class NodeAnswers(NamedTuple):
    """The answers of several nodes.

    Attributes:
        nodes: one for each, or why there is none.
        work: edges that were read.
        need: edges that would have been read for all.
    """

    nodes: list[NodeValueAnswer | NoNodeAnswer]
    work: int
    need: int


class _Valued(NamedTuple):
    """Values of nodes that came with an entry, in their order."""

    rows: list[int]
    values: list[float]


class _Task:
    """One task: what it learns, and its scores."""

    def __init__(self, name: str, task: NodeValueTask, graph: DynamicGraph, config: EngineConfig, number: int) -> None:
        self.name, self.node_type, self.coverage = name, task.node_type, task.coverage
        seed, most = config.trainer.seed + 1_000 * (number + 1), config.arrivals_remembered
        self.learner = Learner(task.coverage, seed, most, config.most_read, shape_of(graph))
        self.scores = ScoredValues(self.learner, config.score_memory)

    def arrive(self, graph: DynamicGraph, changes: Changes) -> Rows:
        """Predict the nodes that an entry has brought, or given this type; their rows."""
        self.learner.fit(graph)
        # A node may be an end of an edge before it has a type, and features.
        there = np.concatenate([changes.created, np.setdiff1d(changes.features, changes.created)])
        there = there[graph.alive[there]]
        arrived = self.learner.see(there[are_of_type(graph, there, self.node_type)])
        self.learner.arrive(graph, arrived)
        return arrived

    def take(self, graph: DynamicGraph, valued: _Valued, arrived: Rows) -> list[ScoredNode]:
        """Score and learn the values of an entry; what was scored."""
        scored = self.learner.label(graph, np.array(valued.rows, np.int64), valued.values, arrived)
        self.scores.add([*scored.values()])
        self.learner.learn()
        nodes = graph.ids(np.array([*scored], np.int64))
        return [
            ScoredNode(self.name, node, each.answered[1], each.value)
            for node, each in zip(nodes, scored.values(), strict=True)
        ]

    def report(self) -> NodeValueReport:
        """How the task stands."""
        standing = self.scores.standing()
        return NodeValueReport(name=self.name, node_type=self.node_type, coverage=self.coverage, **standing)

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """Arrays and plain values for a checkpoint."""
        return self.scores.state()

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take over the :meth:`state`."""
        self.scores.restore(arrays, values)


class NodeValueTasks:
    """All tasks of a graph that predict values of nodes.

    Args:
        config: of the engine.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._tasks: dict[str, _Task] = {}
        self.scored: list[ScoredNode] = []
        """Predictions whose values came in the last entry."""

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._tasks)

    def declare(self, graph: DynamicGraph) -> None:
        """Follow what the graph's schema declares now. Nodes that are there have not arrived at a new task."""
        for number, (name, task) in enumerate(graph.tasks.items()):
            if isinstance(task, NodeValueTask) and name not in self._tasks:
                self._tasks[name] = _Task(name, task, graph, self._config, number)
                self._tasks[name].learner.fit(graph)
                there = graph.living()
                self._tasks[name].learner.see(there[are_of_type(graph, there, task.node_type)])
        for each in self._tasks.values():
            each.learner.fit(graph)

    def follow(self, graph: DynamicGraph, applied: Sequence[tuple[int, Event]], changes: Changes) -> list[Rejection]:
        """Predict the nodes that an entry has brought; score and learn the values in it.

        Args:
            graph: after the entry.
            applied: events of the entry, with their indices.
            changes: that it made.

        Returns:
            Values that cannot be taken.
        """
        if not self._tasks:
            return []
        arrived, self.scored = {}, []
        for name, task in self._tasks.items():
            if changes.removed_rows.size:
                task.learner.forget(changes.removed_rows)
            arrived[name] = task.arrive(graph, changes)
        valued, rejected = self._found(graph, _with_values(applied))
        for name, each in valued.items():
            self.scored += self._tasks[name].take(graph, each, arrived[name])
        return rejected

    def answers(self, graph: DynamicGraph, nodes: Sequence[str], task: str | None, most: int) -> NodeAnswers:
        """The predictions of nodes, in their order.

        Args:
            graph: the live graph.
            nodes: their ids.
            task: name; None for that of each node's type.
            most: edges that may be read.
        """
        rows = graph.rows(nodes)
        found: list[NodeValueAnswer | NoNodeAnswer] = ["unknown-node" if row < 0 else "no-task" for row in rows]
        if task is not None and task not in self._tasks:
            return NodeAnswers(["no-task"] * len(found), 0, 0)
        work = need = 0
        for each in self._tasks.values():
            own = np.flatnonzero(rows >= 0)
            own = own[are_of_type(graph, rows[own], each.node_type)] if task in (None, each.name) else own[:0]
            edges = edges_of(graph, rows[own])
            need += int(edges.sum())
            # A node that is too large alone leaves the others what may be read.
            fits = edges <= most
            fits &= work + np.cumsum(np.where(fits, edges, 0)) <= most
            for place in own[~fits].tolist():
                found[place] = "too-large"
            own, work = own[fits], work + int(edges[fits].sum())
            learner = each.learner
            answers = learner.answers_of(graph, rows[own]) if learner.answers else None
            for at, place in enumerate(own.tolist()):
                answer = None if answers is None else answers[at]
                whole = answer and NodeValueAnswer(each.name, each.coverage, answer, learner.steps)
                found[place] = whole or "no-model"
        return NodeAnswers(found, work, need)

    def reports(self) -> tuple[NodeValueReport, ...]:
        """How each task stands."""
        return tuple(task.report() for task in self._tasks.values())

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """Arrays and plain values for a checkpoint, by task."""
        return joined_states(self._tasks)

    def restore(self, graph: DynamicGraph, arrays: Mapping[str, npt.NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take over the :meth:`state` of the tasks of this graph."""
        self.declare(graph)
        restore_states(self._tasks, arrays, values)

    def _task_of(self, graph: DynamicGraph, row: int) -> _Task | None:
        """The task of the node in a row."""
        rows = np.array([row])
        return next((each for each in self._tasks.values() if are_of_type(graph, rows, each.node_type)[0]), None)

    def _found(
        self, graph: DynamicGraph, events: Sequence[tuple[int, _NodeEvent]]
    ) -> tuple[dict[str, _Valued], list[Rejection]]:
        """The values of nodes by task, and those that cannot be taken."""
        valued: dict[str, _Valued] = {}
        rejected = []
        rows = graph.rows([str(event.id) for _, event in events]).tolist()
        for (index, event), row in zip(events, rows, strict=True):
            op: RejectedOp = "upsert_node" if type(event) is UpsertNode else "label"
            task = None if row < 0 else self._task_of(graph, row)
            if row < 0:
                detail = f"there is no node {str(event.id)!r}, so that its value cannot be taken"
                rejected.append(Rejection(index, op, "unknown-node", detail))
            elif task is None:
                detail = f"no task that predicts values is declared for nodes of the type of {str(event.id)!r}"
                rejected.append(Rejection(index, op, "unknown-type", detail))
            else:
                found = valued.setdefault(task.name, _Valued([], []))
                found.rows.append(row)
                found.values.append(float(event.value or 0.0))
        return valued, rejected


def _with_values(applied: Sequence[tuple[int, Event]]) -> list[tuple[int, _NodeEvent]]:
    """The events of an entry that state the value of a node, which no later one removes.

    A value from before the removal is not that of a node that has come with the same id since.
    """
    found: list[tuple[int, _NodeEvent]] = []
    removed: set[str] = set()
    for index, event in reversed(applied):
        if isinstance(event, RemoveNode):
            removed.add(str(event.id))
        elif _has_value(event) and str(event.id) not in removed:
            found.append((index, event))
    return found[::-1]


def _has_value(event: Event) -> TypeGuard[_NodeEvent]:
    """Whether an event states the value of a node."""
    of_node = isinstance(event, UpsertNode) or (isinstance(event, LabelNode) and not event.of_edge)
    return of_node and event.value is not None  # type: ignore[union-attr]
