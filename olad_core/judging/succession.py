"""Whether a student of a new group is better than the version of a former group, which is served until then."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from olad_core.judging.fading import Fading
from olad_core.tasks.node_class import predicted_classes

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

EQUAL = 50.0
"""Scored nodes on which both were equally good, as a prior."""
CHANCE = 1.0
"""Standard errors by which the difference must exceed zero."""


class Succession:
    """Accuracy at arrival of G students less that of the version that is served, on the same nodes.

    Both have predicted a node before its label came. Only nodes on which one of the two is right distinguish them
    (McNemar, "Note on the Sampling Error of the Difference Between Correlated Proportions or Percentages", 1947).

    Args:
        students: number of students G.
        memory: scored nodes after which the weight of one has fallen to 1/e.
    """

    def __init__(self, students: int, memory: float) -> None:
        self._fading = Fading(memory)
        # Faded numbers of nodes: compared, on which the student alone was right, and the served version alone.
        self._compared = np.zeros((3, students))

    def compare(self, students: npt.NDArray[np.float32], served: npt.NDArray[np.float32], labels: Rows) -> None:
        """Compare predictions at arrival of nodes whose labels have come.

        Args:
            students: ``[n, G, C]``.
            served: ``[n, C]``.
            labels: ``[n]``.
        """
        if not students.size:
            return
        own, before = (predicted_classes(given) == labels[:, None] for given in (students, served[:, None]))
        self._compared = self._fading.added(self._compared, np.ones_like(own), own & ~before, before & ~own)

    def gain(self) -> Floats:
        """By how much each student's accuracy is higher than that of what is served, more than by chance ``[G]``.

        It is below zero as long as labels do not show more.

        >>> succession = Succession(students=1, memory=500)
        >>> float(succession.gain()[0])
        -0.02
        """
        compared, better, worse = self._compared
        shown: Floats = better - worse - CHANCE * np.sqrt(better + worse + 1)
        return shown / (compared + EQUAL)

    def forget(self, count: int) -> None:
        """Let what labels have shown weigh as much as ``count`` nodes at most, so that those to come count for more."""
        self._compared *= self._fading.shortened(self._compared[0], count)

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        return {"compared": self._compared.copy()}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`."""
        self._compared = state["compared"].astype(np.float64)
