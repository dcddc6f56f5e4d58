"""The tasks of a graph that predict values of edges: before an edge is applied, scored when its value has come.

See ``docs/decisions/0054-values-of-edges.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeGuard

import numpy as np
import numpy.typing as npt

from olad_core.config import EngineConfig
from olad_core.edge_tasks import NoEdgeAnswer
from olad_core.events import Event, Features, LabelNode, UpsertEdge
from olad_core.graph import DynamicGraph, Rejection
from olad_core.graph.arriving_edges import ArrivedEdges, ArrivingEdges
from olad_core.judging.value_scores import ValueReport
from olad_core.scored_values import ScoredValues
from olad_core.task_types import EdgeValueTask
from olad_core.tasks.edge_class import features_given
from olad_core.tasks.edge_value import Inputs, Learner, Predicted, Scored, ValueAnswer
from olad_core.tasks.found_edges import EdgeEvent, answered, found_labels
from olad_core.tasks.task_states import joined_states, restore_states

Arrays = dict[str, npt.NDArray[Any]]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ValueTaskReport(ValueReport):
    """How a task stands; its simple prediction is the mean of what both ends gave and received.

    Attributes:
        edge_type: of its edges.
    """

    edge_type: str


class ValueTaskAnswer(NamedTuple):
    """An answer of a task.

    Attributes:
        task: its name.
        coverage: share of the values that shall lie in the interval.
        edge: what is predicted of the edge.
        version: steps that the head had taken.
    """

    task: str
    coverage: float
    edge: ValueAnswer
    version: int


class _Predicted(NamedTuple):
    """What was known and answered of the edges that arrive with an entry, before it."""

    inputs: Inputs
    answered: Predicted


class _Task:
    """One task: what it learns, and its scores."""

    def __init__(self, name: str, task: EdgeValueTask, graph: DynamicGraph, config: EngineConfig, number: int) -> None:
        rule = graph.relation_rules[task.edge_type]
        self.name, self.edge_type, self.coverage = name, task.edge_type, task.coverage
        seed, most = config.trainer.seed + 1_000 * (number + 1), config.arrivals_remembered
        self.learner = Learner(task.coverage, seed, most, directed=rule.directed, features=rule.width)
        self.scores = ScoredValues(self.learner, config.score_memory)

    def predict(self, edges: ArrivingEdges) -> _Predicted:
        """Predict the edges of this type that arrive with an entry, before it is applied."""
        features = features_given(edges.x, self.learner.features)
        inputs = self.learner.history.inputs(self.learner.asked(edges.rows, edges.weight, edges.time), features)
        return _Predicted(inputs, self.learner.predict(inputs))

    def arrive(self, edges: ArrivedEdges, predicted: _Predicted) -> None:
        """Remember the edges that were applied, and whose ends are still there."""
        if edges.places.size:
            asked = self.learner.asked(edges.rows, edges.weight, edges.time)
            answered = Predicted(*(each[edges.places] for each in predicted.answered))
            self.learner.arrive(asked, edges.ids, predicted.inputs.part(edges.places), answered)

    def report(self) -> ValueTaskReport:
        """How the task stands."""
        standing = self.scores.standing()
        return ValueTaskReport(name=self.name, edge_type=self.edge_type, coverage=self.coverage, **standing)

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """Arrays and plain values for a checkpoint."""
        return self.scores.state()

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take over the :meth:`state`."""
        self.scores.restore(arrays, values)


class ValueTasks:
    """All tasks of a graph that predict values of edges.

    Args:
        config: of the engine.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._tasks: dict[str, _Task] = {}
        self._predicted: dict[str, _Predicted] = {}

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._tasks)

    def has(self, edge_type: str) -> bool:
        """Whether values of edges of this type are predicted."""
        return any(task.edge_type == edge_type for task in self._tasks.values())

    def declare(self, graph: DynamicGraph) -> None:
        """Follow what the graph's schema declares now."""
        for number, (name, task) in enumerate(graph.tasks.items()):
            if task.kind != "edge_value":
                continue
            if name in self._tasks:
                self._tasks[name].learner.have_features(graph.relation_rules[task.edge_type].width)
            else:
                self._tasks[name] = _Task(name, task, graph, self._config, number)

    def predict(self, arriving: Mapping[str, ArrivingEdges]) -> None:
        """Predict the edges that arrive with an entry, by type, before it is applied."""
        self._predicted = {name: task.predict(arriving[task.edge_type]) for name, task in self._tasks.items()}

    def follow(
        self,
        graph: DynamicGraph,
        applied: Sequence[tuple[int, Event]],
        arrived: Mapping[str, ArrivedEdges],
        removed: Rows,
    ) -> list[Rejection]:
        """Remember the edges of an entry that was predicted and then applied; score and learn the values in it.

        Args:
            graph: after the entry.
            applied: events of the entry, with their indices.
            arrived: the edges that were predicted, by type.
            removed: rows of nodes that have left.

        Returns:
            Values that cannot be taken.
        """
        for name, task in self._tasks.items():
            if removed.size:
                task.learner.forget(removed)
            task.arrive(arrived[task.edge_type], self._predicted.pop(name))
        return self._label(graph, [(index, event) for index, event in applied if _has_value(event)])

    def answer(
        self,
        graph: DynamicGraph,
        edge_type: str,
        ends: tuple[str, str] | None,
        edge: str | None,
        weight: float,
        x: Features | None = None,
    ) -> ValueTaskAnswer | NoEdgeAnswer:
        """The prediction of an edge, there or not; why there is none otherwise.

        Args:
            graph: the live graph.
            edge_type: of the edge.
            ends: ids of source and target, of no node too. Where edges have ids, a new edge is meant.
            edge: its id, instead of ends.
            weight: of an edge that is not remembered.
            x: features of an edge that is not remembered, zeros if left out.
        """
        task = next((each for each in self._tasks.values() if each.edge_type == edge_type), None)
        if task is None:
            return "no-task"
        learner = task.learner
        answer = answered(graph, learner, learner.edges.ring.find, edge_type, ends, edge, weight, x)
        return answer if isinstance(answer, str) else ValueTaskAnswer(task.name, task.coverage, answer, learner.steps)

    def reports(self) -> tuple[ValueTaskReport, ...]:
        """How each task stands."""
        return tuple(task.report() for task in self._tasks.values())

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """Arrays and plain values for a checkpoint, by task."""
        return joined_states(self._tasks)

    def restore(self, graph: DynamicGraph, arrays: Mapping[str, npt.NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take over the :meth:`state` of the tasks of this graph."""
        self.declare(graph)
        restore_states(self._tasks, arrays, values)

    def _label(self, graph: DynamicGraph, events: Sequence[tuple[int, EdgeEvent]]) -> list[Rejection]:
        if not self._tasks:
            return []
        by_type = {task.edge_type: task for task in self._tasks.values()}
        finds = {edge_type: task.learner.edges.ring.find for edge_type, task in by_type.items()}
        remembered = self._config.arrivals_remembered
        scored: dict[str, list[Scored]] = {}
        rejected = []
        for each in found_labels(graph, events, finds, remembered, task="task that predicts values", label="value"):
            if isinstance(each, Rejection):
                rejected.append(each)
                continue
            task = by_type[each.edge_type]
            assert each.event.value is not None
            found = task.learner.label(each.place, float(each.event.value))
            scored.setdefault(task.name, []).extend([found] if found is not None else [])
        for name, predictions in scored.items():
            self._tasks[name].scores.add(predictions)
            self._tasks[name].learner.learn()
        return rejected


def _has_value(event: Event) -> TypeGuard[EdgeEvent]:
    """Whether an event states the value of an edge."""
    of_edge = isinstance(event, UpsertEdge) or (isinstance(event, LabelNode) and event.of_edge)
    return of_edge and event.value is not None  # type: ignore[union-attr]
