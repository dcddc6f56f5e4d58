"""Where the nodes of a part are, by their numbers: a hash table of rows."""

from __future__ import annotations

import numpy as np

from olad_core.graph.arrays import Int32s, Int64s, Integer
from olad_core.graph.compiled import AHEAD, compiled, prefetch

FULLEST = 0.6
"""Load of the table at most."""
FEWEST = 64
"""Rows that memory is taken for at first."""


class RowsByNumber:
    """Rows by the numbers of their nodes: 7 to 14 bytes a node. The numbers themselves are the caller's, by row."""

    def __init__(self) -> None:
        self._count = 0
        self._table = _empty(FEWEST)

    def find(self, numbers: Int64s, number: Int64s) -> Int64s:
        """Rows by numbers; -1 where no row holds that node.

        Args:
            numbers: of nodes, ``[n]``.
            number: of the node in each row.
        """
        rows = np.empty(numbers.size, np.int64)
        _find_all(self._table, number, numbers, rows)
        return rows

    def enter(self, rows: Int64s, number: Int64s) -> None:
        """Enter distinct rows, whose numbers are set; one that is there stays."""
        if self._count + rows.size > FULLEST * self._table.size:
            before = self._table[self._table >= 0].astype(np.int64)
            self._table = _empty(self._count + rows.size)
            _enter_all(self._table, number, before)
        self._count += _enter_all(self._table, number, rows)

    def remove(self, rows: Int64s, number: Int64s) -> None:
        """Take rows out, before they have other numbers; one that is not there is passed over."""
        self._count -= _remove_all(self._table, number, rows)


def _empty(entries: int) -> Int32s:
    return np.full(1 << int(max(entries, FEWEST) / FULLEST).bit_length(), -1, np.int32)


@compiled
def _home(number: Integer, mask: Integer) -> Integer:
    mixed = np.uint64(number) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(mask))


@compiled
def _find(table: Int32s, number: Int64s, wanted: Integer) -> Integer:
    """Place of the number in the table, -1 where it is not."""
    mask = table.size - 1
    at = _home(wanted, mask)
    while table[at] >= 0:
        if number[table[at]] == wanted:
            return at
        at = (at + 1) & mask
    return -1


@compiled
def _find_all(table: Int32s, number: Int64s, numbers: Int64s, rows: Int64s) -> None:
    last, mask = numbers.size - 1, table.size - 1
    for at in range(numbers.size):
        prefetch(table, _home(numbers[min(at + AHEAD, last)], mask))
        place = _find(table, number, numbers[at])
        rows[at] = table[place] if place >= 0 else -1


@compiled
def _enter_all(table: Int32s, number: Int64s, rows: Int64s) -> int:
    """Enter rows; how many were not there."""
    mask, entered = table.size - 1, 0
    for at in range(rows.size):
        row = rows[at]
        if _find(table, number, number[row]) >= 0:
            continue
        place = _home(number[row], mask)
        while table[place] >= 0:
            place = (place + 1) & mask
        table[place] = row
        entered += 1
    return entered


@compiled
def _remove_all(table: Int32s, number: Int64s, rows: Int64s) -> int:
    """Take rows out, moving back the entries that were pushed on by them; how many were there."""
    mask, removed = table.size - 1, 0
    for each in range(rows.size):
        hole = _find(table, number, number[rows[each]])
        if hole < 0:
            continue
        removed += 1
        at = (hole + 1) & mask
        while table[at] >= 0:
            home = _home(number[table[at]], mask)
            if ((at - home) & mask) >= ((at - hole) & mask):
                table[hole] = table[at]
                hole = at
            at = (at + 1) & mask
        table[hole] = -1
    return removed
