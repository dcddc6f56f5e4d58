"""How a baseline follows a stream: the graph, what is known of a node at its arrival, and its label later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from olad_core.edge_tasks import TaskReport
from olad_core.events import Event, GraphSchema
from olad_core.graph import DynamicGraph
from olad_core.node_value_tasks import NodeValueReport
from olad_core.task_types import NodeValueTask
from service.evaluation.baselines.around import Around, around_of, votes
from service.evaluation.baselines.deciding import Deciding
from service.evaluation.players import Answers
from service.evaluation.task_outcomes import TaskOutcomes
from service.evaluation.value_outcomes import ValueOutcomes
from service.evaluation.waiting import Waiting, most_waiting
from service.replay.arrival_stream import Batch

if TYPE_CHECKING:
    from olad_core.task_types import EdgeClassTask
    from service.evaluation.baselines.edges import EdgeBaseline
    from service.evaluation.baselines.values import NodeValueBaseline

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
        around: what lies around them; None for a rule that does not look there.
    """

    features: Floats
    degrees: Floats
    near: Floats
    frequency: Floats
    around: Around | None = None

    def __len__(self) -> int:
        return len(self.degrees)

    @property
    def cells(self) -> int:
        """Numbers that are kept of one node."""
        around = self.around
        parts = (self.features, self.degrees, self.near) + ((around.features, around.labels) if around else ())
        return sum(int(np.prod(part.shape[1:])) for part in parts)


@dataclass(frozen=True)
class Example:
    """A node whose label has come: what was known at its arrival, and its class."""

    known: Known
    label: int


class Rule(Protocol):
    """Predicts from what is known at arrival, and learns from labels where it does."""

    @property
    def learns(self) -> bool:
        """Whether it does: else nothing is kept of the nodes that arrive."""

    @property
    def looks_around(self) -> bool:
        """Whether it needs :attr:`Known.around`."""

    def predict(self, known: Known) -> Floats:
        """Class probabilities ``[n, C]``, C the classes of ``frequency``; NaN without an answer."""

    def learn(self, examples: Sequence[Example], arrivals: int) -> None:
        """Learn from labels that have come, after ``arrivals`` nodes in all."""


class BaselinePlayer:
    """A rule that follows a stream.

    Args:
        rule: predicts and learns.
        of_task: makes what predicts a task on edges, by its name and declaration; None passes these tasks over.
        of_values: the same for a task on values of nodes.
    """

    def __init__(
        self,
        rule: Rule,
        of_task: Callable[[str, EdgeClassTask], EdgeBaseline] | None = None,
        of_values: Callable[[str, NodeValueTask], NodeValueBaseline] | None = None,
    ) -> None:
        self.graph = DynamicGraph()
        """As the entries have made it."""
        self._rule = rule
        self._arrivals = 0
        self._rejected = 0
        self._waiting: Waiting[Known] = Waiting()
        self._examples: list[Example] = []
        self._deciding = Deciding()
        self._of_task = of_task
        self._edges: tuple[EdgeBaseline, ...] = ()
        self.task_outcomes = TaskOutcomes()
        """What was predicted of labelled edges."""
        self._of_values = of_values
        self._values: tuple[NodeValueBaseline, ...] = ()
        self.value_outcomes = ValueOutcomes()
        """What was predicted of nodes whose value has come."""
        self._latest: tuple[tuple[str, ...], Known] | None = None

    def declare(self, schema: GraphSchema) -> None:
        """Declare the schema to the graph; its decisions make the labels."""
        self.graph.declare(schema)
        if self._of_task is not None:
            tasks = [(name, task) for name, task in schema.tasks.items() if task.kind == "edge_class"]
            self._edges = tuple(self._of_task(name, task) for name, task in tasks)
        if self._of_values is not None:
            self._values = tuple(
                self._of_values(name, task) for name, task in schema.tasks.items() if isinstance(task, NodeValueTask)
            )

    def apply(self, number: int, batch: Batch) -> Answers:
        """Apply an entry to the graph, and predict the nodes that arrive in it."""
        graph = self.graph
        labelled = self.follow(number, batch.events, batch.nodes)
        answers = self.predict(batch.nodes)
        most = most_waiting(max(1, len(graph.classes)))
        rule = self._deciding.rule(graph.decisions, graph.classes, batch.nodes, answers.probabilities, most)
        self._deciding.forget(labelled)
        return answers.labelled_by(rule)

    def follow(self, number: int, events: Sequence[Event], nodes: Sequence[str]) -> Sequence[str]:
        """Apply an entry to the graph, and keep what is known of the nodes that arrive in it.

        Args:
            number: of the entry, from 1.
            events: of the entry.
            nodes: that arrive in it.

        Returns:
            The nodes that are labelled by it, or removed.
        """
        graph = self.graph
        now = graph.time_at(float(number))
        for task in self._edges:
            task.predict(graph, events, now)
        changes = graph.apply(events, float(number))
        for task in self._edges:
            task.follow(graph, events, {each.index for each in changes.rejected}, now)
            self.task_outcomes.add(task.labelled)
        for of_values in self._values:
            of_values.follow(graph, events, changes)
            self.value_outcomes.add(of_values.scored)
        self._latest = None
        self._rejected += len(changes.rejected)
        self._arrivals += len(nodes)
        rows = graph.rows(nodes)
        there = np.flatnonzero(rows >= 0)
        if self._rule.learns and len(there):
            self._keep([nodes[at] for at in there.tolist()], self._known(nodes, rows[there]))
        labelled = []
        for row in dict.fromkeys(changes.labelled.tolist()):
            label = int(graph.label[row])
            if graph.alive[row] and label >= 0:
                [node] = graph.ids([row])
                labelled.append(node)
                if (waited := self._waiting.take(node)) is not None:
                    self._examples.append(Example(waited, label))
        return [*labelled, *changes.removed_ids]

    def unknown(self, nodes: Sequence[str]) -> list[str]:
        """Those of the nodes that are not in the graph."""
        return [node for node, row in zip(nodes, self.graph.rows(nodes).tolist(), strict=True) if row < 0]

    def predict(self, nodes: Sequence[str]) -> Answers:
        """Predict nodes as they are now, their own labels being hidden from all of them."""
        graph = self.graph
        rows = graph.rows(nodes)
        there = np.flatnonzero(rows >= 0)
        answers = Answers.none(len(nodes), graph.classes)
        if len(there):
            answers.probabilities[there] = self._rule.predict(self._known(nodes, rows[there]))
        return answers

    def learn(self) -> None:
        """Learn from the labels of the last entry."""
        examples, self._examples = self._examples, []
        self._rule.learn(examples, self._arrivals)
        for task in self._edges:
            task.learn()
        for of_values in self._values:
            of_values.learn()

    @property
    def steps(self) -> int:
        """None are taken."""
        return 0

    @property
    def rejected(self) -> int:
        """Events that could not be applied."""
        return self._rejected

    @property
    def tasks(self) -> tuple[TaskReport, ...]:
        """How the tasks on edges stand."""
        return tuple(task.report() for task in self._edges)

    @property
    def node_values(self) -> tuple[NodeValueReport, ...]:
        """How the tasks on values of nodes stand."""
        return tuple(task.report() for task in self._values)

    def _known(self, nodes: Sequence[str], rows: Rows) -> Known:
        """What is known of nodes, found once between two entries."""
        asked = tuple(nodes)
        if self._latest is None or self._latest[0] != asked:
            self._latest = asked, known_of(self.graph, rows, around=self._rule.looks_around)
        return self._latest[1]

    def _keep(self, nodes: Sequence[str], known: Known) -> None:
        """Keep what is known of nodes until their labels come."""
        most = most_waiting(known.cells)
        for place, node in enumerate(nodes):
            self._waiting.add(node, _part(known, place), most)


def known_of(graph: DynamicGraph, rows: Rows, *, around: bool = False) -> Known:
    """What is known of the nodes in these distinct rows, their own labels being hidden from all of them.

    Args:
        graph: the live graph.
        rows: of the nodes.
        around: whether what lies around them is wanted, too.
    """
    label = np.array(graph.label)
    label[rows] = -1
    classes = len(graph.classes)
    sides = [graph.in_neighbours(rows)] + ([graph.out_neighbours(rows)] if graph.directed else [])
    return Known(
        features=graph.features.dense(rows).astype(np.float64),
        degrees=np.stack([np.diff(near.indptr) for near in sides], axis=1).astype(np.float64),
        near=np.concatenate([votes(near, label, classes) for near in sides], axis=1),
        frequency=np.bincount(label[graph.alive & (label >= 0)], minlength=classes).astype(np.float64),
        around=around_of(graph, label, sides) if around else None,
    )


def _part(known: Known, place: int) -> Known:
    one = slice(place, place + 1)
    around = known.around and Around(*(part[one].copy() for part in vars(known.around).values()))
    own = [part[one].copy() for part in (known.features, known.degrees, known.near)]
    return Known(own[0], own[1], own[2], known.frequency, around)
