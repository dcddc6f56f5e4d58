"""Features of the nodes that have some, and rows of them in the form that is cheaper to compute with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.graph.arrays import Float32s, Int32s, Int64s, lengthened
from olad_core.graph.columns import SPARSE, Columns
from olad_core.graph.compiled import compiled

SPARSEST = 0.2
"""Rows with a smaller share of non-zero entries are taken as sparse: to multiply the zeros would cost more."""
FEWEST_SLOTS = 2
"""Slots that memory is taken for at first."""


class Entries(NamedTuple):
    """Non-zero entries of n rows, one row after the other.

    Attributes:
        indptr: int64 ``[n + 1]``; those of the i-th row stand at ``indptr[i] : indptr[i + 1]``.
        column: int64.
        value: float32.
    """

    indptr: Int64s
    column: Int64s
    value: Float32s

    def first_columns(self, width: int) -> Entries:
        """Those in so many columns, the first ones."""
        kept = self.column < width
        before = np.concatenate([[0], np.cumsum(kept)])
        return Entries(before[self.indptr], self.column[kept], self.value[kept])


class FeatureTable:
    """Feature vectors of rows. A row without features takes four bytes, however wide they are.

    Slot 0 holds zeros and stands for no features, so that reading needs no case of its own.

    Args:
        rows: rows to reserve.
        width: number of features of a node; 0 while it is not known.
    """

    def __init__(self, rows: int, width: int) -> None:
        self.width = width
        self._values = np.zeros((FEWEST_SLOTS, width), np.float32)
        self._slot = np.zeros(rows, np.int32)
        self._end = 1
        self._free: list[int] = []

    @property
    def count(self) -> int:
        """Rows that have features."""
        return self._end - 1 - len(self._free)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._values.nbytes + self._slot.nbytes

    def reserve(self, rows: int) -> None:
        """Reserve rows ``0 .. rows - 1``."""
        self._slot = lengthened(self._slot, rows)

    def has(self, rows: Int64s | int) -> npt.NDArray[np.bool_]:
        """Which rows have features: bool ``[n]``."""
        return np.asarray(self._slot[rows] > 0)

    def dense(self, rows: Int64s | int) -> Float32s:
        """Features ``[n, width]``; zeros where a row has none."""
        found: Float32s = self._values[self._slot[rows]]
        return found

    @property
    def widest(self) -> int:
        """Number of features of a node."""
        return self.width

    def own(self, rows: Int64s) -> Float32s:
        """Features ``[n, widest]``, the same as `dense`."""
        return self.dense(rows)

    def gather(self, rows: Int64s) -> Float32s | Entries:
        """Features ``[n, width]``; as entries where nearly all of them are zero."""
        return _gather(self._values, self._slot[rows].astype(np.int64))

    def are_sparse(self, rows: Int64s) -> npt.NDArray[np.bool_]:
        """Which rows are taken as sparse where all rows that are gathered together are like them: bool ``[n]``."""
        indptr = np.zeros(rows.size + 1, np.int64)
        _count(self._values, self._slot[rows].astype(np.int64), indptr)
        sparse: npt.NDArray[np.bool_] = np.diff(indptr) < SPARSEST * self.width
        return sparse

    def put(self, rows: Int64s, columns: Columns, events: Int64s) -> npt.NDArray[np.bool_]:
        """Replace rows' features by those of the events; which rows had others before, or none.

        Args:
            rows: distinct.
            columns: of the batch.
            events: for each row the event with its features.
        """
        before = self._slot[rows]
        self._take_slots(rows[before == 0])
        changed: npt.NDArray[np.bool_] = before == 0
        _put(self._values, self._slot[rows], columns, events, np.empty(self.width, np.float32), changed)
        return changed

    def remove(self, rows: Int64s) -> None:
        """Let rows have no features."""
        slots = self._slot[rows]
        self._free.extend(slots[slots > 0].tolist())
        self._slot[rows] = 0
        if len(self._free) > 1024 and 4 * self.count < self._values.shape[0]:
            self._shrink()

    def part(self, rows: Int64s) -> FeatureTable:
        """A copy of the features of some rows, which are numbered in their order."""
        part = FeatureTable(rows.size, self.width)
        own = np.flatnonzero(self._slot[rows])
        part._slot[own] = np.arange(1, own.size + 1)
        part._end = own.size + 1
        part._values = lengthened(part._values, part._end)
        part._values[1 : part._end] = self._values[self._slot[rows[own]]]
        return part

    def state(self, end: int) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint, of the first ``end`` rows: those in use, not copies of them."""
        return {
            "feature_values": self._values[1 : self._end],
            "feature_slot": self._slot[:end],
            "feature_free_slots": np.array(self._free, np.int64),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[np.generic]], rows: int, width: int) -> FeatureTable:
        """The inverse of :meth:`state`, with ``rows`` rows."""
        table = cls(rows, width)
        slot, values = state["feature_slot"], state["feature_values"]
        table._free = state["feature_free_slots"].tolist()
        table._slot[: len(slot)] = slot
        table._end = 1 + len(values)
        table._values = lengthened(table._values, table._end)
        table._values[1 : table._end] = values
        return table

    def _take_slots(self, rows: Int64s) -> None:
        """Give rows slots: first those given up, the last one first, then unused ones."""
        reused = min(rows.size, len(self._free))
        unused = rows.size - reused
        if self._end + unused > len(self._values):
            self._values = lengthened(self._values, self._end + max(unused, self._end // 2))
        self._slot[rows[:reused]] = [self._free.pop() for _ in range(reused)]
        self._slot[rows[reused:]] = np.arange(self._end, self._end + unused)
        self._end += unused

    def _shrink(self) -> None:
        """Move the slots in use to the front, and give the rest of the memory back."""
        rows = np.flatnonzero(self._slot)
        values = np.zeros((len(rows) + 1 + len(rows) // 2, self.width), np.float32)
        values[1 : len(rows) + 1] = self._values[self._slot[rows]]
        self._slot[rows] = np.arange(1, len(rows) + 1)
        self._values, self._end, self._free = values, len(rows) + 1, []


def from_format_4(features: Float32s, has_features: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[np.generic]]:
    """The arrays of :meth:`FeatureTable.state`, from those of checkpoints of format 4: a row for every node."""
    return {
        "feature_values": features[has_features],
        "feature_slot": np.where(has_features, np.cumsum(has_features), 0).astype(np.int32),
        "feature_free_slots": np.empty(0, np.int64),
        "feature_width_held": np.array(bool(has_features.any())),
    }


def _gather(features: Float32s, rows: Int64s) -> Float32s | Entries:
    indptr = np.zeros(len(rows) + 1, np.int64)
    _count(features, rows, indptr)
    if indptr[-1] >= SPARSEST * len(rows) * features.shape[1]:
        return features[rows]
    size = indptr[-1] + 1
    found = Entries(indptr, np.empty(size, np.int64), np.empty(size, np.float32))
    _fill(features, rows, found)
    return Entries(indptr, found.column[:-1], found.value[:-1])


@compiled
def _count(features: Float32s, rows: Int64s, indptr: Int64s) -> None:
    for at in range(rows.size):
        count = 0
        for column in range(features.shape[1]):
            count += features[rows[at], column] != 0
        indptr[at + 1] = indptr[at] + count


@compiled
def _fill(features: Float32s, rows: Int64s, found: Entries) -> None:
    # Zeros are written too, where the next entry goes: a branch that no processor can foresee takes twice as long.
    for at in range(rows.size):
        place = found.indptr[at]
        for column in range(features.shape[1]):
            value = features[rows[at], column]
            found.column[place] = column
            found.value[place] = value
            place += value != 0


@compiled
def _put(
    values: Float32s,
    slots: Int32s,
    columns: Columns,
    events: Int64s,
    whole: Float32s,
    changed: npt.NDArray[np.bool_],
) -> None:
    """Bring events' features into slots; ``changed`` becomes true where they were others. ``whole`` is to work in."""
    for at in range(slots.size):
        event, slot = events[at], slots[at]
        first, count = columns.first[event], columns.width[event]
        if columns.form[event] == SPARSE:
            whole[:] = 0
            for place in range(first, first + count):
                whole[columns.place[place]] = columns.value[place]
        else:
            for column in range(count):
                whole[column] = columns.value[first + column]
        differs = changed[at]
        for column in range(whole.size):
            differs |= values[slot, column] != whole[column]
        if differs:
            changed[at] = True
            for column in range(whole.size):
                values[slot, column] = whole[column]
