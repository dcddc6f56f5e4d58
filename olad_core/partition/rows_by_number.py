"""Where the owned nodes of a rank are, by their numbers."""

from __future__ import annotations

import numpy as np

from olad_core.graph.arrays import Bools, Int64s

_FEWEST = 1024
"""Entries that stand without a node before all are searched again."""


class RowsByNumber:
    """Numbers of nodes in ascending order with their rows: 16 bytes a node.

    Numbers only grow, so new ones are appended. Those of removed nodes stay until they are as many as the others.
    It is brought up to date when it is asked.
    """

    def __init__(self) -> None:
        self._numbers = self._rows = np.empty(0, np.int64)

    def rows(self, numbers: Int64s, number: Int64s, owned: Bools) -> Int64s:
        """Rows by numbers; -1 where no row holds that node, or it is not owned.

        Args:
            numbers: of nodes, ``[n]``.
            number: of the node in each row.
            owned: whether each row holds a node that is owned.
        """
        self._follow(number, owned)
        found = np.full(numbers.size, -1, np.int64)
        if not self._numbers.size:
            return found
        places = np.minimum(np.searchsorted(self._numbers, numbers), self._numbers.size - 1)
        rows = self._rows[places]
        there = (self._numbers[places] == numbers) & owned[rows] & (number[rows] == numbers)
        found[there] = rows[there]
        return found

    def _follow(self, number: Int64s, owned: Bools) -> None:
        """Append the nodes that came since the last time."""
        if self._numbers.size > 2 * np.count_nonzero(owned) + _FEWEST:
            self._numbers = self._rows = np.empty(0, np.int64)
        last = self._numbers[-1] if self._numbers.size else -1
        new = np.flatnonzero(owned & (number > last))
        new = new[np.argsort(number[new])]
        self._numbers = np.concatenate([self._numbers, number[new]])
        self._rows = np.concatenate([self._rows, new])
