"""Boosted trees as a member of the group: what they are given, when they are grown again, and what they predict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from olad_core.graph import DynamicGraph
from olad_core.graph.arrays import Float32s, Int64s
from olad_core.named_state import join_parts, take_part
from olad_core.trees.forest import Forest, check_probabilities
from olad_core.trees.kept_rows import KeptRows
from olad_core.trees.table import Tables, of_width, table_of

if TYPE_CHECKING:
    from olad_core.trees.views import ChosenGrowth

FEWEST_LABELS = 30
"""Labelled nodes before the first forest."""
MORE_LABELS = 0.15
"""A new forest is due after this share of the labels that had come before the last one, ..."""
MOST_LABELS = 2000
"""... and after this many new ones at the latest."""
MOST_CLASSES = 64
"""A forest has a tree for every class and round: with more classes there is none, ..."""
MOST_FEATURES = 4096
"""... nor with more features, of which few rows could be kept."""


@dataclass(frozen=True)
class ForestPlan:
    """What the next forest is grown on: copies, so that another thread may grow it.

    Attributes:
        table: float32 ``[n, width]``.
        label: int64 ``[n]``.
        classes: C.
        features: width of the graph's features.
        labels_seen: labels that had come, forgotten ones included.
    """

    table: Float32s
    label: Int64s
    classes: int
    features: int
    labels_seen: int

    def begin(self) -> ChosenGrowth:
        """The forest, before its first round."""
        # The library is large, and most services grow no trees.
        from olad_core.trees.views import ChosenGrowth  # noqa: PLC0415

        return ChosenGrowth(self.table, self.label, self.classes, self.features)

    def grow(self) -> Forest:
        """The whole forest; takes seconds where the table is large."""
        growth = self.begin()
        while not growth.advance():
            pass
        return growth.forest()


class Trees:
    """Boosted trees that follow a graph: they learn from nodes as they were at arrival.

    Args:
        rows: nodes that are kept at most while they wait for their label, and as many labelled ones.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._begin(0)

    def _begin(self, features: int) -> None:
        """Begin on a graph with features of this width."""
        self.forest: Forest | None = None
        self._features = features
        # What was known of nodes at their arrival, and what was predicted of them; by the number of their arrival.
        self._waiting = KeptRows(self._rows)
        self._predicted = KeptRows(self._rows)
        # The same of nodes whose label has come, by their class.
        self._labelled = KeptRows(self._rows)
        self._seen = self._grown_at = self._classes = 0

    def arrived(self, nodes: Tables) -> Float32s:
        """Class probabilities ``[n, C]`` of nodes that have just arrived, whose own labels are hidden; they are kept.

        Args:
            nodes: their tables ``[n]``, in the graph with them; distinct.

        Returns:
            NaN before the first forest; 0 for classes that came after it.
        """
        graph, rows = nodes.graph, nodes.rows
        self._follow_columns(graph)
        if len(graph.classes) > MOST_CLASSES or self._features > MOST_FEATURES:
            self.forest = None
            return table_answers(None, np.zeros((len(rows), 0), np.float32), len(graph.classes))
        table, arrival = nodes.of(self._features), graph.arrival[rows]
        answers = table_answers(self.forest, table, len(graph.classes))
        self._waiting.add(arrival, table)
        self._predicted.add(arrival, answers)
        return answers

    def labelled(self, arrival: Int64s, label: Int64s) -> Float32s:
        """Learn from nodes whose label has come, and return what was predicted at their arrival.

        Args:
            arrival: numbers of their arrivals ``[n]``.
            label: their classes ``[n]``.

        Returns:
            Probabilities ``[n, C]`` of the classes there were at some arrival; NaN for a node that was not kept.
        """
        places, table = self._waiting.take(arrival)
        self._labelled.add(label[places], table)
        self._seen += len(places)
        self._classes = max(self._classes, 1 + int(label[places].max(initial=-1)))
        answers = np.full((len(arrival), self._predicted.width), np.nan, np.float32)
        places, found = self._predicted.take(arrival)
        # Classes that came later had no probability at arrival.
        answered = np.isfinite(found[:, :1]).any(axis=1)
        found[answered] = np.nan_to_num(found[answered])
        answers[places] = found
        return answers

    def predict(self, graph: DynamicGraph, rows: Int64s) -> Float32s:
        """Class probabilities ``[n, C]`` of nodes as the graph is now, whose own labels are hidden.

        NaN before the first forest.
        """
        if self.forest is None:
            return table_answers(None, np.zeros((len(rows), 0), np.float32), len(graph.classes))
        return table_answers(self.forest, table_of(graph, rows, self.forest.features, hidden=rows), len(graph.classes))

    @property
    def labels_seen(self) -> int:
        """Labels that have come, forgotten ones included."""
        return self._seen

    @property
    def grown_at(self) -> int:
        """Labels that had come when the forest was due: another number where there is another forest."""
        return self._grown_at

    @property
    def due(self) -> bool:
        """Whether to grow a forest: there are so many more labels, of two classes, than at the last one."""
        new = min(MOST_LABELS, max(1, int(MORE_LABELS * self._grown_at)))
        return self._seen >= max(FEWEST_LABELS, self._grown_at + new) and 2 <= self._classes <= MOST_CLASSES

    def plan(self) -> ForestPlan | None:
        """What the next forest is grown on, where one is due; None otherwise. It is due until one is taken."""
        if not self.due:
            return None
        label, table = self._labelled.in_order()
        return ForestPlan(table, label, self._classes, self._features, self._seen)

    def take(self, forest: Forest, labels_seen: int) -> bool:
        """Predict by a new forest from now on; False where the features are others than those it was grown on.

        Args:
            forest: grown by a :class:`ForestPlan`.
            labels_seen: of the plan.
        """
        if forest.features != self._features:
            return False
        self.forest, self._grown_at = forest, labels_seen
        return True

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        forest = {} if self.forest is None else self.forest.state()
        counts = np.array([self._seen, self._grown_at, self._classes, self._features], np.int64)
        return {"counts": counts} | join_parts(
            {
                "waiting": self._waiting.state(),
                "predicted": self._predicted.state(),
                "labelled": self._labelled.state(),
                "forest": forest,
            }
        )

    def restore(self, state: Mapping[str, npt.NDArray[Any]], graph: DynamicGraph) -> None:
        """Take over the :meth:`state` of others that followed this graph.

        Raises:
            KeyError: an array is missing.
            ValueError: the arrays are not such a state.
        """
        counts, forest = state["counts"], take_part(state, "forest")
        if counts.dtype != np.int64 or counts.shape != (4,) or counts.min() < 0:
            raise ValueError(f"trees/counts: {counts.dtype} {counts.tolist()}")
        self._seen, self._grown_at, self._classes, self._features = counts.tolist()
        if self._classes > len(graph.classes) or self._features not in {0, graph.num_features or 0}:
            raise ValueError(f"trees/counts: {counts.tolist()}, of another graph")
        self.forest = Forest.from_state(forest) if forest else None
        if self.forest:
            self.forest.check_graph(graph)
        self._waiting.restore(take_part(state, "waiting"))
        self._predicted.restore(take_part(state, "predicted"))
        self._labelled.restore(take_part(state, "labelled"))
        check_probabilities("trees/predicted", self._predicted.in_order()[1])
        label = self._labelled.in_order()[0]
        if len(label) and not 0 <= label.min() <= label.max() < self._classes:
            raise ValueError("trees/labelled: names classes that there are not")

    def _follow_columns(self, graph: DynamicGraph) -> None:
        """Begin anew where features have appeared on a graph that had none: the columns are others."""
        if (features := graph.num_features or 0) != self._features:
            self._begin(features)


def forest_answers(forest: Forest, graph: DynamicGraph, rows: Int64s, classes: int) -> Float32s:
    """Class probabilities ``[n, classes]`` of nodes as the graph is now; 0 for classes that came after the forest."""
    return table_answers(forest, table_of(graph, rows, forest.features), classes)


def table_answers(forest: Forest | None, table: Float32s, classes: int) -> Float32s:
    """Class probabilities ``[n, classes]`` of the rows of a table; NaN without a forest."""
    if forest is None:
        return np.full((len(table), classes), np.nan, np.float32)
    known = forest.probabilities(of_width(table, forest.columns))[:, :classes]
    return known if known.shape[1] == classes else np.pad(known, ((0, 0), (0, classes - known.shape[1])))
