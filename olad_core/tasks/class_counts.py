"""Macro-F1 out of counts that are kept for each predictor and class."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LEAST_SUPPORT = 0.01
"""A class that weighs less than this, as label and as prediction together, is forgotten."""


def count_classes(predicted: Rows, labels: Rows, weight: Floats, classes: int) -> Floats:
    """Weights of hits, of predictions and of labels: ``[3, P, classes]``.

    Args:
        predicted: classes ``[n, P]``; -1 where there is none.
        labels: ``[n]``.
        weight: of every prediction ``[n, P]``; 0 where there was no answer.
        classes: more than any of them.
    """
    predictors = predicted.shape[1]
    offset = classes * np.arange(predictors)
    truth = np.broadcast_to(labels[:, None], predicted.shape)

    def total(which: Rows, weights: Floats) -> Floats:
        flat = np.bincount((which + offset).ravel(), weights.ravel(), minlength=predictors * classes)
        return np.asarray(flat, dtype=np.float64).reshape(predictors, classes)

    counted = np.where(predicted >= 0, weight, 0.0)
    hits = np.where(predicted == truth, counted, 0.0)
    return np.stack([total(truth, hits), total(np.maximum(predicted, 0), counted), total(truth, weight)])


def with_classes(counts: Floats, classes: int) -> Floats:
    """Counts ``[3, P, C]`` for at least so many classes; those of new ones are 0."""
    return np.pad(counts, ((0, 0), (0, 0), (0, max(0, classes - counts.shape[2]))))


def macro_f1(counts: Floats) -> Floats:
    """Mean F1 ``[P]`` over the classes that were labels or predictions; NaN without any.

    >>> macro_f1(np.array([[[2.0, 0.0]], [[3.0, 0.0]], [[2.0, 1.0]]]))
    array([0.4])
    """
    f1 = class_f1(counts)
    number = np.isfinite(f1).sum(axis=1)
    whole = np.nan_to_num(f1).sum(axis=1)
    mean: Floats = np.divide(whole, number, out=np.full(number.shape, np.nan), where=number > 0)
    return mean


def class_f1(counts: Floats) -> Floats:
    """F1 ``[P, C]`` of each class out of counts ``[3, P, C]``; NaN for one that was neither label nor prediction."""
    hits, predictions, labels = counts
    support = predictions + labels
    counted = support >= LEAST_SUPPORT
    f1: Floats = np.divide(2 * hits, support, out=np.full(hits.shape, np.nan), where=counted)
    return f1
