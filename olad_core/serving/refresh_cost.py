"""What it costs to keep a student's predictions fresh, and how much that counts when a student is chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from olad_core.students import LinearStudent, Student

ACCURACY_PER_DOUBLING = 0.01
"""While every event waits, twice the cost weighs as much as so much expected accuracy."""
FOLLOWED = 0.02
"""Share of the last turn in the pressure."""


def cost_of(student: Student) -> float:
    """Time of an event that changes an edge, as a multiple of GraphSAGE's.

    Measured on an undirected graph of Arxiv's size, 1,000 events a turn: 16, 86 and 231 microseconds.
    """
    if student.uses_degree:
        return 15.0
    return 1.0 if isinstance(student, LinearStudent) else 5.0


class RefreshCost:
    """Follows how many predictions that events touch cannot be computed in their turn.

    >>> cost = RefreshCost()
    >>> for _ in range(500):
    ...     cost.follow(wanted=100, left=50)
    >>> round(cost.pressure, 2)
    0.5
    """

    def __init__(self) -> None:
        self.pressure = 0.0
        """Share of the wanted predictions that are left to later turns, from 0 to 1."""

    def follow(self, wanted: int, left: int) -> None:
        """One turn wanted so many predictions, and left so many of them marked."""
        if wanted:
            self.pressure += FOLLOWED * (left / wanted - self.pressure)

    def penalty(self, students: Sequence[Student]) -> npt.NDArray[np.float64]:
        """``[G]``, what is subtracted from the expected accuracy of each; zero while nothing is left."""
        costs = np.array([cost_of(student) for student in students])
        taken_off: npt.NDArray[np.float64] = ACCURACY_PER_DOUBLING * self.pressure * np.log2(costs / costs.min())
        return taken_off
