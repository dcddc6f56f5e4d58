"""What a prediction of a node's value reads, as rows of numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.tasks.values.units import Units

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

MEAN, WEIGHTED, TWO_STEPS = range(3)
"""Means of known values: of the neighbours, the same by the weights of the edges, and of the neighbours' neighbours."""
_MEANS = 3
MOST_WAYS = 8
"""Ways to a neighbour, by the type of the edge and its direction. Further ones count as the last one."""
KNOWN = 0
"""Place among the plain inputs: the logarithm of 1 and the neighbours whose value is known."""
_PLAIN = 3
"""Plain inputs beside those of the ways: of neighbours and of neighbours' neighbours whose value is known, and whether
the node has features."""
GUESSES = ("neighbours", "drawn", "weighted", "two_steps")
"""Simple predictions: the mean of the neighbours' values, the same drawn to the usual value where there are few, the
mean by weights, and that over two steps."""
NEIGHBOURS = GUESSES.index("neighbours")


class Shape(NamedTuple):
    """How many numbers there are.

    Attributes:
        ways: to a neighbour, W.
        features: of a node, F.
    """

    ways: int
    features: int

    @property
    def levels(self) -> int:
        """Means of values."""
        return _MEANS + self.ways

    @property
    def plain(self) -> int:
        """Inputs without a unit."""
        return _PLAIN + 2 * self.ways

    @property
    def width(self) -> int:
        """All inputs."""
        return self.levels + 1 + self.plain + 2 * self.features


class Inputs(NamedTuple):
    """The inputs of n predictions.

    Attributes:
        levels: float64 ``[n, 3 + W]``, means of known values, then those by way to the neighbours; NaN where none is
            known.
        distances: float64 ``[n, 1]``, mean distance of the neighbours' values from their mean.
        plain: float32 ``[n, 3 + 2 W]``.
        features: float32 ``[n, 2 F]``: of the node, then the means of the neighbours'.
    """

    levels: Doubles
    distances: Doubles
    plain: Floats
    features: Floats

    def part(self, places: Rows) -> Inputs:
        """Those of some of the nodes."""
        return Inputs(self.levels[places], self.distances[places], self.plain[places], self.features[places])

    def flat(self, units: Units) -> Doubles:
        """All inputs of each node side by side, values in the unit that is learned in."""
        levels = units.short(_filled(self.levels, units.centre))
        return np.concatenate([levels, units.short_distance(self.distances), self.plain, self.features], axis=1)

    def guesses(self, usual: float) -> Doubles:
        """Simple predictions ``[n, len(GUESSES)]``."""
        mean, weighted, two_steps = _filled(self.levels[:, :_MEANS], usual).T
        known = np.expm1(self.plain[:, KNOWN].astype(np.float64))
        drawn = (known * mean + usual) / (known + 1)
        return np.stack([mean, drawn, weighted, two_steps], axis=1)


def _filled(levels: Doubles, usual: float) -> Doubles:
    return np.where(np.isnan(levels), usual, levels)
