"""Baselines for tasks on edges: what a practitioner has of an edge's features and of what its ends did before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from olad_core.config import EngineConfig
from olad_core.edge_tasks import TaskReport
from olad_core.events import Event, LabelNode, UpsertEdge
from olad_core.graph import DynamicGraph
from olad_core.graph.arriving_edges import arriving_edges
from olad_core.graph_types import RELATION
from olad_core.judging.prequential import Scores
from olad_core.task_types import MAX_EDGE_CLASSES, EdgeClassTask
from olad_core.tasks.edge_class import features_given
from olad_core.tasks.labelled_edges import EdgeKey, LabelledEdge, edge_key
from service.evaluation.baselines.retrained import is_due, widened

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Build: TypeAlias = Callable[[], Any]
"""Makes a new classifier of scikit-learn."""

_OUT, _IN = range(2)


class _Waiting(NamedTuple):
    """An edge without a label: both ends, what was known at its arrival, and what was predicted."""

    ends: tuple[str, str]
    known: Floats
    predicted: Floats


@dataclass
class _End:
    """What a node did as an end of edges: how many in each role, since when, and the known labels of these."""

    count: list[int] = field(default_factory=lambda: [0, 0])
    first: float = np.inf
    last: float = -np.inf
    labels: list[dict[int, int]] = field(default_factory=lambda: [{}, {}])


class EdgeBaseline:
    """One task on edges, predicted at arrival by a model that is trained anew as labels come.

    Columns are the edge's features and weight, and for both ends: edges in each role, their rate, the time since the
    last one, known labels of their edges by class and role, and known labels of their neighbours' edges by class.
    Before the first training the answer is the shares of the classes.

    Args:
        name: of the task.
        task: as it is declared.
        build: makes the model.
    """

    def __init__(self, name: str, task: EdgeClassTask, build: Build) -> None:
        self.name, self.edge_type = name, task.edge_type
        self.classes = list(task.classes)
        self.scores = Scores(2, EngineConfig.score_memory)
        self.labelled: list[LabelledEdge] = []
        """Predictions whose labels came in the last entry."""
        self._build = build
        self._model: Any = None
        self._width = 0
        self._arrived = self._trained_at = 0
        self._counts: list[int] = [0] * len(self.classes)
        self._ends: dict[str, _End] = {}
        self._arriving: dict[EdgeKey, _Waiting] = {}
        self._waiting: dict[EdgeKey, _Waiting] = {}
        self._examples: list[tuple[Floats, int]] = []

    def predict(self, graph: DynamicGraph, events: Sequence[Event], now: float) -> None:
        """Predict the edges that arrive with an entry, which is not applied yet."""
        rule = graph.relation_rules[self.edge_type]
        edges = arriving_edges(graph, self.edge_type, events, now)
        self._arriving = {}
        if not edges.number:
            return
        features = features_given(edges.x, rule.width)
        around = [self._around(graph, edges.rows[:, side]) for side in (0, 1)]
        parts = [np.log(edges.weight)[:, None]]
        for side in (0, 1):
            own = [self._own(ends[side], time) for ends, time in zip(edges.ends, edges.time.tolist(), strict=True)]
            parts += [np.array(own), np.log1p(around[side])]
        # Features stand last, as their width may be declared later.
        known = np.concatenate([*parts, np.arcsinh(features.astype(np.float64))], axis=1)
        predicted = self._predicted(known)
        for at, (ends, name) in enumerate(zip(edges.ends, edges.ids, strict=True)):
            self._arriving[edge_key(rule, *ends, name)] = _Waiting(ends, known[at], predicted[at])

    def follow(self, graph: DynamicGraph, events: Sequence[Event], rejected: set[int], now: float) -> None:
        """Note the edges of an entry that was predicted and then applied, and score the labels in it."""
        self.labelled = []
        arriving, self._arriving = self._arriving, {}
        rule = graph.relation_rules[self.edge_type]
        for number, event in enumerate(events):
            if number in rejected or not isinstance(event, UpsertEdge | LabelNode) or not self._is_own(event.type):
                continue
            edge_id = event.id if isinstance(event, UpsertEdge) else event.edge
            key = edge_key(rule, event.src, event.dst, edge_id)
            if isinstance(event, UpsertEdge) and (edge := arriving.pop(key, None)) is not None:
                self._arrive(edge, now if event.ts is None else event.ts)
                self._waiting[key] = edge
            labels = isinstance(event, UpsertEdge) or event.of_edge
            if labels and event.label is not None and (waited := self._waiting.pop(key, None)) is not None:
                self._label(key, waited, str(event.label))
        self._score()

    def learn(self) -> None:
        """Train on all labelled edges where that is due."""
        if not is_due(self._trained_at, self._arrived):
            return
        labels = np.array([label for _, label in self._examples])
        if len(np.unique(labels)) < 2:
            return
        self._trained_at = self._arrived
        self._width = max(known.size for known, _ in self._examples)
        self._model = self._build()
        with threadpool_limits(1):
            self._model.fit(np.stack([self._wide(known) for known, _ in self._examples]), labels)

    def report(self) -> TaskReport:
        """How it stands, as an engine's task."""
        return TaskReport(
            self.name,
            self.edge_type,
            tuple(self.classes),
            self._arrived,
            len(self._waiting),
            len(self._examples),
            0,
            self.scores.table(),
            self.scores.class_report(1, self.classes),
        )

    def _is_own(self, kind: str | None) -> bool:
        return (kind or RELATION) == self.edge_type

    def _own(self, node: str, time: float) -> list[float]:
        """What is known of a node: counts, rate, time since the last edge, and labels by role and class."""
        end = self._ends.get(node) or _End()
        total = sum(end.count)
        rate = total / max(time - end.first, 1.0) if total else 0.0
        since = max(time - end.last, 0.0) if total else -1.0
        labels = [end.labels[role].get(number, 0) for role in (_OUT, _IN) for number in range(MAX_EDGE_CLASSES)]
        return [*np.log1p([*end.count, max(since, 0.0), *labels]).tolist(), float(np.log(rate + 1e-9)), since < 0]

    def _around(self, graph: DynamicGraph, rows: Rows) -> Floats:
        """Known labels of the edges of each row's neighbours, of all types, by class ``[n, K]``."""
        found = np.zeros((rows.size, MAX_EDGE_CLASSES))
        there = np.flatnonzero(rows >= 0)
        near = [graph.in_neighbours(rows[there]), graph.out_neighbours(rows[there])]
        for at, place in enumerate(there.tolist()):
            others = np.unique(np.concatenate([side.index[side.indptr[at] : side.indptr[at + 1]] for side in near]))
            for node in graph.ids(others):
                for labels in (self._ends.get(node) or _End()).labels:
                    for number, count in labels.items():
                        found[place, number] += count
        return found

    def _predicted(self, known: Floats) -> Floats:
        """Probabilities ``[n, C]``; NaN before the first label."""
        counts = np.array(self._counts, np.float64)
        shares = np.full(counts.size, np.nan) if not counts.any() else (counts + 1) / (counts.sum() + counts.size)
        found = np.tile(shares, (len(known), 1))
        if self._model is None or not len(known):
            return found
        with threadpool_limits(1):
            given = self._model.predict_proba(np.stack([self._wide(row) for row in known]))
        found[:] = 0
        found[:, self._model.classes_] = given
        return found

    def _wide(self, known: Floats) -> Floats:
        """The columns of the last training; those that came later are left out."""
        return np.pad(known[: self._width], (0, max(0, self._width - known.size)))

    def _arrive(self, edge: _Waiting, time: float) -> None:
        self._arrived += 1
        for role, node in enumerate(edge.ends):
            end = self._ends.setdefault(node, _End())
            end.count[role] += 1
            end.first, end.last = min(end.first, time), max(end.last, time)

    def _label(self, key: EdgeKey, edge: _Waiting, label: str) -> None:
        if label not in self.classes:
            self.classes.append(label)
            self._counts.append(0)
        number = self.classes.index(label)
        # Before it is counted: as the engine scores its shares.
        shares = (np.array(self._counts, np.float64) + 1) / (sum(self._counts) + len(self._counts))
        predicted = np.pad(edge.predicted, (0, len(self.classes) - edge.predicted.size))
        both = np.stack([shares, predicted]).astype(np.float32)
        self.labelled.append(LabelledEdge(self.name, key, both, number))
        self._counts[number] += 1
        self._examples.append((edge.known, number))
        for role, node in enumerate(edge.ends):
            labels = self._ends[node].labels[role]
            labels[number] = labels.get(number, 0) + 1

    def _score(self) -> None:
        if self.labelled:
            wide = [widened(one.probabilities.astype(np.float64), len(self.classes)) for one in self.labelled]
            self.scores.add(np.stack(wide).astype(np.float32), np.array([one.label for one in self.labelled]))
