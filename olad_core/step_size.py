"""The size of one piece of background work: a training step, or a slice of a version that is being embedded."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class StepSize:
    """The size of a training step or of a slice, as a fraction of the configured one.

    The worker makes steps smaller to keep to the freshness target.

    Attributes:
        fraction: from above 0 to 1.
    """

    fraction: float = 1.0

    def of(self, configured: int) -> int:
        """This fraction of a configured number, rounded.

        >>> StepSize(0.25).of(256), StepSize(0.001).of(256)
        (64, 0)
        """
        return round(self.fraction * configured)


FULL_SIZE = StepSize()
"""The configured size."""


def learning_rate_of(configured: float, size: StepSize) -> float:
    """The learning rate of a step of that size.

    It grows with the root of the size, since the gradients of a smaller step are noisier (Malladi et al. 2022, "On the
    SDEs and Scaling Rules for Adaptive Gradient Algorithms").

    >>> learning_rate_of(0.01, StepSize(0.25))
    0.005
    """
    return configured * math.sqrt(size.fraction)
