"""Calibration: how far confidence is from accuracy, and the temperature that brings them together.

Guo et al., "On Calibration of Modern Neural Networks" (2017): logits are divided by one number per network. Here it is
followed online, on predictions made at arrival whose labels have come.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from olad_core.judging.fading import Fading

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

BINS = 15
"""Bins of equal width that confidences are sorted into."""
LEAST_TEMPERATURE, MOST_TEMPERATURE = 0.25, 4.0
DAMPING = 10.0
"""Information that the present temperature has from the beginning: a few nodes alone move it little."""
ITERATIONS = 3
"""Newton steps a batch."""


def bin_confidences(confidence: npt.NDArray[np.floating], right: npt.NDArray[np.bool_], weight: Floats) -> Floats:
    """Weight, confidence and right answers that fall into each bin: ``[3, P, BINS]``.

    Args:
        confidence: probability of the predicted class ``[n, P]``.
        right: whether that was the true one ``[n, P]``.
        weight: of each prediction ``[n, P]``.
    """
    predictors = confidence.shape[1]
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1) + BINS * np.arange(predictors)
    sums = [
        np.bincount(bins.ravel(), (weight * part).ravel(), minlength=predictors * BINS)
        for part in (np.ones_like(confidence), confidence, right)
    ]
    return np.stack(sums).astype(np.float64).reshape(3, predictors, BINS)


def calibration_error(bins: Floats) -> Floats:
    """Expected calibration error ``[P]`` of :func:`bin_confidences`: mean distance of confidence and accuracy in a bin.

    NaN where there is no prediction.

    >>> confidence, right = np.array([[0.9], [0.9], [0.6]]), np.array([[True], [False], [True]])
    >>> calibration_error(bin_confidences(confidence, right, np.ones((3, 1)))).round(6)
    array([0.4])
    """
    whole = bins[0].sum(axis=1)
    distance = np.abs(bins[1] - bins[2]).sum(axis=1)
    error: Floats = np.divide(distance, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return error


def tempered(probabilities: npt.NDArray[np.floating], temperature: Floats, counts: Floats | None = None) -> Floats:
    """Probabilities ``[..., C]`` as they were with logits divided by ``temperature`` ``[...]``.

    With ``counts``, each column stands for so many classes of that probability; the result is theirs together.

    >>> tempered(np.array([0.8, 0.2, 0.0]), np.array(2.0)).round(3)
    array([0.667, 0.333, 0.   ])
    """
    peak = probabilities.max(axis=-1, keepdims=True)
    powers = (probabilities / peak).astype(np.float64) ** (1 / temperature[..., None])
    if counts is not None:
        powers *= counts
    result: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return result


def log_loss_slopes(
    probabilities: npt.NDArray[np.floating], labels: Rows, log_temperature: Floats, counts: Floats | None = None
) -> Floats:
    """First derivative of the log-loss by log T, and its information: ``[2, n, G]``.

    The information is the expected second derivative, which is never negative.

    Args:
        probabilities: at temperature 1, ``[n, G, C]``; not NaN, and not 0 for the label.
        labels: ``[n, G]``.
        log_temperature: ``[G]``.
        counts: how many classes each column stands for ``[n, 1, C]``; None for one each.
    """
    inverse = np.exp(-log_temperature)
    shares = tempered(probabilities, np.broadcast_to(np.exp(log_temperature), probabilities.shape[:2]), counts)
    logits = np.log(probabilities, out=np.zeros(probabilities.shape), where=probabilities > 0)
    mean = (shares * logits).sum(axis=2)
    of_label = np.take_along_axis(logits, labels[:, :, None], axis=2)[:, :, 0]
    variance = (shares * (logits - mean[:, :, None]) ** 2).sum(axis=2)
    return np.stack([inverse * (of_label - mean), inverse**2 * variance])


class Temperatures:
    """The temperature of each of G students, fitted online.

    Args:
        students: number of students G.
        memory: nodes after which a node's weight has fallen to 1/e.
    """

    def __init__(self, students: int, memory: float) -> None:
        self._fading = Fading(memory)
        self._log = np.zeros(students)
        # Faded number of nodes and faded information about log T.
        self._faded = np.zeros((2, students))

    def add(self, probabilities: npt.NDArray[np.float32], labels: Rows, counts: Floats | None = None) -> None:
        """Learn from predictions ``[n, G, C]`` at temperature 1, of nodes in the order of their labels.

        With ``counts`` ``[n, C]``, a column stands for so many classes of that probability.

        Nothing is learned from a prediction that gave the label's class no probability at all, as where the class
        was unknown: no temperature changes it.
        """
        nodes, group, classes = probabilities.shape
        if not nodes or not classes:
            return
        known = (labels < classes)[:, None]
        labels = np.broadcast_to(np.where(known, labels[:, None], 0), (nodes, group))
        of_label = np.take_along_axis(probabilities, labels[:, :, None], axis=2)[:, :, 0]
        usable = known & (of_label > 0) & np.isfinite(probabilities).all(axis=2)
        clean = np.where(usable[:, :, None], probabilities, np.float32(1 / classes))
        weight = self._fading.weights(usable)
        before = self._faded * self._fading.kept(usable)
        held, started = before[1] + DAMPING, self._log
        counted = None if counts is None else counts[:, None]
        for _ in range(ITERATIONS):
            slope, information = (weight * log_loss_slopes(clean, labels, self._log, counted)).sum(axis=1)
            step = (slope + held * (self._log - started)) / (information + held)
            self._log = np.clip(self._log - step, np.log(LEAST_TEMPERATURE), np.log(MOST_TEMPERATURE))
        self._faded = before + np.stack([weight.sum(axis=0), information])

    def forget(self, count: int) -> None:
        """Let what was learned weigh as much as ``count`` nodes at most."""
        self._faded *= self._fading.shortened(self._faded[0], count)

    def values(self) -> Floats:
        """``[G]``; 1 before the first label."""
        return np.exp(self._log)

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        return {"log": self._log.copy(), "faded": self._faded.copy()}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`."""
        self._log = state["log"].astype(np.float64)
        self._faded = state["faded"].astype(np.float64)
