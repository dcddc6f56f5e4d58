"""How a baseline follows a stream: the graph, what is known of a node at its arrival, and its label later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from olad_core.events import GraphSchema
from olad_core.graph import DynamicGraph
from olad_core.graph.neighbours import Neighbours
from service.evaluation.baselines.deciding import Deciding
from service.evaluation.players import Answers
from service.evaluation.waiting import Waiting, most_waiting
from service.replay.arrival_stream import Batch

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """What is known of n nodes when they arrive: the whole graph, without the labels of these nodes.

    Attributes:
        features: ``[n, F]``, zeros where a node has none.
        degrees: ``[n, 1]``, or ``[n, 2]`` of a directed graph: edges into a node, then out of it.
        near: weights of the labelled neighbours by class ``[n, C]``, or ``[n, 2 C]`` of a directed graph.
        frequency: labelled nodes of each class in the graph ``[C]``.
    """

    features: Floats
    degrees: Floats
    near: Floats
    frequency: Floats

    def __len__(self) -> int:
        return len(self.degrees)


@dataclass(frozen=True)
class Example:
    """A node whose label has come: what was known at its arrival, and its class."""

    known: Known
    label: int


class Rule(Protocol):
    """Predicts from what is known at arrival, and learns from labels where it does."""

    learns: ClassVar[bool]
    """Whether it does: else nothing is kept of the nodes that arrive."""

    def predict(self, known: Known) -> Floats:
        """Class probabilities ``[n, C]``, C the classes of ``frequency``; NaN without an answer."""

    def learn(self, examples: Sequence[Example], arrivals: int) -> None:
        """Learn from labels that have come, after ``arrivals`` nodes in all."""


class BaselinePlayer:
    """A rule that follows a stream.

    Args:
        rule: predicts and learns.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._graph = DynamicGraph()
        self._arrivals = 0
        self._rejected = 0
        self._waiting: Waiting[Known] = Waiting()
        self._examples: list[Example] = []
        self._deciding = Deciding()

    def declare(self, schema: GraphSchema) -> None:
        """Declare the schema to the graph; its decisions make the labels."""
        self._graph.declare(schema)

    def apply(self, number: int, batch: Batch) -> Answers:
        """Apply an entry to the graph, and predict the nodes that arrive in it."""
        graph = self._graph
        changes = graph.apply(batch.events, float(number))
        self._rejected += len(changes.rejected)
        self._arrivals += len(batch.nodes)
        rows = graph.rows(batch.nodes)
        there = np.flatnonzero(rows >= 0)
        answers = Answers.none(len(batch.nodes), graph.classes)
        if len(there):
            known = known_of(graph, rows[there])
            answers.probabilities[there] = self._rule.predict(known)
            if self._rule.learns:
                self._keep([batch.nodes[at] for at in there], known)
        rule = self._deciding.rule(
            graph.decisions, graph.classes, batch.nodes, answers.probabilities, most_waiting(max(1, len(graph.classes)))
        )
        self._deciding.forget(changes.removed_ids)
        for row in dict.fromkeys(changes.labelled.tolist()):
            label = int(graph.label[row])
            if graph.alive[row] and label >= 0:
                [node] = graph.ids([row])
                self._deciding.forget([node])
                if (waited := self._waiting.take(node)) is not None:
                    self._examples.append(Example(waited, label))
        return answers.labelled_by(rule)

    def learn(self) -> None:
        """Learn from the labels of the last entry."""
        examples, self._examples = self._examples, []
        self._rule.learn(examples, self._arrivals)

    @property
    def steps(self) -> int:
        """None are taken."""
        return 0

    @property
    def rejected(self) -> int:
        """Events that could not be applied."""
        return self._rejected

    def _keep(self, nodes: Sequence[str], known: Known) -> None:
        """Keep what is known of nodes until their labels come."""
        most = most_waiting(known.features.shape[1] + known.degrees.shape[1] + known.near.shape[1])
        for place, node in enumerate(nodes):
            self._waiting.add(node, _part(known, place), most)


def known_of(graph: DynamicGraph, rows: Rows) -> Known:
    """What is known of the nodes in these distinct rows, their own labels being hidden from all of them."""
    label = np.array(graph.label)
    label[rows] = -1
    classes = len(graph.classes)
    sides = [graph.in_neighbours(rows)] + ([graph.out_neighbours(rows)] if graph.directed else [])
    return Known(
        features=graph.features.dense(rows).astype(np.float64),
        degrees=np.stack([np.diff(near.indptr) for near in sides], axis=1).astype(np.float64),
        near=np.concatenate([votes(near, label, classes) for near in sides], axis=1),
        frequency=np.bincount(label[graph.alive & (label >= 0)], minlength=classes).astype(np.float64),
    )


def votes(near: Neighbours, label: npt.NDArray[np.integer], classes: int) -> Floats:
    """Weights of the labelled neighbours of n nodes by class, ``[n, C]``.

    Args:
        near: the neighbours.
        label: class of each row of the graph; -1 without one.
        classes: C.
    """
    found = np.zeros((len(near.indptr) - 1, classes))
    voter = np.repeat(np.arange(len(found)), np.diff(near.indptr))
    of = label[near.index]
    np.add.at(found, (voter[of >= 0], of[of >= 0]), near.weight[of >= 0])
    return found


def _part(known: Known, place: int) -> Known:
    one = slice(place, place + 1)
    return Known(known.features[one].copy(), known.degrees[one].copy(), known.near[one].copy(), known.frequency)
