"""What edges of other types join the ends of an edge to, and the labels that are known there.

Accounts that share a device are two steps apart, by edges of another type. The labels of one are then counted at the
device, and read by the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from olad_core.graph.arrays import lengthened

Rows = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
Kind = TypeVar("Kind", bound=np.generic)

PLACES = 8
"""Nodes that a node is known to be joined to: those of the last edges."""
_NOBODY = -1


class Links:
    """The last nodes that each node was joined to, and the labels of edges that were counted at each.

    As :class:`~olad_core.tasks.edge_class.history.History` it follows arrivals: an edge that leaves is counted on.

    Args:
        places: for classes, K.
    """

    def __init__(self, places: int) -> None:
        self._near = np.full((0, PLACES), _NOBODY, np.int32)
        self._labels = np.zeros((0, places))

    def join(self, pairs: Rows) -> None:
        """Note edges of other types that have arrived, by the rows of their ends ``[n, 2]``."""
        self._reserve(int(pairs.max(initial=-1)) + 1)
        both = np.concatenate([pairs, pairs[:, ::-1]])
        new = (self._near[both[:, 0]] != both[:, 1:]).all(axis=1) & (both[:, 0] != both[:, 1])
        for row, joined in dict.fromkeys(map(tuple, both[new].tolist())):
            near = self._near[row]
            near[1:] = near[:-1].copy()
            near[0] = joined

    def label(self, ends: Sequence[int], number: int, by: float) -> None:
        """Count the label of an edge at all that its ends are joined to, or take it away again.

        What they have been joined to since has not counted it: no count falls below 0.
        """
        for row in ends:
            near = self._of(row)
            self._labels[near, number] = np.maximum(self._labels[near, number] + by, 0.0)

    def counts(self, rows: Rows, also: Sequence[Sequence[int]] | None = None) -> Doubles:
        """Labels at the nodes that each row is joined to, by class ``[n, K]``.

        Args:
            rows: ``[n]``, -1 for a node that is not there.
            also: rows that each is joined to by edges that have not arrived.
        """
        found = np.zeros((rows.size, self._labels.shape[1]))
        for place, row in enumerate(rows.tolist()):
            near = set(self._of(row).tolist()) | set(also[place] if also else ())
            inside = [each for each in sorted(near) if each < len(self._labels)]
            if inside:
                found[place] = self._labels[inside].sum(axis=0)
        return found

    def near(self, rows: Rows) -> Rows:
        """The nodes that any of the rows is joined to, each once; a row of -1 is of no node."""
        found = [self._of(row) for row in rows.tolist()]
        return np.unique(np.concatenate([np.empty(0, np.int64), *found]))

    def part(self, rows: Rows) -> Links:
        """Those between some nodes alone: row ``rows[n]`` becomes row n.

        Args:
            rows: ``[n]``, distinct and not negative, one at least.
        """
        part = Links(self._labels.shape[1])
        near, order = taken_rows(self._near, rows, _NOBODY), np.argsort(rows)
        found = order[np.searchsorted(rows, near, sorter=order).clip(max=rows.size - 1)]
        part._near = np.where(rows[found] == near, found, _NOBODY).astype(np.int32)
        part._labels = taken_rows(self._labels, rows)
        return part

    def forget(self, rows: Rows) -> None:
        """Forget nodes that have left."""
        self._near[np.isin(self._near, rows)] = _NOBODY
        inside = rows[rows < len(self._near)]
        self._near[inside] = _NOBODY
        self._labels[inside] = 0

    def widen(self, places: int) -> None:
        """Have places for so many classes."""
        self._labels = np.pad(self._labels, ((0, 0), (0, places - self._labels.shape[1])))

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint, none where nothing is joined."""
        if not len(self._near):
            return {}
        return {"near": self._near.copy(), "labels": self._labels.copy()}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the :meth:`state`."""
        if state:
            self._near, self._labels = state["near"].astype(np.int32), state["labels"].astype(np.float64)

    def _of(self, row: int) -> Rows:
        """Rows that one is joined to."""
        if not 0 <= row < len(self._near):
            return np.empty(0, np.int64)
        near = self._near[row].astype(np.int64)
        known: Rows = near[near >= 0]
        return known

    def _reserve(self, rows: int) -> None:
        if rows <= len(self._near):
            return
        rows = max(rows, 2 * len(self._near), 64)
        self._near, self._labels = lengthened(self._near, rows, _NOBODY), lengthened(self._labels, rows)


def taken_rows(array: npt.NDArray[Kind], rows: Rows, fill: float = 0) -> npt.NDArray[Kind]:
    """A copy of some rows of an array, ``fill`` where it is not so long.

    >>> taken_rows(np.array([1.0, 2.0]), np.array([1, 5])).tolist()
    [2.0, 0.0]
    """
    taken = np.full((rows.size, *array.shape[1:]), fill, array.dtype)
    there = rows < len(array)
    taken[there] = array[rows[there]]
    return taken


def joined_before(
    pairs: Sequence[tuple[int, int, int]], rows: Sequence[int], numbers: Sequence[int]
) -> list[list[int]]:
    """What each row is joined to by events that stand before its own.

    >>> joined_before([(0, 7, 3), (2, 8, 3)], [3, 3, 7], [1, 4, 5])
    [[7], [7, 8], [3]]

    Args:
        pairs: number of an event, and both rows that it joins, in order.
        rows: ``[n]``.
        numbers: of the events of the rows ``[n]``.
    """
    of_row: dict[int, list[tuple[int, int]]] = {}
    for number, one, other in pairs:
        of_row.setdefault(one, []).append((number, other))
        of_row.setdefault(other, []).append((number, one))
    return [
        [other for number, other in of_row.get(row, ()) if number < own] for row, own in zip(rows, numbers, strict=True)
    ]
