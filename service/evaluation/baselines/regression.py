"""Logistic regression on propagated features: what a practitioner has of a graph without a graph network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from service.evaluation.baselines.around import shares
from service.evaluation.baselines.follower import Floats, Known
from service.evaluation.baselines.retrained import Retrained, widened

MOST_ITERATIONS = 200


def logistic_regression() -> Retrained:
    """scikit-learn's logistic regression with its defaults on :func:`propagated_table`, each column standardised."""
    return Retrained(new_regression, propagated_table, looks_around=True)


def propagated_table(rows: Sequence[Known], features: int, classes: int) -> Floats:
    """The rows below each other, zeros where a row has fewer features or classes.

    Columns are a node's features, the mean of its neighbours' features, the shares of classes among its labelled
    neighbours and among theirs, and the logarithm of its degree; all but the first for each direction.

    Args:
        rows: each with as many features and classes as there were at that time.
        features: columns of features.
        classes: of labels.
    """
    return np.concatenate([_row(known, features, classes) for known in rows])


def _row(known: Known, features: int, classes: int) -> Floats:
    nodes, sides = known.degrees.shape
    around = known.around
    assert around is not None, "its rule looks around"
    near = shares(known.near.reshape(nodes * sides, -1)).reshape(nodes, sides, -1)
    columns = (
        widened(known.features, features),
        widened(around.features, features),
        widened(near, classes),
        widened(around.labels, classes),
        np.log1p(known.degrees),
    )
    return np.concatenate([column.reshape(nodes, -1) for column in columns], axis=1)


def new_regression() -> Pipeline:
    """A model that is not trained."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=MOST_ITERATIONS))
