"""Which nodes are asked for again and again: their answers are kept fresh for a while."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]

MOST_ASKED = 1_024
"""Rows that are remembered; those that were asked for last."""
ASKED_EVENTS = 2_000
"""For so many applied events after it was asked for, a row is remembered."""


class Asked:
    """Remembers the rows that were asked for, and when, counted in applied events.

    A row that is asked for once is computed once. It is kept fresh only after it was asked for again while it was
    remembered: keeping every row fresh that somebody has read takes longer than computing it for the next reader.

    >>> asked = Asked()
    >>> asked.add(np.array([7, 3]), applied_events=100)
    >>> asked.add(np.array([3]), applied_events=150)
    >>> asked.again(applied_events=2_000), asked.again(applied_events=2_151)
    (array([3]), array([], dtype=int64))
    """

    def __init__(self) -> None:
        self._when: dict[int, int] = {}
        self._again: set[int] = set()

    def add(self, rows: Rows, applied_events: int) -> None:
        """Remember that rows were asked for."""
        self._forget(applied_events)
        for row in rows.tolist():
            if self._when.pop(row, None) is not None:
                self._again.add(row)
            self._when[row] = applied_events
        for row in list(self._when)[: max(0, len(self._when) - MOST_ASKED)]:
            self._drop(row)

    def again(self, applied_events: int) -> Rows:
        """The rows that were asked for more than once lately, the last one first."""
        self._forget(applied_events)
        if not self._again:
            return np.empty(0, np.int64)
        return np.array([row for row in reversed(self._when) if row in self._again], np.int64)

    def begin_anew(self) -> None:
        """Forget all rows."""
        self._when, self._again = {}, set()

    def _forget(self, applied_events: int) -> None:
        """Forget the rows that were asked for too long ago: the first ones, since all are in the order of that."""
        while self._when:
            row, when = next(iter(self._when.items()))
            if applied_events - when <= ASKED_EVENTS:
                break
            self._drop(row)

    def _drop(self, row: int) -> None:
        del self._when[row]
        self._again.discard(row)
