"""Weights of several predictions, so that their mean is never much worse than the best of them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

_MEMORY = 5_000.0
"""Values after which a loss's weight has fallen to 1/e, so that the weights follow a change."""
_MOST = 20.0
"""Losses above this count as this, so that an outlier does not flatten the weights."""


class Weighing:
    """AdaHedge (de Rooij et al. 2014): exponential weights with a rate that follows from the losses, with forgetting.

    Without forgetting, the mean's loss exceeds that of the best prediction at most by the order of the square root of
    the number of values.

    Args:
        count: of predictions, K.
    """

    def __init__(self, count: int) -> None:
        self.losses = np.zeros(count)
        """Sum of the losses of each ``[K]``."""
        self.gap = 0.0
        """Sum of what the mean lost more than the weights allow for, by which the rate falls."""

    def weights(self) -> Doubles:
        """Of each, ``[K]``, together 1."""
        apart = self.losses - self.losses.min()
        grown = np.exp(-self._rate() * apart) if self.gap > 0 else (apart == 0).astype(np.float64)
        weights: Doubles = grown / grown.sum()
        return weights

    def learn(self, losses: Doubles) -> None:
        """Take the losses ``[K]`` of predictions of one value, none negative, in units of the values."""
        losses = np.minimum(losses, _MOST)
        weights = self.weights()
        lost = float(weights @ losses)
        self.gap += max(0.0, lost - self._mixed(weights, losses))
        self.losses += losses
        kept = math.exp(-1 / _MEMORY)
        self.losses = kept * (self.losses - self.losses.min())
        self.gap *= kept

    def _rate(self) -> float:
        return math.log(len(self.losses)) / self.gap

    def _mixed(self, weights: Doubles, losses: Doubles) -> float:
        """The loss that the weights allow for."""
        # Those without weight may have lost so much less that their exponential is infinite.
        weights, losses = weights[weights > 0], losses[weights > 0]
        least = float(losses.min())
        if self.gap <= 0:
            return least
        rate = self._rate()
        return least - math.log(float(weights @ np.exp(-rate * (losses - least)))) / rate
