"""Places of the nodes that a rank owns, for tables that hold nothing of copies."""

from __future__ import annotations

import numpy as np

from olad_core.graph.arrays import Int32s, Int64s, lengthened


class OwnPlaces:
    """A place for each owned row, four bytes a row. Places of nodes that have left are given out again.

    Attributes:
        of: int32 ``[capacity]``, place of each row; -1 of one that is not owned.
        end: places are below this.
    """

    def __init__(self) -> None:
        self.of: Int32s = np.empty(0, np.int32)
        self.end = 0
        self._free: Int32s = np.empty(0, np.int32)

    def give(self, rows: Int64s, capacity: int) -> None:
        """Give places to the rows that have none.

        Args:
            rows: owned, distinct.
            capacity: rows that there may be.
        """
        self.of = lengthened(self.of, capacity, -1)
        rows = rows[self.of[rows] < 0]
        reused = self._free[max(0, self._free.size - rows.size) :]
        self._free = self._free[: self._free.size - reused.size]
        unused = rows.size - reused.size
        self.of[rows] = np.concatenate([reused, np.arange(self.end, self.end + unused, dtype=np.int32)])
        self.end += unused

    def take(self, rows: Int64s) -> None:
        """Take the places of rows whose nodes have left; a row that has none is passed over."""
        places = self.of[rows]
        self.of[rows] = -1
        self._free = np.concatenate([self._free, places[places >= 0]])
