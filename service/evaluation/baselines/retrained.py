"""A model on a table that is trained anew as labels come, each time on all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from threadpoolctl import threadpool_limits

from service.evaluation.baselines.counting import Majority
from service.evaluation.baselines.follower import Example, Floats, Known

RETRAINED_EVERY = 1000
"""Arrivals between two trainings."""
FIRST_TRAININGS = (125, 250, 500)
"""Arrivals after which it is trained before: a short stream would else meet no model."""

Table = Callable[[Sequence[Known], int, int], Floats]
"""Rows below each other, with so many columns of features, and so many classes in each group of labels' columns."""


class Retrained:
    """A classifier of scikit-learn on what was known of nodes at their arrivals, in training as in prediction.

    Before the first training a node has the probabilities of the classes' frequencies.

    Args:
        build: a new classifier.
        table: its input.
        looks_around: whether the table has what lies around a node.
    """

    learns: ClassVar[bool] = True

    def __init__(self, build: Callable[[], Any], table: Table, *, looks_around: bool = False) -> None:
        self.looks_around = looks_around
        self._build, self._table = build, table
        self._model: Any = None
        self._features = self._classes = 0
        self._examples: list[Example] = []
        self._trained_at = 0

    def predict(self, known: Known) -> Floats:
        """Probabilities by the model of the last training; 0 for a class that it has not met."""
        if self._model is None:
            return Majority().predict(known)
        found = np.zeros((len(known), len(known.frequency)))
        with threadpool_limits(1):
            shares = self._model.predict_proba(self._table([known], self._features, self._classes))
        found[:, self._model.classes_] = shares
        return found

    def learn(self, examples: Sequence[Example], arrivals: int) -> None:
        """Keep the examples; train on all of them where that is due."""
        self._examples += examples
        if not is_due(self._trained_at, arrivals):
            return
        labels = np.array([example.label for example in self._examples])
        if len(np.unique(labels)) < 2:
            return
        self._trained_at = arrivals
        rows = [example.known for example in self._examples]
        self._features = max(row.features.shape[1] for row in rows)
        self._classes = max(len(row.frequency) for row in rows)
        self._model = self._build()
        # With one thread sums have one order, and so the same bytes.
        with threadpool_limits(1):
            self._model.fit(self._table(rows, self._features, self._classes), labels)


def is_due(trained_at: int, arrivals: int) -> bool:
    """Whether a training was due since the last one.

    >>> is_due(500, 900), is_due(500, 1000), is_due(0, 130)
    (False, True, True)
    """
    if arrivals // RETRAINED_EVERY > trained_at // RETRAINED_EVERY:
        return True
    return any(trained_at < first <= arrivals for first in FIRST_TRAININGS)


def widened(values: Floats, width: int, filling: float = 0.0) -> Floats:
    """The first ``width`` entries of the last axis, and the filling where there are fewer.

    >>> widened(np.ones((1, 2)), 3).tolist()
    [[1.0, 1.0, 0.0]]
    """
    found = np.full((*values.shape[:-1], width), filling)
    held = min(width, values.shape[-1])
    found[..., :held] = values[..., :held]
    return found
