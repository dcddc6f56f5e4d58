"""Prequential scores of each class: how predictors rank it, and what was served for it instead."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from olad_core.tasks import node_class

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

CONFUSED_CLASSES = 256
"""Classes that have a row and a column of their own in the confusion matrix: those of the least numbers."""


class ClassScores:
    """Histograms of probabilities by class of P predictors, and the confusion matrix of the last predictor.

    Memory is bounded by :data:`~olad_core.tasks.node_class.ranks.RANKED_CLASSES` and :data:`CONFUSED_CLASSES`: 6 MB for
    five predictors.

    Args:
        predictors: number of predictors P.
    """

    def __init__(self, predictors: int) -> None:
        self._ranks = np.zeros((2, predictors, 0, node_class.RANK_BINS))
        self._faded_ranks = np.zeros((2, predictors, 0, node_class.RANK_BINS))
        # Truth by prediction; the last row and column are of all further classes.
        self._confusion = np.zeros((1, 1), dtype=np.int64)

    def add(
        self,
        probabilities: npt.NDArray[np.float32],
        labels: Rows,
        predicted: Rows,
        weight: Floats,
        kept: Floats,
    ) -> None:
        """Take in predictions ``[n, P, C]`` of nodes, in the order of their labels.

        Args:
            probabilities: NaN where there was no answer.
            labels: ``[n]``.
            predicted: classes ``[n, P]``; negative where there is none.
            weight: of each prediction, with fading ``[n, P]``; 0 without an answer.
            kept: what is left of the weight of everything before ``[P]``.
        """
        known = max(probabilities.shape[2], int(max(labels.max(initial=-1), predicted.max(initial=-1))) + 1)
        ranked = max(min(known, node_class.RANKED_CLASSES), self._ranks.shape[2])
        answered = (predicted >= 0).astype(np.float64)
        self._ranks = _with_classes(self._ranks, ranked)
        self._ranks += node_class.count_ranks(probabilities, labels, answered, ranked)
        self._faded_ranks = _with_classes(self._faded_ranks, ranked) * kept[:, None, None]
        self._faded_ranks += node_class.count_ranks(probabilities, labels, weight, ranked)
        self._confuse(labels, predicted[:, -1], known)

    def average_precision(self, predictor: int) -> Floats:
        """Of each class ``[C]``; NaN for one without nodes. Classes beyond those that are ranked are left out."""
        return node_class.average_precision(self._ranks[:, predictor])

    def recent_average_precision(self, predictor: int) -> Floats:
        """The same with forgetting."""
        return node_class.average_precision(self._faded_ranks[:, predictor])

    def confusion(self) -> Rows:
        """Scored nodes of each class (row) that each class was served for (column); last: all further classes."""
        return self._confusion.copy()

    def beside(self, predictors: int) -> ClassScores:
        """Those of the last predictor, with so many others before it that have not predicted yet."""
        new = ClassScores(predictors + 1)
        new._ranks, new._faded_ranks = only_last(self._ranks, predictors), only_last(self._faded_ranks, predictors)
        new._confusion = self._confusion.copy()
        return new

    def fade(self, share: Floats) -> None:
        """Multiply what is remembered with forgetting by ``[P]``."""
        self._faded_ranks *= share[:, None, None]

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        return {
            "ranks": self._ranks.copy(),
            "faded_ranks": self._faded_ranks.copy(),
            "confusion": self._confusion.copy(),
        }

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`; earlier releases had none, and begin to count here."""
        if "ranks" in state:
            self._ranks = state["ranks"].astype(np.float64)
            self._faded_ranks = state["faded_ranks"].astype(np.float64)
            self._confusion = state["confusion"].astype(np.int64)

    def _confuse(self, labels: Rows, predicted: Rows, known: int) -> None:
        classes = max(min(known, CONFUSED_CLASSES), len(self._confusion) - 1)
        side = classes + 1
        more = side - len(self._confusion)
        if more > 0:
            # Before the last row and column: there were no further classes as long as new ones got a row.
            self._confusion = np.insert(self._confusion, [len(self._confusion) - 1] * more, 0, axis=0)
            self._confusion = np.insert(self._confusion, [self._confusion.shape[1] - 1] * more, 0, axis=1)
        answered = predicted >= 0
        cells = np.minimum(labels, classes)[answered] * side + np.minimum(predicted, classes)[answered]
        self._confusion += np.bincount(cells, minlength=side * side).reshape(side, side)


def only_last(values: Floats, predictors: int) -> Floats:
    """Values of P predictors ``[k, P, ...]``, of which the last stays, after so many others that have zeros."""
    zeros = np.zeros((values.shape[0], predictors, *values.shape[2:]), values.dtype)
    return np.concatenate([zeros, values[:, -1:]], axis=1)


def _with_classes(ranks: Floats, classes: int) -> Floats:
    return np.pad(ranks, ((0, 0), (0, 0), (0, max(0, classes - ranks.shape[2])), (0, 0)))
