"""What it costs to keep predictions fresh, and how much that counts when it is chosen what to serve."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from olad_core.students import LinearStudent, Student

Floats = npt.NDArray[np.float64]

ACCURACY_PER_DOUBLING = 0.01
"""While every event waits, twice the cost weighs as much as so much expected accuracy."""
FOLLOWED = 0.02
"""Share of the last turn in pressure and load."""
FITTED = 0.2
"""Share of the last rows in what is expected to be marked beneath the next ones."""


def cost_of(student: Student) -> float:
    """Time of an event that changes an edge, as a multiple of GraphSAGE's.

    Measured on an undirected graph of Arxiv's size, 1,000 events a turn: 16, 86 and 231 microseconds.
    """
    if student.uses_degree:
        return 15.0
    return 1.0 if isinstance(student, LinearStudent) else 5.0


class WorkBeneath:
    """Follows how much work rows are with all that is marked beneath them, as a multiple of their own.

    A group computes each row once for each member.

    >>> beneath = WorkBeneath()
    >>> for _ in range(100):
    ...     beneath.follow(own=10, work=400)
    >>> beneath.fitting(4_000)
    100
    """

    def __init__(self) -> None:
        self._times = 1.0

    def fitting(self, most_work: int) -> int:
        """Own work of rows that are expected to be so much work."""
        return round(most_work / self._times)

    def follow(self, own: int, work: int) -> None:
        """Rows with so much own work were so much work."""
        self._times += FITTED * (max(1.0, work / own) - self._times)


class RefreshCost:
    """Follows how many predictions that events touch cannot be computed in their turn.

    >>> cost = RefreshCost()
    >>> for _ in range(500):
    ...     cost.follow(wanted=100, left=50, work=1000, most_work=1000)
    >>> round(cost.pressure, 2), round(cost.load, 2)
    (0.5, 2.0)
    """

    def __init__(self) -> None:
        self.pressure = 0.0
        """Share of the wanted predictions that are left to later turns, from 0 to 1."""
        self.load = 0.0
        """Work of what is served that a turn wants, in parts of what it may do."""

    def follow(self, wanted: int, left: int, work: int, most_work: int) -> None:
        """One turn wanted so many predictions, and left so many of them marked; it did ``work`` of ``most_work``."""
        if not wanted:
            return
        self.pressure += FOLLOWED * (left / wanted - self.pressure)
        needed = work * wanted / max(1, wanted - left) / max(1, most_work)
        self.load += FOLLOWED * (needed - self.load)

    def penalty(self, costs: Floats, served: float | None = None) -> Floats:
        """What is subtracted from what is expected of each choice ``[K]``; zero for all that can be kept fresh.

        A choice that costs more than what is served is expected to leave what its load would leave: a load of two
        leaves half of the predictions.

        Args:
            costs: of the choices ``[K]``, as :func:`cost_of`.
            served: that of what is served; None before the first version.
        """
        served = float(costs.min()) if served is None else served
        load = self.load * costs / served
        expected = np.maximum(0.0, 1 - 1 / np.maximum(load, 1.0))
        left = np.where(costs < served, np.minimum(expected, self.pressure), np.maximum(expected, self.pressure))
        taken_off: Floats = ACCURACY_PER_DOUBLING * left * np.log2(costs / costs.min())
        return taken_off
