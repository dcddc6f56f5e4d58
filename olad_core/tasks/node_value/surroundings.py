"""What is around nodes now: known values and features of their neighbours, and how many there are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.graph import DynamicGraph, Neighbours
from olad_core.graph.features import Entries
from olad_core.tasks.node_value.inputs import MOST_WAYS, Inputs, Shape

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

MOST_FEATURES = 64
"""Features that are inputs as they are; wider ones are hashed into so many sums."""
MOST_BETWEEN = 64
"""A neighbour with more edges has no part in means over two steps: what it joins has little in common."""
MOST_NEAR = 256
"""A node with more edges has no means over two steps: those over one are of many values."""
_FACTOR, _SIGN = 2_654_435_761, 1 << 16


class _Edges(NamedTuple):
    """The edges of n nodes.

    Attributes:
        owner: place of the node that each is of ``[E]``, from 0.
        other: row of the other end ``[E]``.
        weight: ``[E]``.
        way: by type and direction ``[E]``.
    """

    owner: Rows
    other: Rows
    weight: Doubles
    way: Rows


def shape_of(graph: DynamicGraph) -> Shape:
    """How many inputs a prediction reads in this graph."""
    return Shape(min(2 * len(graph.relations), MOST_WAYS), min(graph.num_features or 0, MOST_FEATURES))


def edges_of(graph: DynamicGraph, rows: Rows) -> Rows:
    """How many edges are read for each row."""
    return graph.in_degree(rows) + graph.out_degree(rows)


def surroundings(graph: DynamicGraph, known: Doubles, rows: Rows, shape: Shape) -> Inputs:
    """The inputs of nodes as the graph is now. Their own values have no part in them.

    Args:
        graph: the live graph.
        known: values by row, NaN where none is known; as many as there are rows, or fewer.
        rows: of the nodes ``[n]``.
        shape: of the inputs.
    """
    edges = _edges(graph, rows)
    values = _of(known, edges.other)
    # A node that has an edge to itself is no neighbour.
    values[edges.other == rows[edges.owner]] = np.nan
    there = ~np.isnan(values)
    of, value, weight = edges.owner[there], values[there], edges.weight[there]
    n = len(rows)
    count, mean = np.bincount(of, minlength=n), _mean(of, value, np.ones(len(of)), n)
    two, two_known = _two_steps(graph, known, rows, edges)
    cell = edges.owner * shape.ways + np.minimum(edges.way, shape.ways - 1)
    by_way = _mean(cell[there], value, np.ones(len(of)), n * shape.ways).reshape(n, shape.ways)
    counts = [np.bincount(each, minlength=n * shape.ways).reshape(n, shape.ways) for each in (cell, cell[there])]
    apart = np.nan_to_num(_mean(of, np.abs(value - mean[of]), np.ones(len(of)), n))
    featured = graph.features.has(rows) if shape.features else np.zeros(n, np.bool_)
    plain = np.column_stack([np.log1p(count), np.log1p(two_known), featured, *map(np.log1p, counts)])
    own = np.arcsinh(features_of(graph, rows, shape.features))
    return Inputs(
        np.column_stack([mean, _mean(of, value, weight, n), two, by_way]),
        apart[:, None],
        plain.astype(np.float32),
        np.concatenate([own, _around(graph, edges, n, shape.features)], axis=1),
    )


def features_of(graph: DynamicGraph, rows: Rows, width: int) -> Floats:
    """Features of nodes ``[n, width]``: as they are, or hashed into signed sums (Weinberger et al. 2009)."""
    if not width:
        return np.zeros((len(rows), 0), np.float32)
    if (graph.num_features or 0) <= width:
        dense: Floats = graph.features.dense(rows)
        return dense
    found = graph.features.gather(rows)
    if isinstance(found, Entries):
        owner, column, value = np.repeat(np.arange(len(rows)), np.diff(found.indptr)), found.column, found.value
    else:
        owner, column = np.nonzero(found)
        value = found[owner, column]
    hashed = column.astype(np.int64) * _FACTOR
    value = np.where(hashed & _SIGN, -1.0, 1.0) * value
    sums = np.bincount(owner * width + (hashed >> 20) % width, weights=value, minlength=len(rows) * width)
    return sums.reshape(len(rows), width).astype(np.float32)


def _edges(graph: DynamicGraph, rows: Rows) -> _Edges:
    into, out = graph.in_neighbours(rows), graph.out_neighbours(rows)
    (owner, relation), (out_owner, out_relation) = _owners(into), _owners(out)
    directed = np.array([rule.directed for rule in graph.relation_rules.values()], np.bool_)
    # Where edges have no direction, those that come in and those that lead out are the same.
    leaving = directed[out_relation]
    return _Edges(
        np.concatenate([owner, out_owner[leaving]]),
        np.concatenate([into.index, out.index[leaving]]),
        np.concatenate([into.weight, out.weight[leaving]]).astype(np.float64),
        np.concatenate([2 * relation, 2 * out_relation[leaving] + 1]),
    )


def _owners(near: Neighbours) -> tuple[Rows, Rows]:
    """Place of the row, and number of the type, of each edge."""
    types = max(1, near.types)
    cell = np.repeat(np.arange(near.groups.size - 1), np.diff(near.groups))
    return cell // types, cell % types


def _two_steps(graph: DynamicGraph, known: Doubles, rows: Rows, edges: _Edges) -> tuple[Doubles, Rows]:
    """Mean of the values that neighbours' neighbours are known to have ``[n]``, and how many there are."""
    n = len(rows)
    few = np.bincount(edges.owner, minlength=n)[edges.owner] <= MOST_NEAR
    between = np.unique(edges.other[few])
    between = between[edges_of(graph, between) <= MOST_BETWEEN]
    if not between.size:
        return np.full(n, np.nan), np.zeros(n, np.int64)
    beyond = _edges(graph, between)
    values = _of(known, beyond.other)
    there = ~np.isnan(values)
    total = np.bincount(beyond.owner[there], weights=values[there], minlength=len(between))
    count = np.bincount(beyond.owner[there], minlength=len(between))
    place = np.minimum(np.searchsorted(between, edges.other), len(between) - 1)
    joined = few & (between[place] == edges.other) & (edges.other != rows[edges.owner])
    owner, place = edges.owner[joined], place[joined]
    own = _of(known, rows)
    # Each edge to a node between is one of its edges too, by which it is joined to the node itself.
    pair, back = np.unique(owner * len(between) + place, return_inverse=True)
    times = np.bincount(back, minlength=len(pair))[back]
    hidden = ~np.isnan(own[owner])
    total_of = total[place] - np.where(hidden, times * np.nan_to_num(own[owner]), 0)
    count_of = count[place] - np.where(hidden, times, 0)
    counts = np.bincount(owner, weights=count_of, minlength=n).astype(np.int64)
    sums = np.bincount(owner, weights=np.where(count_of > 0, total_of, 0.0), minlength=n)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan), counts


def _around(graph: DynamicGraph, edges: _Edges, n: int, width: int) -> Floats:
    """Means of the neighbours' features ``[n, width]``; zeros without neighbours."""
    found = np.zeros((n, width))
    if width and edges.other.size:
        others, place = np.unique(edges.other, return_inverse=True)
        np.add.at(found, edges.owner, np.arcsinh(features_of(graph, others, width)).astype(np.float64)[place])
        found /= np.maximum(np.bincount(edges.owner, minlength=n), 1)[:, None]
    return found.astype(np.float32)


def _mean(owner: Rows, value: Doubles, weight: Doubles, count: int) -> Doubles:
    """Mean of values by owner ``[count]``, NaN where there is none."""
    total = np.bincount(owner, weights=weight, minlength=count)
    sums = np.bincount(owner, weights=weight * value, minlength=count)
    return np.where(total > 0, sums / np.where(total > 0, total, 1.0), np.nan)


def _of(known: Doubles, rows: Rows) -> Doubles:
    """What is known of rows, of which the last ones may be beyond the end."""
    found = np.full(rows.size, np.nan)
    inside = rows < len(known)
    found[inside] = known[rows[inside]]
    return found
