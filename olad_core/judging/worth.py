"""What teaching was worth on a stream so far: a taught student and its untaught twin, compared at arrival."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from olad_core.judging.arrivals import Arrivals
from olad_core.judging.calibration import Temperatures, tempered
from olad_core.judging.fading import Fading
from olad_core.judging.hedge import brier_scores
from olad_core.named_state import join_parts, take_part

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MEMORY = 1000.0
"""Scored nodes after which a comparison's weight has fallen to 1/e."""
IMAGINED = 0.1
"""Squared differences that are added to the observed ones, so that a few comparisons show nothing."""


class Worth:
    """By how much a taught student predicts better than its untaught twin.

    Both are compared by the Brier score of their calibrated probabilities, from 0 to 2: it is bounded, so a few
    confident errors decide nothing. Twins that learn from the same nodes differ little where teaching changes little,
    and the standard error of the difference is as small.

    Args:
        limit: nodes whose predictions wait for a label, at most.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._arrivals = Arrivals(2, limit)
        self._temperatures = Temperatures(2, MEMORY)
        self._fading = Fading(MEMORY)
        # Faded number of nodes, and faded sums of both Brier scores; then squared differences, with squared weights.
        self._sums = np.zeros(3)
        self._squares = 0.0

    def remember(self, rows: Rows, arrival: Rows, probabilities: npt.NDArray[np.float32]) -> None:
        """Remember what the untaught and the taught one predict ``[n, 2, C]`` of nodes that have just arrived."""
        self._arrivals.add(rows, arrival, probabilities)

    def score(self, rows: Rows, arrival: Rows, labels: Rows) -> None:
        """Compare both on nodes whose labels have come. Nothing is compared where the class was unknown at arrival.

        Args:
            rows: of the nodes ``[n]``, distinct, in the order of their labels.
            arrival: numbers of their arrivals ``[n]``.
            labels: their classes ``[n]``.
        """
        taken = self._arrivals.take(rows, arrival)
        labels = labels[taken.places]
        if taken.columns:
            labels = taken.columns.places(labels)
        known = labels < taken.probabilities.shape[2]
        if not known.any():
            return
        counts = taken.columns.counts if taken.columns else np.ones(taken.probabilities[:, 0].shape)
        probabilities, labels, counts = taken.probabilities[known], labels[known], counts[known]
        scores = calibrated_scores(probabilities, labels, self._temperatures.values(), counts)
        self._temperatures.add(probabilities, labels, counts)
        every = np.ones((len(scores), 1), dtype=np.bool_)
        weight, kept = self._fading.weights(every), self._fading.kept(every)
        self._sums = self._sums * kept + np.append(weight.sum(), (weight * scores).sum(axis=0))
        gained = weight[:, 0] * (scores[:, 0] - scores[:, 1])
        self._squares = float(self._squares * kept[0] ** 2 + gained @ gained)

    @property
    def weight(self) -> float:
        """How many compared nodes stand behind it."""
        return float(self._sums[0])

    def scores(self) -> Floats:
        """Mean Brier score of the untaught and of the taught one ``[2]``; NaN before the first comparison."""
        scores: Floats = self._sums[1:] / self.weight if self.weight else np.full(2, np.nan)
        return scores

    def lead(self) -> float:
        """By how many standard errors the taught one is better; 0 before the first comparison."""
        _, untaught, taught = self._sums.tolist()
        return float((untaught - taught) / np.sqrt(self._squares + IMAGINED))

    def forget_waiting(self) -> None:
        """Forget the predictions that wait for their label."""
        self._arrivals = Arrivals(2, self._limit)

    def forget(self, count: int) -> None:
        """Let what is known weigh as much as ``count`` nodes at most, so that those to come count for more."""
        share = float(self._fading.shortened(self._sums[:1], count)[0])
        self._temperatures.forget(count)
        self._sums *= share
        self._squares *= share**2

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        parts = {
            "arrivals": self._arrivals.state(),
            "temperatures": self._temperatures.state(),
        }
        return join_parts(parts) | {"sums": np.append(self._sums, self._squares)}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`."""
        self._arrivals.restore(take_part(state, "arrivals"))
        self._temperatures.restore(take_part(state, "temperatures"))
        *sums, self._squares = state["sums"].astype(np.float64).tolist()
        self._sums = np.array(sums)


def calibrated_scores(
    probabilities: npt.NDArray[np.floating], labels: Rows, temperatures: Floats, counts: Floats
) -> Floats:
    """Brier scores ``[n, P]`` of predictions at their temperatures; less is better.

    Args:
        probabilities: at temperature 1, ``[n, P, C]``.
        labels: columns ``[n]``.
        temperatures: ``[P]``.
        counts: how many classes each column stands for ``[n, C]``.

    >>> calibrated_scores(np.array([[[0.5, 0.5], [1.0, 0.0]]]), np.array([1]), np.ones(2), np.ones((1, 2)))
    array([[0.5, 2. ]])
    """
    nodes, predictors, _ = probabilities.shape
    together = tempered(probabilities, np.broadcast_to(temperatures, (nodes, predictors)), counts[:, None])
    each = together / np.maximum(counts, 1)[:, None]
    return np.stack([brier_scores(each[:, place], labels, counts) for place in range(predictors)], axis=1)
