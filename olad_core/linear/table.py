"""What a linear model reads of a node: the table of the trees, and the shares of classes two hops away."""

from __future__ import annotations

import numpy as np

from olad_core.graph import Neighbours
from olad_core.graph.arrays import Float32s, Int32s, Int64s
from olad_core.graph.compiled import compiled
from olad_core.trees.table import KNOWN, STRUCTURE, Tables, averaged_features


def columns_of(features: int, classes: int) -> int:
    """Width of the table.

    >>> columns_of(16, 4), columns_of(500, 3)
    (44, 510)
    """
    return features + averaged_features(features) + STRUCTURE + 2 * classes


def linear_table(tables: Tables, features: int) -> Float32s:
    """What is known of nodes and of two hops around them, ``[n, width]``; 0 for a value that there is not.

    Args:
        tables: of the nodes, in the live graph.
        features: width of the graph's features; 0 without their columns.
    """
    graph = tables.graph
    label, near = graph.label, graph.in_neighbours(tables.rows)
    if tables.hidden is not None and len(tables.hidden):
        label = label.copy()
        label[tables.hidden] = -1
    others, place = np.unique(near.index, return_inverse=True)
    shares = neighbour_shares(graph.in_neighbours(others), label, len(graph.classes))
    far = mean_shares(Neighbours(near.indptr, place.astype(np.int64), near.weight), shares)
    return joined(tables.of(features), far)


def joined(table: Float32s, far: Float32s) -> Float32s:
    """The table of the trees and the shares of two hops as one.

    The two columns of a class stand together, so that those of a new class come last.

    Args:
        table: of :func:`~olad_core.trees.table.table_of` ``[n, w]``.
        far: shares of the classes two hops away ``[n, C]``.
    """
    first = table.shape[1] - far.shape[1]
    found = np.empty((len(table), first + 2 * far.shape[1]), np.float32)
    found[:, :first] = table[:, :first]
    found[:, first::2] = table[:, first:]
    found[:, first + 1 :: 2] = far
    np.nan_to_num(found, copy=False)
    known = found[:, first - STRUCTURE + KNOWN]
    np.log1p(np.maximum(known, 0), out=known)
    return found


def neighbour_shares(near: Neighbours, label: Int32s, classes: int) -> Float32s:
    """Share of each class among the in-neighbours with a known label, by weight; zeros where there are none.

    Args:
        near: in-neighbours of n nodes.
        label: class of each row that they name, -1 where it is unknown.
        classes: C.

    Returns:
        ``[n, C]``.
    """
    found = np.empty((len(near.indptr) - 1, classes), np.float32)
    _share(near.indptr, near.index, near.weight, label, found)
    return found


def mean_shares(near: Neighbours, shares: Float32s) -> Float32s:
    """Means of the shares over the in-neighbours ``[n, C]``; zeros for a node without any.

    Args:
        near: in-neighbours of n nodes.
        shares: of each row that they name ``[m, C]``.
    """
    found = np.empty((len(near.indptr) - 1, shares.shape[1]), np.float32)
    _mean(near.indptr, near.index, shares, found)
    return found


@compiled
def _share(indptr: Int64s, index: Int64s, weight: Float32s, label: Int32s, out: Float32s) -> None:
    for at in range(indptr.size - 1):
        known = 0.0
        for column in range(out.shape[1]):
            out[at, column] = 0
        for place in range(indptr[at], indptr[at + 1]):
            of = label[index[place]]
            if of >= 0:
                known += weight[place]
                out[at, of] += weight[place]
        for column in range(out.shape[1]):
            out[at, column] = out[at, column] / known if known > 0 else 0


@compiled
def _mean(indptr: Int64s, index: Int64s, shares: Float32s, out: Float32s) -> None:
    for at in range(indptr.size - 1):
        for column in range(out.shape[1]):
            out[at, column] = 0
        count = indptr[at + 1] - indptr[at]
        for place in range(indptr[at], indptr[at + 1]):
            for column in range(out.shape[1]):
                out[at, column] += shares[index[place], column]
        for column in range(out.shape[1]):
            out[at, column] = out[at, column] / count if count > 0 else 0
