"""Numbering the rows that a piece of work needs, so that arrays for it are as small as the piece."""

from __future__ import annotations

import numpy as np

from olad_core.graph.arrays import Int32s, Int64s
from olad_core.graph.compiled import AHEAD, compiled, prefetch


class Localiser:
    """Numbers rows in the order in which they are met; costs what is met, not what there is."""

    def __init__(self) -> None:
        self._place = np.empty(0, np.int32)

    def __call__(self, targets: Int64s, index: Int64s, capacity: int) -> tuple[Int64s, Int64s]:
        """Number distinct ``targets`` first, then every other row in ``index``.

        Returns:
            The rows in the order of their numbers, and the numbers of ``index``.
        """
        self._fit(capacity)
        rows = np.empty(targets.size + index.size, np.int64)
        numbers = np.empty(index.size, np.int64)
        count = _localise(self._place, targets, index, rows, numbers)
        return rows[:count].copy(), numbers

    def distinct(self, index: Int64s, capacity: int) -> Int64s:
        """The rows in ``index``, each once, in the order in which they stand there."""
        return self(index[:0], index, capacity)[0]

    def _fit(self, capacity: int) -> None:
        if self._place.size < capacity:
            self._place = np.full(capacity, -1, np.int32)


@compiled
def _localise(place: Int32s, targets: Int64s, index: Int64s, rows: Int64s, numbers: Int64s) -> int:
    """Fill ``rows`` and ``numbers``; how many rows there are. ``place`` holds -1 before and after."""
    count = 0
    for at in range(targets.size):
        place[targets[at]] = count
        rows[count] = targets[at]
        count += 1
    last = index.size - 1
    for at in range(index.size):
        row = index[at]
        prefetch(place, index[min(at + 2 * AHEAD, last)])
        if place[row] < 0:
            place[row] = count
            rows[count] = row
            count += 1
        numbers[at] = place[row]
    for at in range(count):
        place[rows[at]] = -1
    return count
