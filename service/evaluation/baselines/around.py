"""What lies around a node: means over its neighbours, and the labels of two hops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from olad_core.graph import DynamicGraph
from olad_core.graph.neighbours import Neighbours

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Around:
    """Means over the neighbours of n nodes, of a directed graph over those with an edge into a node, then out of it.

    A node without neighbours has zeros.

    Attributes:
        features: mean features ``[n, sides, F]``.
        labels: mean of the neighbours' shares of labelled neighbours by class ``[n, sides, C]``: labels of two hops.
        degree: mean of the logarithm of one and the neighbours' edges ``[n, sides]``.
    """

    features: Floats
    labels: Floats
    degree: Floats


def around_of(graph: DynamicGraph, label: npt.NDArray[np.integer], sides: list[Neighbours]) -> Around:
    """What lies around n nodes.

    Args:
        graph: the live graph.
        label: class of each row of the graph as far as it may be known; -1 without one.
        sides: neighbours of the nodes, for each direction.
    """
    found = [_side(graph, label, near) for near in sides]
    features, labels, degree = (np.stack(parts, axis=1) for parts in zip(*found, strict=True))
    return Around(features, labels, degree[:, :, 0])


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


def shares(weights: Floats) -> Floats:
    """Rows that sum to one; zeros stay.

    >>> shares(np.array([[1.0, 3.0], [0.0, 0.0]])).tolist()
    [[0.25, 0.75], [0.0, 0.0]]
    """
    total = weights.sum(axis=1, keepdims=True)
    found: Floats = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return found


def _side(graph: DynamicGraph, label: npt.NDArray[np.integer], near: Neighbours) -> tuple[Floats, Floats, Floats]:
    others, place = np.unique(near.index, return_inverse=True)
    theirs = graph.in_neighbours(others)
    degree = np.log1p(np.diff(theirs.indptr))[:, None]
    of_each = (
        graph.features.dense(others).astype(np.float64),
        shares(votes(theirs, label, len(graph.classes))),
        degree.astype(np.float64),
    )
    features, labels, degrees = (_means(values[place], near.indptr) for values in of_each)
    return features, labels, degrees


def _means(values: Floats, indptr: Rows) -> Floats:
    """Means of successive rows, as many for the i-th one as ``indptr`` has."""
    counts = np.diff(indptr)
    found = np.zeros((len(counts), values.shape[1]))
    filled = counts > 0
    if len(values):
        found[filled] = np.add.reduceat(values, indptr[:-1][filled], axis=0) / counts[filled, None]
    return found
