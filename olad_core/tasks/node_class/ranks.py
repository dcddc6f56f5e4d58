"""How well probabilities rank nodes: the average precision of each class, out of histograms that are kept for it.

A histogram has :data:`RANK_BINS` bins of equal width in the log-odds of a probability. So small probabilities, where
the nodes of a rare class mostly are, are distinguished as finely as great ones. Nodes in one bin are tied, which lowers
the result by less than a point. Memory is bounded whatever the length of the stream, and fading is a multiplication. A
window over single probabilities would cost a sort for each class and report, and would forget rare classes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

RANK_BINS = 512
"""Bins a class: a bin holds log-odds within 0.054 of each other, such as probabilities from 0.500 to 0.513."""
RANKED_CLASSES = 64
"""Classes that have an average precision: those of the least numbers, which were declared or seen first."""
_LEAST = 1e-6
_WIDEST = np.log((1 - _LEAST) / _LEAST)


def count_ranks(probabilities: npt.NDArray[np.float32], labels: Rows, weight: Floats, classes: int) -> Floats:
    """Weights of the nodes of a class, and of all nodes, in each bin of its probability: ``[2, P, classes, bins]``.

    Args:
        probabilities: ``[n, P, C]``; what stands where ``weight`` is 0 does not matter.
        labels: ``[n]``; those beyond ``classes`` are of none of them.
        weight: of every prediction ``[n, P]``; 0 where there was no answer.
        classes: at least C, or less: further columns are left out. Missing columns are probabilities of 0.
    """
    nodes, predictors, known = probabilities.shape
    shares = np.zeros((nodes, predictors, classes))
    shares[:, :, : min(known, classes)] = probabilities[:, :, :classes]
    cells = rank_bins(np.nan_to_num(shares)) + RANK_BINS * np.arange(predictors * classes).reshape(predictors, classes)
    own = np.flatnonzero(labels < classes)
    shape, size = (predictors, classes, RANK_BINS), predictors * classes * RANK_BINS
    spread = np.broadcast_to(weight[:, :, None], cells.shape)
    hits = np.bincount(cells[own, :, labels[own]].ravel(), weight[own].ravel(), minlength=size)
    every = np.bincount(cells.ravel(), spread.ravel(), minlength=size)
    return np.stack([hits, every]).astype(np.float64).reshape(2, *shape)


def count_one_class(shares: Floats, of_class: Floats, weight: Floats) -> Floats:
    """The same for one class, of which a node may be a part: ``[2, P, bins]``.

    Args:
        shares: its probability ``[n, P]``.
        of_class: how much of each node is of it ``[n]``, from 0 to 1.
        weight: of every prediction ``[n, P]``.
    """
    predictors = shares.shape[1]
    cells = (rank_bins(shares) + RANK_BINS * np.arange(predictors)).ravel()
    weights = np.stack([weight * of_class[:, None], weight]).reshape(2, -1)
    counted = [np.bincount(cells, part, minlength=predictors * RANK_BINS) for part in weights]
    return np.stack(counted).astype(np.float64).reshape(2, predictors, RANK_BINS)


def average_precision(counts: Floats) -> Floats:
    """Average precision ``[...]`` out of :func:`count_ranks`, ``[2, ..., bins]``; NaN for a class without nodes.

    The sum over bins, the greatest probability first, of the precision down to the bin times the recall that it adds:
    the definition of scikit-learn's ``average_precision_score``, with nodes of one bin as ties.

    >>> shares = np.array([[[0.9, 0.1]], [[0.8, 0.2]], [[0.3, 0.7]]], dtype=np.float32)
    >>> average_precision(count_ranks(shares, np.array([0, 1, 0]), np.ones((3, 1)), 2)).round(3)
    array([[0.833, 0.5  ]])
    """
    hits, every = counts[..., ::-1]
    found, taken = hits.cumsum(axis=-1), every.cumsum(axis=-1)
    precision = np.divide(found, taken, out=np.zeros_like(found), where=taken > 0)
    whole = found[..., -1]
    average: Floats = np.divide(
        (precision * hits).sum(axis=-1), whole, out=np.full(whole.shape, np.nan), where=whole > 0
    )
    return average


def rank_bins(shares: Floats) -> Rows:
    """The bin of each probability, from 0; the least probability has the first."""
    shares = np.clip(shares, _LEAST, 1 - _LEAST)
    scaled = (np.log(shares / (1 - shares)) / _WIDEST + 1) / 2
    bins: Rows = np.minimum((scaled * RANK_BINS).astype(np.int64), RANK_BINS - 1)
    return bins
