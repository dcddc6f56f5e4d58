"""The baseline of a practitioner without a graph network: boosted trees on a table, trained again as labels come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from service.evaluation.baselines.follower import Example, Floats, Known

RETRAINED_EVERY = 1000
"""Arrivals between two trainings."""
FIRST_TRAININGS = (125, 250, 500)
"""Arrivals after which it is trained before: a short stream would else meet no model."""


class GradientBoosting:
    """scikit-learn's histogram gradient boosting with its defaults, on features, degrees and the neighbours' labels.

    The row of a node is what was known at its arrival, in training as in prediction. Before the first training a node
    has the probabilities of the classes' frequencies.
    """

    learns: ClassVar[bool] = True

    def __init__(self) -> None:
        self._model: HistGradientBoostingClassifier | None = None
        self._features = self._classes = 0
        self._examples: list[Example] = []
        self._trained_at = 0

    def predict(self, known: Known) -> Floats:
        """Probabilities by the model of the last training; 0 for a class that it has not met."""
        classes = len(known.frequency)
        found = np.zeros((len(known), classes))
        if self._model is None:
            total = known.frequency.sum()
            return found + (known.frequency / total if total else np.nan)
        with threadpool_limits(1):
            shares = self._model.predict_proba(table([known], self._features, self._classes))
        found[:, self._model.classes_] = shares
        return found

    def learn(self, examples: Sequence[Example], arrivals: int) -> None:
        """Keep the examples; train on all of them where that is due."""
        self._examples += examples
        if not _is_due(self._trained_at, arrivals):
            return
        labels = np.array([example.label for example in self._examples])
        if len(np.unique(labels)) < 2:
            return
        self._trained_at = arrivals
        rows = [example.known for example in self._examples]
        self._features = max(row.features.shape[1] for row in rows)
        self._classes = max(len(row.frequency) for row in rows)
        self._model = HistGradientBoostingClassifier(random_state=0)
        # With one thread sums have one order, and so the same bytes.
        with threadpool_limits(1):
            self._model.fit(table(rows, self._features, self._classes), labels)


def table(rows: Sequence[Known], features: int, classes: int) -> Floats:
    """The rows below each other: features, degrees, and labels of neighbours by class.

    Args:
        rows: each with as many features and classes as there were at that time.
        features: columns of features; NaN where a row has none of its own.
        classes: of the neighbours' labels, in each direction; those that came later are left out.

    >>> one = Known(np.ones((1, 2)), np.full((1, 1), 4.0), np.full((1, 1), 3.0), np.ones(1))
    >>> table([one], 3, 2).tolist()
    [[1.0, 1.0, nan, 4.0, 3.0, 0.0]]
    """
    return np.concatenate([_widened(row, features, classes) for row in rows])


def _widened(row: Known, features: int, classes: int) -> Floats:
    own = np.full((len(row), features), np.nan)
    width = min(features, row.features.shape[1])
    own[:, :width] = row.features[:, :width]
    sides = row.degrees.shape[1]
    near = np.zeros((len(row), sides, classes))
    known = min(classes, len(row.frequency))
    near[:, :, :known] = row.near.reshape(len(row), sides, -1)[:, :, :known]
    return np.concatenate([own, row.degrees, near.reshape(len(row), -1)], axis=1)


def _is_due(trained_at: int, arrivals: int) -> bool:
    """Whether a training was due since the last one."""
    if arrivals // RETRAINED_EVERY > trained_at // RETRAINED_EVERY:
        return True
    return any(trained_at < first <= arrivals for first in FIRST_TRAININGS)
