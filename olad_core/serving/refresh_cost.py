"""What it costs to keep predictions fresh: before that is measured, and with what is marked beneath them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from olad_core.config import GROUP
from olad_core.students import LinearStudent, Student

TREES = 1.0
"""That of boosted trees, in the same unit."""
FITTED = 0.2
"""Share of the last rows in what is expected to be marked beneath the next ones."""


def cost_of(student: Student) -> float:
    """Time of an event that changes an edge, as a multiple of GraphSAGE's; for a student that was not measured.

    On an undirected graph of 51,000 nodes, 1,000 events a turn, GraphSAGE takes 14 microseconds, GAT 23, GCN 44 and
    EvolveGCN 54 (``docs/experiments.md``).
    """
    if student.uses_degree:
        return 3.5
    return 1.0 if isinstance(student, LinearStudent) else 1.7


def cost_of_all(students: Iterable[Student], *, trees: bool) -> float:
    """That of several students which are served together, and of trees beside them."""
    return sum(map(cost_of, students)) + TREES * trees


def costs_of(students: Mapping[str, Student], *, trees: bool) -> dict[str, float]:
    """That of each choice: of each student alone by its name, and of the group."""
    alone = {name: cost_of(student) for name, student in students.items()}
    return alone | {GROUP: cost_of_all(students.values(), trees=trees)}


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
