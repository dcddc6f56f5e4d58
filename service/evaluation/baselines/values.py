"""Baselines for values of nodes: the mean of all values, that of the neighbours, and boosted trees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from olad_core.config import EngineConfig
from olad_core.events import Event, LabelNode, UpsertNode
from olad_core.graph import Changes, DynamicGraph
from olad_core.judging.value_scores import ValueScores
from olad_core.node_value_tasks import NodeValueReport, ScoredNode
from olad_core.task_types import NodeValueTask
from olad_core.tasks.node_value import Inputs, are_of_type, shape_of, surroundings
from service.evaluation.baselines.retrained import is_due, widened

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Build: TypeAlias = Callable[[], Any]
"""Makes a new regressor of scikit-learn."""


class ValueRule(Protocol):
    """Predicts values, and learns from those that come."""

    def predict(self, inputs: Inputs, usual: float) -> Floats:
        """Values ``[n]``.

        Args:
            inputs: what is around the nodes, as the task reads it.
            usual: mean of all values.
        """

    def learn(self, known: Sequence[Floats], values: Sequence[float], arrivals: int) -> None:
        """Learn from rows of inputs and their values, after ``arrivals`` nodes in all."""


class MeanValue:
    """The mean of all values."""

    def predict(self, inputs: Inputs, usual: float) -> Floats:
        """The same for all."""
        return np.full(len(inputs.plain), usual)

    def learn(self, known: Sequence[Floats], values: Sequence[float], arrivals: int) -> None:
        """There is nothing else to learn."""


class NeighbourValues(MeanValue):
    """The mean of the neighbours' values; that of all where none is known."""

    def predict(self, inputs: Inputs, usual: float) -> Floats:
        """The mean of each."""
        return inputs.guesses(usual)[:, 0]


class RetrainedValues(NeighbourValues):
    """A regressor on what the task reads, trained anew on all values as they come.

    Args:
        build: makes the model.
    """

    def __init__(self, build: Build) -> None:
        self._build = build
        self._model: Any = None
        self._width = self._trained_at = 0
        self._used: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)

    def predict(self, inputs: Inputs, usual: float) -> Floats:
        """By the model of the last training; before, the mean of the neighbours."""
        if self._model is None or not len(inputs.plain):
            return super().predict(inputs, usual)
        with threadpool_limits(1):
            return np.asarray(self._model.predict(widened(columns(inputs), self._width)[:, self._used]), np.float64)

    def learn(self, known: Sequence[Floats], values: Sequence[float], arrivals: int) -> None:
        """Train on all values where that is due."""
        if not values or not is_due(self._trained_at, arrivals):
            return
        self._trained_at, self._width = arrivals, max(row.size for row in known)
        self._model = self._build()
        table = np.stack([widened(row, self._width) for row in known])
        # scikit-learn refuses a column in which nothing is known.
        self._used = np.asarray(~np.isnan(table).all(axis=0))
        # With one thread sums have one order, and so the same bytes.
        with threadpool_limits(1):
            self._model.fit(table[:, self._used], np.array(values))


class _Waiting(NamedTuple):
    """A node without a value: what was known at its arrival, and what was predicted; None without any value before."""

    known: Floats
    predicted: float | None


class NodeValueBaseline:
    """One task on values of nodes, predicted at arrival from what the task reads, too.

    Args:
        name: of the task.
        task: as it is declared.
        rule: predicts.
    """

    def __init__(self, name: str, task: NodeValueTask, rule: ValueRule) -> None:
        self.name, self.node_type, self.coverage = name, task.node_type, task.coverage
        self.scored: list[ScoredNode] = []
        """Predictions whose values came in the last entry."""
        self._scores = ValueScores(EngineConfig.score_memory)
        self._rule = rule
        self._arrived = 0
        self._waiting: dict[str, _Waiting] = {}
        self._known: dict[str, float] = {}
        self._by_row = np.zeros(0)
        self._examples: tuple[list[Floats], list[float]] = [], []

    def follow(self, graph: DynamicGraph, events: Sequence[Event], changes: Changes) -> None:
        """Predict the nodes that arrived with an entry, which was applied, and score the values in it."""
        self.scored = []
        self._by_row = np.append(self._by_row, np.full(graph.capacity - len(self._by_row), np.nan))
        for node, row in zip(changes.removed_ids, changes.removed_rows.tolist(), strict=True):
            self._known.pop(node, None)
            self._waiting.pop(node, None)
            self._by_row[row] = np.nan
        self._arrive(graph, changes.created[are_of_type(graph, changes.created, self.node_type)])
        rejected = {each.index for each in changes.rejected}
        for number, event in enumerate(events):
            of_node = isinstance(event, UpsertNode) or (isinstance(event, LabelNode) and not event.of_edge)
            if number not in rejected and of_node and event.value is not None:  # type: ignore[union-attr]
                self._take(graph, str(event.id), float(event.value))  # type: ignore[union-attr]

    def learn(self) -> None:
        """Train where that is due."""
        self._rule.learn(*self._examples, self._arrived)

    def report(self) -> NodeValueReport:
        """How it stands, as an engine's task; it has no interval."""
        table, recent = self._scores.table(), self._scores.recent()
        return NodeValueReport(
            name=self.name,
            node_type=self.node_type,
            coverage=self.coverage,
            arrived=self._arrived,
            waiting=len(self._waiting),
            labels=len(self._known),
            steps=0,
            scored=self._scores.scored,
            scores=table,
            recent=recent,
            base=table,
            base_recent=recent,
        )

    def _arrive(self, graph: DynamicGraph, rows: Rows) -> None:
        self._arrived += len(rows)
        if not len(rows):
            return
        inputs = surroundings(graph, self._by_row, rows, shape_of(graph))
        usual = float(np.mean([*self._known.values()])) if self._known else 0.0
        predicted = self._rule.predict(inputs, usual)
        for node, known, value in zip(graph.ids(rows), columns(inputs), predicted.tolist(), strict=True):
            self._waiting[node] = _Waiting(known, value if self._known else None)

    def _take(self, graph: DynamicGraph, node: str, value: float) -> None:
        row = int(graph.rows([node])[0])
        if row < 0 or not are_of_type(graph, np.array([row]), self.node_type)[0]:
            return
        self._known[node] = self._by_row[row] = value
        waited = self._waiting.pop(node, None)
        if waited is None:
            return
        self._examples[0].append(waited.known)
        self._examples[1].append(value)
        if waited.predicted is not None:
            predicted = np.array([waited.predicted])
            self._scores.add(predicted, np.stack([predicted, predicted], axis=1), np.array([value]))
            self.scored.append(ScoredNode(self.name, node, waited.predicted, value))


def columns(inputs: Inputs) -> Floats:
    """Inputs of nodes as columns of a table ``[n, F]``, NaN where no value is known; features stand last."""
    return np.concatenate([inputs.levels, inputs.distances, inputs.plain, inputs.features], axis=1)
