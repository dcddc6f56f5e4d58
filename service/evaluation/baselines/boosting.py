"""What a practitioner has without a graph network: boosted trees on features, degrees and labels of neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from service.evaluation.baselines.follower import Floats, Known
from service.evaluation.baselines.retrained import Retrained, widened


def gradient_boosting() -> Retrained:
    """scikit-learn's histogram gradient boosting with its defaults, on :func:`table`."""
    return Retrained(new_boosting, table)


def informed_boosting() -> Retrained:
    """The same on a table that also has the mean degree of the neighbours."""
    return Retrained(new_boosting, informed_table, looks_around=True)


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
    return np.concatenate([_row(known, features, classes) for known in rows])


def informed_table(rows: Sequence[Known], features: int, classes: int) -> Floats:
    """:func:`table` with one more column in each direction: the mean of the logarithm of the neighbours' degrees."""
    degree = [known.around.degree for known in rows if known.around is not None]
    return np.concatenate([table(rows, features, classes), np.concatenate(degree)], axis=1)


def _row(known: Known, features: int, classes: int) -> Floats:
    own = widened(known.features, features, np.nan)
    near = known.near.reshape(len(known), known.degrees.shape[1], -1)
    return np.concatenate([own, known.degrees, widened(near, classes).reshape(len(known), -1)], axis=1)


def new_boosting() -> HistGradientBoostingClassifier:
    """A model that is not trained."""
    return HistGradientBoostingClassifier(random_state=0)


def new_value_boosting() -> HistGradientBoostingRegressor:
    """A model of values that is not trained; it learns the absolute error, which values are scored by."""
    return HistGradientBoostingRegressor(loss="absolute_error", random_state=0)
