"""The unit in which values are learned: where they lie and how far apart, found from those that came last."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

_WIDE = 0.9
"""The unit is such that so many of the values of a normal distribution lie within 1.645 of them from the median."""
_IN_UNITS = 1.6448536269514722
_FURTHEST = 30.0
"""Values are counted as if they lay so many units from the median at most."""


class Units(NamedTuple):
    """Values are learned as ``asinh`` of their distance from the centre in units of the scale.

    Quantiles pass through this map unchanged, because it grows with its argument. It keeps heavy tails short.

    Attributes:
        centre: median of the values.
        scale: above 0.
        lowest, highest: of the values.
    """

    centre: float = 0.0
    scale: float = 1.0
    lowest: float = 0.0
    highest: float = 0.0

    def short(self, values: Doubles) -> Doubles:
        """Values as they are learned.

        >>> Units(centre=10.0, scale=2.0).short(np.array([10.0, 12.0])).round(3).tolist()
        [0.0, 0.881]
        """
        return self.short_distance(values - self.centre)

    def short_distance(self, distances: Doubles) -> Doubles:
        """Differences between values as they are learned."""
        found: Doubles = np.arcsinh(distances / self.scale)
        return found

    def long(self, learned: Doubles) -> Doubles:
        """The inverse of :meth:`short`, within the values that there were."""
        # Beyond 80 the sine would leave the range of the numbers.
        values = self.centre + self.scale * np.sinh(np.clip(learned, -80.0, 80.0))
        found: Doubles = np.clip(values, self.lowest, self.highest)
        return found

    def bounded(self, value: float) -> float:
        """The value as it is counted in means."""
        return min(max(value, self.centre - _FURTHEST * self.scale), self.centre + _FURTHEST * self.scale)

    def far_from(self, other: Units) -> bool:
        """Whether what was learned in the one unit is of little use in the other."""
        ratio = self.scale / other.scale
        return not 0.5 <= ratio <= 2.0 or abs(self.centre - other.centre) > max(self.scale, other.scale)


def units_of(values: Doubles) -> Units:
    """The units that fit values, of which there is at least one and all are finite.

    >>> units_of(np.array([3.0, 3.0]))
    Units(centre=3.0, scale=3.0, lowest=3.0, highest=3.0)
    """
    centre = float(np.median(values))
    apart = np.abs(values - centre)
    # Where most values are equal, the others set the scale; where all are, any scale serves.
    scale = float(np.quantile(apart, _WIDE)) / _IN_UNITS or float(apart.mean()) or abs(centre) or 1.0
    return Units(centre, scale, float(values.min()), float(values.max()))
