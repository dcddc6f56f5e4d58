"""A linear model as a member of the group: what it learns from, when it is solved again, and what it predicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.config import LINEAR_CLASSES, LINEAR_COLUMNS
from olad_core.graph import DynamicGraph
from olad_core.graph.arrays import Float32s, Int64s
from olad_core.linear.discriminant import Discriminant, Moments
from olad_core.linear.table import columns_of, linear_table
from olad_core.named_state import join_parts, take_part
from olad_core.trees.kept_rows import KeptRows
from olad_core.trees.table import Tables

FEWEST_LABELS = 20
"""Labelled nodes before the first model."""
MORE_LABELS = 0.05
"""A new model is due after this share of the labels that had come before the last one, ..."""
MOST_LABELS = 200
"""... and after this many new ones at the latest."""
MEMORY = 2_000.0
"""Labels after which the weight of one has fallen to 1/e."""
SCORED = 200
"""Labelled nodes from which the scale of the logits is learned, the last ones."""
SCALE, FIRM = 0.5, 10.0
"""What the scale is before labels show it, and the precision of this prior."""
LEAST_SCALE, MOST_SCALE = 0.01, 10.0
NEWTON_STEPS = 20


class Linear:
    """A linear discriminant that follows a graph: it learns from nodes as they were at arrival.

    Args:
        rows: nodes that are kept at most while they wait for their label.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._begin(0)

    def _begin(self, features: int) -> None:
        """Begin on a graph with features of this width."""
        self.model: Discriminant | None = None
        self._features = features
        self._waiting = KeptRows(self._rows)
        # Of each node its scale, then its probabilities.
        self._predicted = KeptRows(self._rows)
        # Logits of the last nodes whose label has come, by their class, before they were scaled.
        self._scored = KeptRows(SCORED)
        self._moments = Moments()
        self._seen = self._solved_at = 0

    def arrived(self, nodes: Tables) -> Float32s:
        """Class probabilities ``[n, C]`` of nodes that have just arrived, whose own labels are hidden; they are kept.

        Args:
            nodes: their tables ``[n]``, in the graph with them; distinct.

        Returns:
            NaN before the first model; 0 for classes that came after it.
        """
        graph, rows = nodes.graph, nodes.rows
        if (features := graph.num_features or 0) != self._features:
            self._begin(features)
        classes = len(graph.classes)
        if not fits(self._features, classes):
            self.model = None
            return np.full((len(rows), classes), np.nan, np.float32)
        table, arrival = linear_table(nodes, self._features), graph.arrival[rows]
        self._waiting.add(arrival, table)
        if self.model is None:
            return np.full((len(rows), classes), np.nan, np.float32)
        answers = self.model.answers(table, classes)
        self._predicted.add(arrival, np.pad(answers, ((0, 0), (1, 0)), constant_values=self.model.scale[0]))
        return answers

    def labelled(self, arrival: Int64s, label: Int64s) -> Float32s:
        """Learn from nodes whose label has come, and return what was predicted at their arrival.

        Args:
            arrival: numbers of their arrivals ``[n]``.
            label: their classes ``[n]``.

        Returns:
            Probabilities ``[n, C]`` of the classes there were at some arrival; NaN for a node without an answer.
        """
        places, table = self._waiting.take(arrival)
        if len(places):
            self._moments.add(np.nan_to_num(table), label[places], float(np.exp(-1 / MEMORY)))
        self._seen += len(places)
        answers = np.full((len(arrival), max(0, self._predicted.width - 1)), np.nan, np.float32)
        places, found = self._predicted.take(arrival)
        # Classes that came later had no probability at arrival.
        found = np.nan_to_num(found)
        answers[places] = found[:, 1:]
        known = label[places] < answers.shape[1]
        logits = np.log(np.maximum(found[known, 1:], np.float32(1e-30))) / np.maximum(found[known, :1], LEAST_SCALE)
        self._scored.add(label[places][known], logits.astype(np.float32))
        return answers

    def predict(self, graph: DynamicGraph, rows: Int64s) -> Float32s:
        """Class probabilities ``[n, C]`` of nodes as the graph is now, whose own labels are hidden.

        NaN before the first model.
        """
        if self.model is None:
            return np.full((len(rows), len(graph.classes)), np.nan, np.float32)
        return linear_answers(self.model, graph, rows, len(graph.classes), hidden=rows)

    @property
    def labels_seen(self) -> int:
        """Labels that have come, forgotten ones included."""
        return self._seen

    @property
    def solved_at(self) -> int:
        """Labels that had come when the model was solved."""
        return self._solved_at

    @property
    def due(self) -> bool:
        """Whether to solve a model: there are so many more labels, of two classes, than at the last one."""
        new = min(MOST_LABELS, max(1, int(MORE_LABELS * self._solved_at)))
        enough = self._seen >= max(FEWEST_LABELS, self._solved_at + new)
        return enough and int((self._moments.counts > 0).sum()) >= 2 and fits(self._features, self._moments.classes)

    def solve(self) -> bool:
        """Solve the model that is due, in time that grows with the cube of the columns; whether one was."""
        if not self.due:
            return False
        weight, bias = (part.astype(np.float32) for part in self._moments.solve())
        width = columns_of(self._features, self._moments.classes)
        weight = np.pad(weight, ((0, 0), (0, max(0, width - weight.shape[1]))))[:, :width]
        scale = np.array([scale_of(*self._scored.in_order())], np.float32)
        self.model = Discriminant(np.ascontiguousarray(weight), bias, scale, np.array([self._features]))
        self._solved_at = self._seen
        return True

    def forget(self, count: int) -> None:
        """Let what was learned weigh as much as ``count`` labelled nodes at most."""
        total = float(self._moments.counts.sum())
        if total > count:
            self._moments.fade(count / total)

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        model = {} if self.model is None else self.model.state()
        return {"numbers": np.array([self._seen, self._solved_at, self._features], np.int64)} | join_parts(
            {
                "waiting": self._waiting.state(),
                "predicted": self._predicted.state(),
                "scored": self._scored.state(),
                "moments": self._moments.state(),
                "model": model,
            }
        )

    def restore(self, state: Mapping[str, npt.NDArray[Any]], graph: DynamicGraph) -> None:
        """Take over the :meth:`state` of others that followed this graph.

        Raises:
            KeyError: an array is missing.
            ValueError: the arrays are not such a state.
        """
        numbers, model = state["numbers"], take_part(state, "model")
        if numbers.dtype != np.int64 or numbers.shape != (3,) or numbers.min() < 0:
            raise ValueError(f"linear/numbers: {numbers.dtype} {numbers.tolist()}")
        self._seen, self._solved_at, self._features = numbers.tolist()
        if self._features not in {0, graph.num_features or 0}:
            raise ValueError(f"linear/numbers: {numbers.tolist()}, of another graph")
        self._moments.restore(take_part(state, "moments"))
        if self._moments.sums.shape[1] > columns_of(self._features, len(graph.classes)):
            raise ValueError(f"linear/moments/sums: {list(self._moments.sums.shape)}, of another graph")
        self.model = Discriminant.from_state(model) if model else None
        if self.model:
            check_model(self.model, graph)
        for name, rows in (("waiting", self._waiting), ("predicted", self._predicted), ("scored", self._scored)):
            rows.restore(take_part(state, name))
        if self._waiting.width > columns_of(self._features, len(graph.classes)):
            raise ValueError(f"linear/waiting: {self._waiting.width} columns, of another graph")
        label, logits = self._scored.in_order()
        if len(label) and not 0 <= label.min() <= label.max() < logits.shape[1]:
            raise ValueError("linear/scored: names classes that there are not")


def fits(features: int, classes: int) -> bool:
    """Whether there is a model for so many features and classes.

    >>> fits(500, 3), fits(1_433, 7), fits(16, 100)
    (True, False, False)
    """
    return classes <= LINEAR_CLASSES and columns_of(features, classes) <= LINEAR_COLUMNS


def check_model(model: Discriminant, graph: DynamicGraph) -> None:
    """See that a model can follow a graph.

    Raises:
        ValueError: it is of other features, or of more classes.
    """
    model.check_graph(graph, columns_of(int(model.features[0]), model.classes))


def linear_answers(
    model: Discriminant, graph: DynamicGraph, rows: Int64s, classes: int, hidden: Int64s | None = None
) -> Float32s:
    """Class probabilities ``[n, classes]`` of nodes as the graph is now; 0 for classes that came after the model."""
    return model.answers(linear_table(Tables(graph, rows, hidden), int(model.features[0])), classes)


def scale_of(label: Int64s, logits: Float32s) -> float:
    """What logits are to be multiplied by: the inverse temperature of the least log-loss, with a prior.

    Args:
        label: classes ``[n]``.
        logits: ``[n, C]``; NaN for classes that came later.

    >>> scale_of(np.zeros(0, np.int64), np.zeros((0, 2), np.float32))
    0.5
    """
    scale = SCALE
    if not len(label):
        return scale
    values = np.nan_to_num(logits.astype(np.float64), nan=-100.0)
    own = values[np.arange(len(label)), label]
    for _ in range(NEWTON_STEPS):
        shares = np.exp(scale * values - (scale * values).max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        mean = (shares * values).sum(axis=1)
        slope = float((mean - own).sum()) + FIRM * (scale - SCALE)
        curve = float((shares * values**2).sum() - (mean**2).sum()) + FIRM
        scale = min(max(scale - slope / curve, scale / 2), 2 * scale)
    return min(max(scale, LEAST_SCALE), MOST_SCALE)
