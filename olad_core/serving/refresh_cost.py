"""What it costs to keep predictions fresh: before that is measured, and with what is marked beneath them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from olad_core.config import GROUP
from olad_core.students import LinearStudent, Student

BESIDE = 1.0
"""That of boosted trees, and that of a linear model, in the same unit."""
FITTED = 0.2
"""Share of the last rows in what is expected to be marked beneath the next ones."""


def cost_of(student: Student) -> float:
    """Time of an event, as a multiple of GraphSAGE's, for a student that was not measured.

    It depends on the batches. With 20 events a turn GAT takes 1.3 times as long, GCN 1.1 and EvolveGCN 1.3 times, and
    all four with trees 5.6 times. With 1,000 edges a turn on an undirected graph, which computes much less for each
    turn and more for each edge, it is 1.7, 3.2, 3.9 and 20 times (``docs/performance.md``, ``docs/experiments.md``).
    These are numbers between.
    """
    if student.uses_degree:
        return 2.0
    return 1.0 if isinstance(student, LinearStudent) else 1.5


def cost_of_all(students: Iterable[Student], *, beside: int) -> float:
    """That of several students which are served together, and of so many other members beside them."""
    return sum(map(cost_of, students)) + BESIDE * beside


def costs_of(students: Mapping[str, Student], *, beside: int) -> dict[str, float]:
    """That of each choice: of each student alone by its name, and of the group."""
    alone = {name: cost_of(student) for name, student in students.items()}
    return alone | {GROUP: cost_of_all(students.values(), beside=beside)}


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
