"""What a node and its neighbourhood show, as a row of numbers that trees can split."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.config import AVERAGED
from olad_core.graph import DynamicGraph, Neighbours
from olad_core.graph.arrays import Bools, Float32s, Int32s, Int64s
from olad_core.graph.compiled import compiled

DEGREE, WEIGHT, NEAR_DEGREE, KNOWN = range(4)
"""Columns before those of the classes: the logarithm of one more than the number of edges into a node; of one more
than their weight; the mean of the first column over the neighbours; the weight of the neighbours with a known label."""
STRUCTURE = 4
MOST_KNOWN = 1e30
"""A greater weight is none that trees can split."""
ROWS_AT_ONCE = 4096
"""Rows whose neighbours are gathered at a time."""


def table_of(graph: DynamicGraph, rows: Int64s, features: int, hidden: Int64s | None = None) -> Float32s:
    """What is known of nodes and of those with an edge into them, ``[n, width]``.

    The columns are the features, their means over the neighbours by weight where there are up to
    :data:`AVERAGED`, the four columns above, and the share of each class among the neighbours with a known label,
    by weight. A value that there is not is NaN. A row depends on a node and its in-neighbours alone: their features,
    edges and labels, but not its own label, not even where an edge leads from it to itself.

    Args:
        graph: the live graph.
        rows: the nodes ``[n]``.
        features: width of the graph's features; 0 without their columns, where there were none yet.
        hidden: rows whose labels count as unknown.

    >>> from olad_core.events import UpsertEdge, UpsertNode
    >>> graph = DynamicGraph()
    >>> nodes = [UpsertNode("a"), UpsertNode("b", label="x"), UpsertNode("c", label="y")]
    >>> edges = [UpsertEdge("b", "a", weight=3.0), UpsertEdge("c", "a", weight=1.0)]
    >>> _ = graph.apply([*nodes, *edges], time=0.0)
    >>> table_of(graph, graph.rows(["a"]), features=0)[0, KNOWN:].tolist()
    [4.0, 0.75, 0.25]
    """
    label = graph.label
    if hidden is not None and len(hidden):
        label = label.copy()
        label[hidden] = -1
    averaged = averaged_features(features)
    found = np.empty((len(rows), features + averaged + STRUCTURE + len(graph.classes)), np.float32)
    for first in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[first : first + ROWS_AT_ONCE]
        around = _around(graph, part, label, features, averaged)
        _fill(around, found[first : first + ROWS_AT_ONCE], features, averaged)
    return found


class Tables:
    """The tables of the same nodes, by the width of the features. Each is made once, for all who read it.

    Args:
        graph, rows, hidden: as for :func:`table_of`.
    """

    def __init__(self, graph: DynamicGraph, rows: Int64s, hidden: Int64s | None = None) -> None:
        self.graph, self.rows, self.hidden = graph, rows, hidden
        self._made: dict[int, Float32s] = {}

    def of(self, features: int) -> Float32s:
        """The table with so many columns of features, which nobody changes."""
        if features not in self._made:
            self._made[features] = table_of(self.graph, self.rows, features, self.hidden)
        return self._made[features]


def averaged_features(features: int) -> int:
    """How many of so many columns of features are averaged over the neighbours."""
    return features if features <= AVERAGED else 0


def of_width(table: Float32s, width: int) -> Float32s:
    """The table with so many columns: NaN in those of classes that it does not know, without those beyond.

    >>> of_width(np.ones((1, 2), np.float32), 3).tolist()
    [[1.0, 1.0, nan]]
    """
    if table.shape[1] >= width:
        return table[:, :width]
    return np.pad(table, ((0, 0), (0, width - table.shape[1])), constant_values=np.nan)


class Around(NamedTuple):
    """What a table is made of, for n nodes with E edges into them.

    Attributes:
        rows: the nodes ``[n]``.
        near: the edges into them.
        label: class of each row that these name, -1 where it counts as unknown.
        degree: number of edges into the source of each edge ``[E]``.
        features: of the nodes ``[n, F]``, and which of them have some.
        near_features: of the sources ``[E, F]``, and which of them have some; None where they are not averaged.
    """

    rows: Int64s
    near: Neighbours
    label: Int32s
    degree: Int64s
    features: tuple[Float32s, Bools]
    near_features: tuple[Float32s, Bools] | None


def table_around(around: Around, features: int, classes: int) -> Float32s:
    """The rows of :func:`table_of` for what is given.

    Args:
        around: what they are made of.
        features: width of the features; 0 without their columns.
        classes: of the graph.
    """
    averaged = averaged_features(features)
    found = np.empty((len(around.rows), features + averaged + STRUCTURE + classes), np.float32)
    _fill(around, found, features, averaged)
    return found


def _around(graph: DynamicGraph, rows: Int64s, label: Int32s, features: int, averaged: int) -> Around:
    near, none = graph.in_neighbours(rows), (np.empty((rows.size, 0), np.float32), np.zeros(rows.size, np.bool_))
    return Around(
        rows,
        near,
        label,
        graph.in_degree(near.index),
        (graph.features.dense(rows), graph.features.has(rows)) if features else none,
        (graph.features.dense(near.index), graph.features.has(near.index)) if averaged else None,
    )


def _fill(around: Around, out: Float32s, features: int, averaged: int) -> None:
    near = around.near
    if features:
        out[:, :features], has = around.features
        out[~has, :features] = np.nan
    if around.near_features is not None:
        means = out[:, features : features + averaged]
        _average(near.indptr, near.weight, *around.near_features, means)
    summary = out[:, features + averaged :]
    _summarise(around.rows, near.indptr, near.index, near.weight, around.degree, around.label, summary)


@compiled
def _summarise(
    rows: Int64s, indptr: Int64s, index: Int64s, weight: Float32s, degrees: Int64s, label: Int32s, out: Float32s
) -> None:
    for at in range(indptr.size - 1):
        first, last = indptr[at], indptr[at + 1]
        total = known = near = 0.0
        for column in range(STRUCTURE, out.shape[1]):
            out[at, column] = 0
        for place in range(first, last):
            total += weight[place]
            near += math.log1p(degrees[place])
            of = label[index[place]]
            if of >= 0 and index[place] != rows[at]:
                known += weight[place]
                out[at, STRUCTURE + of] += weight[place]
        out[at, DEGREE] = math.log1p(last - first)
        out[at, WEIGHT] = math.log1p(max(total, 0.0))
        out[at, NEAR_DEGREE] = near / (last - first) if last > first else math.nan
        out[at, KNOWN] = known if known < MOST_KNOWN else math.nan
        for column in range(STRUCTURE, out.shape[1]):
            out[at, column] = out[at, column] / known if known > 0 else math.nan


@compiled
def _average(indptr: Int64s, weight: Float32s, features: Float32s, has: npt.NDArray[np.bool_], out: Float32s) -> None:
    for at in range(indptr.size - 1):
        total = 0.0
        for column in range(out.shape[1]):
            out[at, column] = 0
        for place in range(indptr[at], indptr[at + 1]):
            if has[place]:
                total += weight[place]
                for column in range(out.shape[1]):
                    out[at, column] += weight[place] * features[place, column]
        for column in range(out.shape[1]):
            value = out[at, column] / total if total > 0 else math.nan
            out[at, column] = value if math.isfinite(value) else math.nan
