"""Weights of what is scored: each node counts for less as later ones come."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Fading:
    """Weights that fall to 1/e after ``memory`` nodes, each column at the pace of its own nodes.

    Args:
        memory: number of nodes.
    """

    def __init__(self, memory: float) -> None:
        self._keep = float(np.exp(-1 / memory))

    def weights(self, counted: npt.NDArray[np.bool_]) -> Floats:
        """Weight of each node ``[n, P]``: 1 for the last that is counted in its column, 0 where it is not."""
        later = counted[::-1].cumsum(axis=0)[::-1] - counted
        return np.where(counted, self._keep**later, 0.0)

    def kept(self, counted: npt.NDArray[np.bool_]) -> Floats:
        """What is left ``[P]`` of the weight of everything before these nodes."""
        share: Floats = self._keep ** counted.sum(axis=0)
        return share

    def added(self, sums: Floats, *counted: npt.NDArray[np.bool_]) -> Floats:
        """Faded numbers of nodes ``[k, P]`` after more of them.

        Args:
            sums: before them.
            counted: k times ``[n, P]``, which of the nodes count; all of them make what came before fade.
        """
        every = np.ones_like(counted[0])
        weight = self.weights(every)
        more: Floats = np.stack([(weight * nodes).sum(axis=0) for nodes in counted])
        return sums * self.kept(every) + more

    def shortened(self, weight: Floats, count: int) -> Floats:
        """What to multiply sums of this ``weight`` by, so that they weigh as much as ``count`` nodes at most."""
        most = (1 - self._keep**count) / (1 - self._keep)
        share: Floats = most / np.maximum(weight, most)
        return share
