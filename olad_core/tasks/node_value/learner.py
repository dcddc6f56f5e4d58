"""One task on values of nodes: predicts nodes when they arrive and when they are asked for, and learns from values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.graph import DynamicGraph
from olad_core.graph.arrays import lengthened
from olad_core.graph.typed_features import TypedFeatures
from olad_core.graph_types import NODE_TYPE
from olad_core.named_state import join_parts, take_part
from olad_core.task_types import FEW_VALUES
from olad_core.tasks.node_value.inputs import GUESSES, NEIGHBOURS, Inputs, Shape
from olad_core.tasks.node_value.remembered import Remembered
from olad_core.tasks.node_value.surroundings import edges_of, shape_of, surroundings
from olad_core.tasks.values.model import Interval, Scored, ValueModel, interval

Rows = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

AT_ONCE = 1_024
"""Nodes of an entry that are predicted at their arrival, and examples that its values make, at most."""
_ANEW = 2_000
"""Nodes that are examples again where inputs are added: those whose values came last."""


@dataclass(frozen=True)
class NodeAnswer:
    """The prediction of a node.

    Attributes:
        now: from what is around it now, by the model as it is.
        at_arrival: as it was answered then; None where it had no answer, or is not remembered.
        truth: its value; None where it is not known.
    """

    now: Interval
    at_arrival: Interval | None
    truth: float | None


class Learner:
    """The state of one task.

    Args:
        coverage: share of the values that shall lie in the interval.
        seed: of the head.
        most: examples that are remembered.
        most_read: edges of nodes that are read at once.
        shape: of the inputs.
    """

    def __init__(self, coverage: float, seed: int, most: int, most_read: int, shape: Shape) -> None:
        self._coverage, self._seed, self._most, self._most_read, self._shape = coverage, seed, most, most_read, shape
        self.examples = Remembered(most, shape)
        self.model = self._new_model()
        self.arrived = 0
        """Nodes that have arrived."""
        self.labels = 0
        """Nodes whose value has come."""
        self._seen = np.zeros(0, np.bool_)
        # By row: values, and the same as they are counted in means; NaN where none is known.
        self._value, self._counted = np.zeros(0), np.zeros(0)

    @property
    def waiting(self) -> int:
        """Nodes that have arrived and are remembered, and have no value."""
        return self.examples.waiting

    @property
    def answers(self) -> bool:
        """Whether enough is known to answer."""
        return self.model.answers

    @property
    def steps(self) -> int:
        """Steps that the head has taken, those of earlier ones included."""
        return self.model.steps

    def fit(self, graph: DynamicGraph) -> None:
        """Have as many inputs as the graph has now; with others the head begins anew, from nodes as they are now."""
        self._reserve(graph.capacity)
        shape = shape_of(graph)
        if shape == self._shape:
            return
        known = self.examples.row[(self.examples.row >= 0) & ~np.isnan(self.examples.value)]
        rows = np.array([*dict.fromkeys(known[::-1].tolist())][:_ANEW], np.int64)[::-1]
        self._shape, self.examples = shape, Remembered(self._most, shape)
        places = [np.empty(0, np.int64)]
        for first in range(0, len(rows), AT_ONCE):
            some = self._few(graph, rows[first : first + AT_ONCE])
            places.append(self.examples.add(some, self._inputs(graph, some)))
            self.examples.value[places[-1]] = self._value[some]
        self.model.exchange(self.examples, np.concatenate(places), shape.width)

    def see(self, rows: Rows) -> Rows:
        """Note nodes; those of them that were not there before. :meth:`fit` comes first."""
        new = rows[~self._seen[rows]]
        self._seen[new] = True
        return new

    def arrive(self, graph: DynamicGraph, rows: Rows) -> None:
        """Predict nodes that have arrived, and remember how they were then.

        Args:
            graph: after the entry. Values that came with it are not known yet.
            rows: of the nodes, in the order of their arrival.
        """
        self.arrived += len(rows)
        rows = self._few(graph, rows)
        if len(rows):
            inputs = self._inputs(graph, rows)
            self.model.head.observe(inputs)
            places = self.examples.add(rows, inputs, self.model.predict(inputs))
            self.model.replaced(places)

    def label(self, graph: DynamicGraph, rows: Rows, values: Sequence[float], arrived: Rows) -> dict[int, Scored]:
        """Take the values of an entry in their order; by row the predictions at arrival whose value has come.

        Args:
            graph: after the entry.
            rows: of the nodes.
            values: of them.
            arrived: rows of nodes that have arrived with the entry: they are as they were then.
        """
        fresh = np.array([row for row in dict.fromkeys(rows.tolist()) if np.isnan(self._value[row])], np.int64)
        grown = self._few(graph, fresh[~np.isin(fresh, arrived)])
        places = {}
        if len(grown):
            # Before any of the values is known.
            inputs = self._inputs(graph, grown)
            self.model.head.observe(inputs)
            of_grown = self.examples.add(grown, inputs)
            self.model.replaced(of_grown)
            places = dict(zip(grown.tolist(), of_grown.tolist(), strict=True))
        scored = {}
        for row, value in zip(rows.tolist(), values, strict=True):
            if (found := self._label(row, value, places.get(row))) is not None:
                scored[row] = found
        return scored

    def learn(self) -> int:
        """Follow the values that have come, and take the steps that they have made due; their number."""
        return self.model.learn() if self.labels >= FEW_VALUES else 0

    def answers_of(self, graph: DynamicGraph, rows: Rows) -> list[NodeAnswer]:
        """The predictions of nodes from what is around them now."""
        predicted = self.model.predict(self._inputs(graph, rows)).answered
        return [self._answer(row, now) for row, now in zip(rows.tolist(), predicted, strict=True)]

    def forget(self, rows: Rows) -> None:
        """Forget nodes that have left. What the head has learned stays."""
        inside = rows[rows < len(self._value)]
        self._value[inside] = self._counted[inside] = np.nan
        self._seen[inside] = False
        self.examples.forget(rows)

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Arrays and plain values for a checkpoint."""
        arrays, values = self.model.state()
        own = {"seen": self._seen.copy(), "value": self._value.copy(), "counted": self._counted.copy()}
        joined = arrays | join_parts({"examples": self.examples.state(), "rows": own})
        return joined, {"model": values, "arrived": self.arrived, "labels": self.labels, "shape": [*self._shape]}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take over the :meth:`state` of the same task."""
        self._shape = Shape(*values["shape"])
        self.examples = Remembered(self._most, self._shape)
        self.examples.restore(take_part(arrays, "examples"))
        self.model = self._new_model()
        self.model.restore(arrays, values["model"])
        self.arrived, self.labels = values["arrived"], values["labels"]
        own = take_part(arrays, "rows")
        self._seen = own["seen"].astype(np.bool_)
        self._value, self._counted = own["value"].astype(np.float64), own["counted"].astype(np.float64)

    def _label(self, row: int, value: float, grown: int | None) -> Scored | None:
        """Take the value of a node; its prediction at arrival, where this is the first one."""
        before, arrived = float(self._value[row]), self.examples.arrived(row)
        self._value[row], self._counted[row] = value, self.model.counted(value)
        if not np.isnan(before):
            # A value that is corrected is learned as it is now.
            self.examples.value[self.examples.of_node(row)] = value
            return None
        self.labels += 1
        for place in (arrived, grown):
            if place is not None:
                self.examples.value[place] = value
                self.model.label(place)
        if arrived is None:
            return None
        weighed, answered = self.examples.weighed[arrived], self.examples.answered[arrived].tolist()
        if np.isnan(answered[1]):
            return None
        self.model.score(weighed, value)
        return Scored(float(weighed[NEIGHBOURS]), (answered[0], answered[1], answered[2]), value)

    def _answer(self, row: int, now: Doubles) -> NodeAnswer:
        place, known = self.examples.arrived(row), float(self._value[row])
        then = None if place is None else self.examples.answered[place]
        at_arrival = None if then is None or np.isnan(then[1]) else interval(then)
        return NodeAnswer(interval(now), at_arrival, None if np.isnan(known) else known)

    def _inputs(self, graph: DynamicGraph, rows: Rows) -> Inputs:
        return surroundings(graph, self._counted, rows, self._shape)

    def _few(self, graph: DynamicGraph, rows: Rows) -> Rows:
        """The first of the nodes, as many as may be read at once."""
        rows = rows[:AT_ONCE]
        need = edges_of(graph, rows)
        rows, need = rows[need <= self._most_read], need[need <= self._most_read]
        return rows[np.cumsum(need) <= self._most_read]

    def _new_model(self) -> ValueModel[Inputs]:
        return ValueModel(self._coverage, self._seed, self._shape.width, len(GUESSES), self.examples)

    def _reserve(self, rows: int) -> None:
        self._seen = lengthened(self._seen, rows)
        self._value = lengthened(self._value, rows, fill=np.nan)
        self._counted = lengthened(self._counted, rows, fill=np.nan)


def are_of_type(graph: DynamicGraph, rows: Rows, node_type: str) -> Bools:
    """Which nodes are of a type ``[n]``."""
    if not isinstance(graph.features, TypedFeatures):
        return np.full(rows.size, node_type == NODE_TYPE)
    types = [*graph.node_types]
    if node_type not in types:
        return np.zeros(rows.size, np.bool_)
    found: Bools = graph.features.kind[rows] == types.index(node_type)
    return found
