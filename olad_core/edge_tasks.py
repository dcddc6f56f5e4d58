"""The tasks on edges of a graph: an edge is predicted before it is applied, and scored when its label has come.

See ``docs/decisions/0041-tasks-on-edges.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeGuard

import numpy as np
import numpy.typing as npt

from olad_core.config import EngineConfig
from olad_core.events import Event, Features, LabelNode, UpsertEdge
from olad_core.graph import DynamicGraph, Rejection
from olad_core.graph.arriving_edges import (
    ArrivedEdges,
    ArrivingEdges,
    rows_of_ends,
)
from olad_core.graph_types import RELATION
from olad_core.judging.class_report import ClassReport
from olad_core.judging.prequential import Scores, ScoreTable
from olad_core.named_state import join_parts, take_part
from olad_core.schema import edge_label
from olad_core.task_types import EdgeClassTask
from olad_core.tasks.edge_class import (
    Answered,
    EdgeAnswer,
    Inputs,
    Learner,
    LikeliestEdges,
    Scored,
    TooManyEdgeClasses,
    features_given,
    joined_before,
    likeliest_edges,
)
from olad_core.tasks.edge_explanations import TaskExplanation, explained
from olad_core.tasks.found_edges import EdgeEvent, answered, found_labels
from olad_core.tasks.labelled_edges import LabelledEdge, edge_key
from olad_core.tasks.task_states import joined_states, restore_states

Arrays = dict[str, npt.NDArray[Any]]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TaskReport:
    """How a task stands.

    Attributes:
        name: of the task.
        edge_type: of its edges.
        classes: by number.
        arrived: edges that have arrived.
        waiting: edges that are remembered and have no label.
        labels: edges whose label has come.
        steps: of the head.
        scores: of two predictors: the shares of the classes, then what was answered.
        report: of what was answered, class by class.
    """

    name: str
    edge_type: str
    classes: tuple[str, ...]
    arrived: int
    waiting: int
    labels: int
    steps: int
    scores: ScoreTable
    report: ClassReport


class TaskAnswer(NamedTuple):
    """An answer of a task.

    Attributes:
        task: its name.
        edge: what is predicted of the edge.
        version: steps that the head had taken.
    """

    task: str
    edge: EdgeAnswer
    version: int


NoList = Literal["no-task", "no-model", "unknown-class"]
"""Why there is no list: the type has no task, too few labels have come, or the task has no such class."""
NoEdgeAnswer = Literal["no-task", "no-model", "unknown-edge"]
"""Why there is no answer: the type has no task, too few labels have come, or no such id is remembered."""


class _Predicted(NamedTuple):
    """What was known and answered of the edges that arrive with an entry, before it."""

    inputs: Inputs
    answered: Answered


class _Task:
    """One task: what it learns, and its scores."""

    def __init__(self, name: str, task: EdgeClassTask, graph: DynamicGraph, config: EngineConfig, number: int) -> None:
        rule = graph.relation_rules[task.edge_type]
        self.name, self.edge_type = name, task.edge_type
        seed, most = config.trainer.seed + 1_000 * (number + 1), config.arrivals_remembered
        self.learner = Learner(task.classes, seed, most, directed=rule.directed, features=rule.width)
        self.scores = Scores(2, config.score_memory)

    def predict(self, graph: DynamicGraph, events: Sequence[Event], edges: ArrivingEdges) -> _Predicted:
        """Predict the edges of this type that arrive with the events, before these are applied."""
        features = features_given(edges.x, self.learner.features)
        also = self._joined(graph, events, edges.rows, edges.number)
        inputs = self.learner.history.inputs(self.learner.asked(edges.rows, edges.weight, edges.time, also), features)
        return _Predicted(inputs, self.learner.predict(inputs))

    def arrive(self, edges: ArrivedEdges, predicted: _Predicted) -> None:
        """Remember the edges that were applied, and whose ends are still there."""
        if edges.places.size:
            asked = self.learner.asked(edges.rows, edges.weight, edges.time)
            inputs, answered = predicted.inputs.part(edges.places), predicted.answered.part(edges.places)
            self.learner.arrive(asked, edges.ids, inputs, answered)

    def join(self, graph: DynamicGraph, applied: Sequence[tuple[int, Event]]) -> None:
        """Note the edges of other types among the events that were applied."""
        others = [event for _, event in applied if self._is_other(event)]
        rows = rows_of_ends(graph, [(str(event.src), str(event.dst)) for event in others])
        self.learner.history.links.join(rows[(rows >= 0).all(axis=1)])

    def score(self, scored: Sequence[Scored]) -> None:
        """Score predictions whose labels have come."""
        if scored:
            classes = max(each.probabilities.shape[1] for each in scored)
            wide = [np.pad(each.probabilities, ((0, 0), (0, classes - each.probabilities.shape[1]))) for each in scored]
            self.scores.add(np.stack(wide), np.array([each.label for each in scored]))

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """Arrays and plain values for a checkpoint."""
        learned, values = self.learner.state()
        return join_parts({"learner": learned, "scores": self.scores.state()}), values

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take over the :meth:`state`."""
        self.learner.restore(take_part(arrays, "learner"), values)
        self.scores.restore(take_part(arrays, "scores"))

    def _is_other(self, event: Event) -> TypeGuard[UpsertEdge]:
        """Whether an event adds an edge of another type."""
        return type(event) is UpsertEdge and (event.type or RELATION) != self.edge_type

    def _joined(
        self, graph: DynamicGraph, events: Sequence[Event], ends: Rows, numbers: Sequence[int]
    ) -> tuple[list[list[int]], list[list[int]]] | None:
        """Rows that the ends of edges are joined to by edges of other types that stand before them in the entry.

        Args:
            graph: before the entry.
            events: of the entry.
            ends: rows of source and target of the edges ``[n, 2]``.
            numbers: of the edges among the events.
        """
        others = [(number, event) for number, event in enumerate(events) if self._is_other(event)]
        if not others:
            return None
        rows = rows_of_ends(graph, [(str(event.src), str(event.dst)) for _, event in others]).tolist()
        pairs = [(number, *pair) for (number, _), pair in zip(others, rows, strict=True) if min(pair) >= 0]
        sources, targets = (joined_before(pairs, side, numbers) for side in ends.T.tolist())
        return sources, targets


class EdgeTasks:
    """All tasks on edges of a graph.

    Args:
        config: of the engine.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._tasks: dict[str, _Task] = {}
        self._predicted: dict[str, _Predicted] = {}
        self.labelled: list[LabelledEdge] = []
        """Predictions whose labels came in the last entry, in order."""

    def declare(self, graph: DynamicGraph) -> None:
        """Follow what the graph's schema declares now."""
        for number, (name, task) in enumerate(graph.tasks.items()):
            if not isinstance(task, EdgeClassTask):
                continue
            if name in self._tasks:
                self._tasks[name].learner.know(task.classes)
                self._tasks[name].learner.have_features(graph.relation_rules[task.edge_type].width)
            else:
                self._tasks[name] = _Task(name, task, graph, self._config, number)

    def predict(self, graph: DynamicGraph, events: Sequence[Event], arriving: Mapping[str, ArrivingEdges]) -> None:
        """Predict the edges that arrive with an entry, which is not applied yet.

        Args:
            graph: before the entry.
            events: of the entry.
            arriving: these edges, by type.
        """
        self._predicted = {
            name: task.predict(graph, events, arriving[task.edge_type]) for name, task in self._tasks.items()
        }

    def follow(
        self,
        graph: DynamicGraph,
        applied: Sequence[tuple[int, Event]],
        arrived: Mapping[str, ArrivedEdges],
        removed: Rows,
    ) -> list[Rejection]:
        """Remember the edges of an entry that was predicted and then applied; score and learn the labels in it.

        Args:
            graph: after the entry.
            applied: events of the entry, with their indices.
            arrived: the edges that were predicted, by type.
            removed: rows of nodes that have left.

        Returns:
            Labels that cannot be taken.
        """
        self.labelled = []
        for name, task in self._tasks.items():
            if removed.size:
                task.learner.forget(removed)
            task.arrive(arrived[task.edge_type], self._predicted.pop(name))
            task.join(graph, applied)
        return self._label(graph, [(index, event) for index, event in applied if _is_label(event)])

    def answer(
        self,
        graph: DynamicGraph,
        edge_type: str,
        ends: tuple[str, str] | None,
        edge: str | None,
        weight: float,
        x: Features | None = None,
    ) -> TaskAnswer | NoEdgeAnswer:
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
        return answer if isinstance(answer, str) else TaskAnswer(task.name, answer, learner.head.steps)

    def explain(
        self,
        graph: DynamicGraph,
        edge_type: str,
        ends: tuple[str, str] | None,
        edge: str | None,
        weight: float,
        shown: int,
    ) -> TaskExplanation | NoEdgeAnswer:
        """Why an edge is predicted as it is, there or not; why there is no answer otherwise.

        Args:
            graph: the live graph.
            edge_type: of the edge.
            ends: as for :meth:`answer`.
            edge: likewise.
            weight: likewise.
            shown: how many labels of earlier edges are listed at most.
        """
        task = next((each for each in self._tasks.values() if each.edge_type == edge_type), None)
        if task is None:
            return "no-task"
        return explained(graph, task.name, task.learner, edge_type, ends, edge, weight, shown)

    def likeliest(self, graph: DynamicGraph, edge_type: str, of_class: str, most: int) -> LikeliestEdges | NoList:
        """The edges of a type without a label that are likeliest to be of a class; why there is no list otherwise.

        Args:
            graph: the live graph.
            edge_type: of the edges.
            of_class: name of the class.
            most: how many are listed.
        """
        task = next((each for each in self._tasks.values() if each.edge_type == edge_type), None)
        if task is None:
            return "no-task"
        if of_class not in task.learner.classes:
            return "unknown-class"
        return likeliest_edges(task.name, task.learner, graph, of_class, most) if task.learner.answers else "no-model"

    def reports(self) -> tuple[TaskReport, ...]:
        """How each task stands."""
        return tuple(
            TaskReport(
                name,
                task.edge_type,
                tuple(task.learner.classes),
                task.learner.arrived,
                task.learner.waiting,
                task.learner.labels,
                task.learner.head.steps,
                task.scores.table(),
                task.scores.class_report(1, task.learner.classes),
            )
            for name, task in self._tasks.items()
        )

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """Arrays and plain values for a checkpoint, by task."""
        return joined_states(self._tasks)

    def restore(self, graph: DynamicGraph, arrays: Mapping[str, npt.NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take over the :meth:`state` of the tasks of this graph."""
        self.declare(graph)
        restore_states(self._tasks, arrays, values)

    def _label(self, graph: DynamicGraph, labels: Sequence[tuple[int, EdgeEvent]]) -> list[Rejection]:
        if not self._tasks:
            return []
        by_type = {task.edge_type: task for task in self._tasks.values()}
        finds = {edge_type: task.learner.edges.ring.find for edge_type, task in by_type.items()}
        scored: dict[str, list[Scored]] = {}
        rejected = []
        for each in found_labels(graph, labels, finds, self._config.arrivals_remembered, task="task", label="label"):
            if isinstance(each, Rejection):
                rejected.append(each)
                continue
            task, event = by_type[each.edge_type], each.event
            try:
                found = task.learner.label(each.place, str(event.label))
            except TooManyEdgeClasses as error:
                rejected.append(Rejection(each.index, each.op, "too-many-classes", str(error)))
                continue
            if found is not None:
                key = edge_key(graph.relation_rules[each.edge_type], event.src, event.dst, each.edge)
                self.labelled.append(LabelledEdge(task.name, key, found.probabilities, found.label))
                scored.setdefault(task.name, []).append(found)
        for name, predictions in scored.items():
            self._tasks[name].score(predictions)
            self._tasks[name].learner.learn()
        return rejected


def _is_label(event: Event) -> TypeGuard[EdgeEvent]:
    """Whether an event labels an edge."""
    return isinstance(event, UpsertEdge | LabelNode) and edge_label(event) is not None
