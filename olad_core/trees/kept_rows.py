"""Rows of a table, kept within a bound of memory, the newest of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.config import TREE_CELLS
from olad_core.graph.arrays import Float32s, Int64s, lengthened
from olad_core.trees.table import of_width

TAKEN = -1


def rows_kept(rows: int, cells: int, width: int) -> int:
    """How many rows of so many columns are kept.

    >>> rows_kept(65_536, TREE_CELLS, 500), rows_kept(65_536, TREE_CELLS, 10)
    (16777, 65536)
    """
    return max(1, min(rows, cells // max(1, width)))


class KeptRows:
    """The last rows that came. A row that was taken counts for the bound until as many others have come after it.

    >>> kept = KeptRows(rows=4)
    >>> kept.add(np.array([7, 8]), np.array([[1], [2]], np.float32))
    >>> kept.take(np.array([9, 8]))[1].tolist()
    [[2.0]]

    Args:
        rows: that are kept at most.
        cells: numbers that are kept at most.
    """

    def __init__(self, rows: int, cells: int = TREE_CELLS) -> None:
        self._rows, self._cells = rows, cells
        self._used = self._next = 0
        self._key = np.zeros(0, np.int64)
        self._table = np.zeros((0, 0), np.float32)
        self._slot: dict[int, int] = {}

    @property
    def width(self) -> int:
        """Columns of the table."""
        return self._table.shape[1]

    def __len__(self) -> int:
        return self._used

    def add(self, key: Int64s, table: Float32s) -> None:
        """Keep rows.

        Args:
            key: what each is found by, 0 or more ``[n]``.
            table: ``[n, width]``; columns that later rows have are NaN in those before.
        """
        if table.shape[1] > self.width:
            self._hold(*self.in_order(), table.shape[1])
        limit = self._limit
        key, table = key[-limit:], of_width(table, self.width)[-limit:]
        self._reserve(min(limit, self._used + len(key)))
        slots = (self._next + np.arange(len(key))) % limit
        for slot, new in zip(slots.tolist(), key.tolist(), strict=True):
            if self._slot.get(int(self._key[slot])) == slot:
                del self._slot[int(self._key[slot])]
            self._slot[new] = slot
        self._key[slots], self._table[slots] = key, table
        self._next = int(self._next + len(key)) % limit
        self._used = min(limit, max(self._used, int(slots.max(initial=-1)) + 1))

    def find(self, key: Int64s) -> tuple[Int64s, Float32s]:
        """Places in ``key`` that are kept, ``[m]``, and their rows, ``[m, width]``, which stay."""
        found = [(place, self._slot[one]) for place, one in enumerate(key.tolist()) if one in self._slot]
        places, slots = np.array(found, np.int64).reshape(-1, 2).T
        return places, self._table[slots]

    def take(self, key: Int64s) -> tuple[Int64s, Float32s]:
        """Places in ``key`` that are kept, ``[m]``, and their rows, ``[m, width]``, now forgotten."""
        found = [(place, self._slot.pop(one)) for place, one in enumerate(key.tolist()) if one in self._slot]
        places, slots = np.array(found, np.int64).reshape(-1, 2).T
        self._key[slots] = TAKEN
        return places, self._table[slots]

    def in_order(self) -> tuple[Int64s, Float32s]:
        """Keys and rows of all that are kept, the oldest first: copies."""
        begin = self._next if self._next < self._used else 0
        slots = (begin + np.arange(self._used)) % max(1, self._used)
        slots = slots[self._key[slots] != TAKEN]
        return self._key[slots], self._table[slots]

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint: those in use, not copies of them."""
        return {"key": self._key[: self._used], "table": self._table[: self._used], "next": np.array(self._next)}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over the :meth:`state` of others.

        Raises:
            ValueError: the arrays are not those of kept rows.
        """
        key, table, following = state["key"], state["table"], int(state["next"])
        if table.ndim != 2 or key.shape != table.shape[:1]:
            raise ValueError(f"{list(key.shape)} keys of a table {list(table.shape)}")
        if key.dtype != np.int64 or table.dtype != np.float32:
            raise ValueError(f"keys of {key.dtype}, a table of {table.dtype}")
        used = len(key)
        if not 0 <= following <= used:
            raise ValueError(f"row {following} is the next of {used}")
        limit = rows_kept(self._rows, self._cells, table.shape[1])
        kept: Int64s = np.arange(used)
        if used != limit:
            # They were kept under another limit.
            kept, following = np.roll(kept, -following)[-limit:], min(used, limit) % limit
        self._key, self._table = key[kept], table[kept]
        self._used, self._next = len(kept), following
        self._slot = {one: slot for slot, one in enumerate(self._key.tolist()) if one != TAKEN}

    @property
    def _limit(self) -> int:
        return rows_kept(self._rows, self._cells, self.width)

    def _hold(self, key: Int64s, table: Float32s, width: int) -> None:
        """Hold these rows alone, the oldest first, with so many columns; the oldest are left out where fewer fit."""
        kept = slice(-rows_kept(self._rows, self._cells, width), None)
        self._key, self._table = key[kept], of_width(table[kept], width)
        self._used = len(self._key)
        self._next = self._used % self._limit
        self._slot = {one: slot for slot, one in enumerate(self._key.tolist())}

    def _reserve(self, slots: int) -> None:
        if slots > len(self._key):
            size = min(self._limit, max(slots, 2 * len(self._key)))
            self._key, self._table = lengthened(self._key, size, TAKEN), lengthened(self._table, size)
