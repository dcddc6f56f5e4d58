"""How much wider an interval must be than learned, so that it holds as many values as it should."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

RATE = 0.05
"""A value below or above moves that side by this."""
_LEAST, _MOST = -4.0, 20.0


class Margins:
    """Online conformal prediction by tracking quantiles (Angelopoulos et al. 2023), for each side.

    A side moves out where a value was beyond it, and in a little where none was. So the share of the values beyond
    each side comes to be half of what the interval may miss, whatever the values do.

    Args:
        coverage: share of the values that shall lie in the interval.
    """

    def __init__(self, coverage: float) -> None:
        self.coverage = coverage
        self.sides = np.zeros(2)
        """Margin below and above, in the unit that is learned in."""

    def widened(self, learned: Doubles) -> Doubles:
        """Quantiles ``[n, 3]``, low, middle and high, with the margins and in order."""
        low = np.minimum(learned[:, 0] - self.sides[0], learned[:, 1])
        high = np.maximum(learned[:, 2] + self.sides[1], learned[:, 1])
        return np.stack([low, learned[:, 1], high], axis=1)

    def learn(self, learned: Doubles, values: Doubles) -> None:
        """Take values ``[n]``, in their order, with the quantiles ``[n, 3]`` that were learned without them."""
        share = (1 - self.coverage) / 2
        below, above = self.sides.tolist()
        for (low, middle, high), value in zip(learned.tolist(), values.tolist(), strict=True):
            below += RATE * ((value < min(low - below, middle)) - share)
            above += RATE * ((value > max(high + above, middle)) - share)
            below, above = min(max(below, _LEAST), _MOST), min(max(above, _LEAST), _MOST)
        self.sides = np.array([below, above])
