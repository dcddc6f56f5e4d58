"""Which class each column of remembered predictions is: of many classes the best ones are remembered, for each node.

A node's columns are the classes that its predictors find most likely, and one more for any other class, with the mean
of what those were given. The first class of every predictor is a column of its own, so what it predicts, and whether
that is right, is exact. The log-loss is exact where the label is a column of its own; else it is that of the mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from olad_core.config import ARRIVAL_CLASSES

Rows = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float32]
Table = npt.NDArray[np.int32]

COLUMNS = ARRIVAL_CLASSES + 1
"""Columns of a prediction of more classes: the last one is any other class."""


@dataclass(frozen=True)
class ClassColumns:
    """The classes of the columns of predictions of n nodes.

    Attributes:
        table: int32 ``[n, COLUMNS]``: the classes of a node, ascending, then how many there were at its prediction.
    """

    table: Table

    @classmethod
    def of_few(cls, nodes: int, known: int) -> ClassColumns:
        """Of predictions of so few classes that each class is the column of its number."""
        return cls(np.tile(np.append(np.arange(ARRIVAL_CLASSES), known).astype(np.int32), (nodes, 1)))

    def part(self, nodes: npt.NDArray[np.bool_]) -> ClassColumns:
        """Those of some of the nodes."""
        return ClassColumns(self.table[nodes])

    @property
    def counts(self) -> npt.NDArray[np.float64]:
        """How many classes each column stands for ``[n, COLUMNS]``."""
        counts = np.ones(self.table.shape)
        counts[:, -1] = np.maximum(self.table[:, -1] - ARRIVAL_CLASSES, 0)
        return counts

    def places(self, classes: Rows) -> Rows:
        """The column ``[n]`` of a class ``[n]`` of each node; :data:`COLUMNS` where the class was unknown."""
        same = self.table[:, :-1] == classes[:, None]
        other = np.where(classes < self.table[:, -1], ARRIVAL_CLASSES, COLUMNS)
        return np.where(same.any(axis=1), same.argmax(axis=1), other)

    def named(self, places: Rows) -> Rows:
        """The classes ``[n, P]`` of columns ``[n, P]`` other than the last; a negative number stays."""
        classes = np.take_along_axis(self.table, np.clip(places, 0, ARRIVAL_CLASSES - 1), axis=1)
        return np.where(places < 0, places, classes.astype(np.int64))

    def spread(self, probabilities: Probabilities, classes: int) -> Probabilities:
        """Probabilities ``[n, P, classes]`` of the first classes, from those of the columns ``[n, P, COLUMNS]``.

        A class without a column of its own has the mean of the others, and 0 where it was unknown.
        """
        known = np.arange(classes) < self.table[:, -1:]
        spread: Probabilities = np.where(known[:, None, :], probabilities[:, :, -1:], np.float32(0))
        nodes, columns = np.nonzero(self.table[:, :-1] < classes)
        spread[nodes, :, self.table[nodes, columns]] = probabilities[nodes, :, columns]
        return spread


def best_columns(probabilities: Probabilities) -> tuple[Probabilities, ClassColumns]:
    """Predictions ``[n, P, COLUMNS]``, and their classes, from probabilities ``[n, P, C]`` of more than they can hold.

    Each predictor has an equal part of the columns for its best classes; the best of the mean over predictors are the
    rest. A predictor without an answer has none in any column.
    """
    nodes, predictors, classes = probabilities.shape
    answered = np.isfinite(probabilities).all(axis=2, keepdims=True)
    clean = np.where(answered, probabilities, np.float32(0))
    rank, part = clean.mean(axis=1), max(1, ARRIVAL_CLASSES // predictors - 1)
    # Of equal ones the sort may choose any, but a prediction is the first.
    best = torch.from_numpy(clean).topk(part, dim=2).indices.numpy().reshape(nodes, -1)
    certain = np.concatenate([best, clean.argmax(axis=2)], axis=1)
    above_any_mean = np.float32(2)
    np.put_along_axis(rank, certain, above_any_mean, axis=1)
    chosen = np.sort(torch.from_numpy(rank).topk(ARRIVAL_CLASSES, dim=1).indices.numpy(), axis=1)
    kept = np.take_along_axis(clean, chosen[:, None, :], axis=2)
    others = (clean.sum(axis=2, dtype=np.float64) - kept.sum(axis=2, dtype=np.float64)) / (classes - ARRIVAL_CLASSES)
    together = np.concatenate([kept, np.clip(others, 0, kept.max(axis=2))[:, :, None]], axis=2)
    table = np.concatenate([chosen, np.full((nodes, 1), classes)], axis=1).astype(np.int32)
    return np.where(answered, together, np.nan).astype(np.float32), ClassColumns(table)
