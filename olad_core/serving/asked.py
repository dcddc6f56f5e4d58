"""Which nodes were asked for lately: their answers are kept fresh for a while."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]

MOST_ASKED = 1_024
"""Rows that are remembered; those that were asked for last."""
ASKED_EVENTS = 2_000
"""For so many applied events after it was asked for, a row counts as asked for lately."""


class Asked:
    """Remembers the rows that were asked for, and when, counted in applied events.

    >>> asked = Asked()
    >>> asked.add(np.array([7, 3]), applied_events=100)
    >>> asked.lately(applied_events=2_000), asked.lately(applied_events=2_101)
    (array([3, 7]), array([], dtype=int64))
    """

    def __init__(self) -> None:
        self._when: dict[int, int] = {}

    def add(self, rows: Rows, applied_events: int) -> None:
        """Remember that rows were asked for."""
        for row in rows.tolist():
            self._when.pop(row, None)
            self._when[row] = applied_events
        for row in list(self._when)[: max(0, len(self._when) - MOST_ASKED)]:
            del self._when[row]

    def lately(self, applied_events: int) -> Rows:
        """The rows that were asked for lately, the last one first."""
        # In the order in which they were asked for, so the first ones are forgotten first.
        for row, when in list(self._when.items()):
            if applied_events - when <= ASKED_EVENTS:
                break
            del self._when[row]
        return np.fromiter(reversed(self._when), np.int64, len(self._when))

    def begin_anew(self) -> None:
        """Forget all rows."""
        self._when = {}
