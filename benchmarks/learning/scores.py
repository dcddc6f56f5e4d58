"""How good predictions were: accuracy, log-loss, calibration, macro-F1, average precision, and what a drift cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score

from olad_core.tasks.node_class import LEAST_PROBABILITY

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BINS = 15
"""Bins of confidence in the calibration error."""
SMOOTH = 100
"""Questions over which accuracy is averaged to tell when it is back."""
BACK = 0.02
"""So far below its new plateau accuracy counts as back."""


def scores(probabilities: Floats, truth: Ints, ranked: int | None = None) -> dict[str, float]:
    """Scores of predictions ``[n, C]``, those that are NaN left out.

    Args:
        probabilities: of the predictions.
        truth: classes ``[n]``.
        ranked: the class whose average precision is a score, too; None without.

    >>> found = scores(np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), np.array([0, 1, 1]))
    >>> round(found["accuracy"], 3), round(found["macro_f1"], 3), found["scored"]
    (0.667, 0.667, 3)
    """
    spoken = ~np.isnan(probabilities).any(axis=1)
    probabilities, truth = probabilities[spoken], truth[spoken]
    if not len(truth):
        return {"scored": 0}
    said = probabilities.argmax(axis=1)
    of_truth = probabilities[np.arange(len(truth)), truth]
    rank = {}
    if ranked is not None and (truth == ranked).any():
        rank = {"average_precision": float(average_precision_score(truth == ranked, probabilities[:, ranked]))}
    return {
        "accuracy": float(np.mean(said == truth)),
        "log_loss": float(-np.log(np.maximum(of_truth, LEAST_PROBABILITY)).mean()),
        "ece": calibration_error(probabilities.max(axis=1), said == truth),
        "macro_f1": macro_f1(said, truth),
        **rank,
        "scored": len(truth),
    }


def calibration_error(confidence: Floats, right: npt.NDArray[np.bool_]) -> float:
    """Expected calibration error: the mean gap between confidence and accuracy over bins of confidence.

    >>> calibration_error(np.array([0.9, 0.9, 0.9, 0.9]), np.array([True, True, True, False])).__round__(3)
    0.15
    """
    place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(place, weights=confidence - right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(right))


def macro_f1(said: Ints, truth: Ints) -> float:
    """The mean of F1 over the classes that are true of any node."""
    found = []
    for label in np.unique(truth):
        hits = np.count_nonzero((said == label) & (truth == label))
        found.append(2 * hits / (np.count_nonzero(said == label) + np.count_nonzero(truth == label)))
    return float(np.mean(found))


def windows(right: Floats, size: int) -> list[float | None]:
    """Accuracy of each run of ``size`` questions; None where nothing was said."""
    parts = (right[start : start + size] for start in range(0, len(right), size))
    return [float(np.nanmean(part)) if not np.isnan(part).all() else None for part in parts]


def recovery(right: Floats, drifts: Sequence[int]) -> list[dict[str, float]]:
    """What each drift cost.

    The plateau is the accuracy over the last third before the next drift. ``arrivals`` is how many questions
    it took until the mean of the last :data:`SMOOTH` answers came within :data:`BACK` of the plateau, all of
    them after the drift; ``lost`` is how many answers more were wrong than on the plateau.

    Args:
        right: one or zero for each question, in order; NaN where nothing was said.
        drifts: questions from which on the truth was another.
    """
    found = []
    for start, end in zip(drifts, (*drifts[1:], len(right)), strict=True):
        segment = np.nan_to_num(right[start:end])
        smooth = min(SMOOTH, max(1, len(segment) // 6))
        plateau = float(segment[-(len(segment) // 3) :].mean())
        recent = np.convolve(segment, np.full(smooth, 1 / smooth), mode="valid")
        back = np.flatnonzero(recent >= plateau - BACK)
        found.append(
            {
                "plateau": plateau,
                "arrivals": int(back[0]) + smooth if len(back) else len(segment),
                "lost": float((plateau - segment[: 2 * len(segment) // 3]).sum()),
            }
        )
    return found


def by_disagreement(disputed: Floats, right: Floats, parts: int = 10) -> list[tuple[float, float]]:
    """Mean disagreement and accuracy of equal parts of the questions, from the least disputed to the most."""
    known = ~(np.isnan(disputed) | np.isnan(right))
    order = np.argsort(disputed[known], kind="stable")
    pieces = np.array_split(order, parts)
    return [(float(disputed[known][piece].mean()), float(right[known][piece].mean())) for piece in pieces if len(piece)]
