"""Hedge: shares of experts whose mixture is never much worse than any of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEARNING_RATE = 0.25
"""The Brier score of probabilities is exp-concave up to this rate."""


class Hedge:
    """Shares of K experts, each in proportion to ``prior exp(-rate L)``, L being its discounted Brier score.

    The Brier score of a prediction p of class y is ``|p - e_y|^2``: from 0 to 2, so that a probability of zero costs no
    more than any other confident error. Its Hessian is 2 I and its gradient ``2 (p - e_y)``, so it is exp-concave up to
    a rate of 1/4. Hence, on every sequence, the discounted score of the mixture is at most that of expert k plus
    ``4 log(1 / prior_k)``, for every k. Without discount this is the weighted average of Kivinen and Warmuth,
    "Averaging Expert Predictions" (1999). With discount: Chernov and Zhdanov, "Prediction with Expert Advice under
    Discounted Loss" (2010).

    Args:
        prior: of the K experts, positive, with the sum 1.
        memory: nodes after which the weight of a score has fallen to 1/e.
    """

    def __init__(self, prior: Sequence[float], memory: float) -> None:
        self._prior = np.log(np.array(prior))
        self._keep = float(np.exp(-1 / memory))
        self._losses = np.zeros(len(prior))

    def shares(self) -> Floats:
        """Of the mixture ``[K]``; their sum is 1."""
        exponents = self._prior - LEARNING_RATE * self._keep * self._losses
        shares = np.exp(exponents - exponents.max())
        result: Floats = shares / shares.sum()
        return result

    def add(self, losses: Floats) -> None:
        """Take in the Brier scores ``[n, K]`` of n nodes, in the order of their labels."""
        ages = np.arange(len(losses))[::-1, None]
        self._losses = self._losses * self._keep ** len(losses) + (self._keep**ages * losses).sum(axis=0)

    def forget(self, share: float) -> None:
        """Let the scores so far weigh so much of what they weigh."""
        self._losses *= share

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        return {"losses": self._losses.copy()}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`."""
        self._losses = state["losses"].astype(np.float64)


def brier_scores(probabilities: Floats, labels: npt.NDArray[np.int64], counts: Floats) -> Floats:
    """The Brier score ``[n]`` of probabilities ``[n, K]``, of which column c stands for ``counts[n, c]`` classes.

    >>> brier_scores(np.array([[0.5, 0.25]]), np.array([0]), np.array([[1.0, 2.0]])).round(3)
    array([0.375])
    """
    of_label = np.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0]
    scores: Floats = 1 - 2 * of_label + (counts * probabilities**2).sum(axis=1)
    return scores
