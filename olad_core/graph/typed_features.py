"""Features of nodes of several types, each with a width of its own, as rows of one common width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from olad_core.graph.arrays import Float32s, Int16s, Int64s
from olad_core.graph.columns import Columns
from olad_core.graph.features import Entries, FeatureTable
from olad_core.named_state import take_part


class TypedFeatures:
    """A table for each type of nodes; what is read of them stands side by side.

    In a row of the common width each type has a column that is 1 for its nodes, and after it the columns of its
    features. A linear map of such rows is a map of its own for each type. One more type adds columns at the end.

    Args:
        rows: rows to reserve.
        widths: of the features of each type; 0 for a type without features.

    Attributes:
        kind: int16, the type of each row's node; -1 where it is not known, as in rows beyond the end.
    """

    def __init__(self, rows: int, widths: Sequence[int]) -> None:
        self.kind: Int16s = np.full(rows, -1, np.int16)
        self._rows = rows
        self._tables = [FeatureTable(rows, width) for width in widths]

    @property
    def first(self) -> Int64s:
        """The column that shows each type, and the common width: ``[T + 1]``."""
        return np.cumsum([0, *(1 + table.width for table in self._tables)])

    @property
    def width(self) -> int:
        """The common width."""
        return int(self.first[-1])

    @property
    def count(self) -> int:
        """Rows that have features."""
        return sum(table.count for table in self._tables)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(table.nbytes for table in self._tables)

    def add(self, widths: Sequence[int]) -> None:
        """Add types, so that the widths are these."""
        self._tables += [FeatureTable(self._rows, width) for width in widths[len(self._tables) :]]

    def reserve(self, rows: int) -> None:
        """Reserve rows ``0 .. rows - 1``."""
        self._rows = rows
        for table in self._tables:
            table.reserve(rows)

    def has(self, rows: Int64s | int) -> npt.NDArray[np.bool_]:
        """Which rows have features: bool ``[n]``."""
        found: npt.NDArray[np.bool_] = np.any([table.has(rows) for table in self._tables], axis=0)
        return found

    def dense(self, rows: Int64s | int) -> Float32s:
        """Rows ``[n, width]``; zeros where no type is known."""
        chosen = np.atleast_1d(np.asarray(rows, np.int64))
        found = np.zeros((chosen.size, self.width), np.float32)
        for at, columns, values in self._of_types(chosen):
            found[at, columns] = values
        return found if np.ndim(rows) else found[0]

    @property
    def widest(self) -> int:
        """Number of features of a node of the type that has most."""
        return max(table.width for table in self._tables)

    def own(self, rows: Int64s) -> Float32s:
        """Features ``[n, widest]`` of the nodes by their own types; zeros beyond a type's width."""
        found = np.zeros((rows.size, self.widest), np.float32)
        for at, _, values in self._of_types(rows):
            found[at, : values.shape[1] - 1] = values[:, 1:]
        return found

    def are_sparse(self, rows: Int64s) -> npt.NDArray[np.bool_]:
        """As of :class:`~olad_core.graph.features.FeatureTable`: all are."""
        return np.ones(rows.size, np.bool_)

    def gather(self, rows: Int64s) -> Entries:
        """Rows ``[n, width]`` as their entries that are not zero."""
        parts = []
        counts = np.zeros(rows.size, np.int64)
        for at, columns, values in self._of_types(rows):
            row, column = np.nonzero(values)
            each = np.bincount(row, minlength=at.size)
            counts[at] = each
            # Those of one row stand one after the other.
            place = np.arange(row.size) - np.repeat(np.cumsum(each) - each, each)
            parts.append((at[row], place, columns.start + column, values[row, column]))
        indptr = np.zeros(rows.size + 1, np.int64)
        np.cumsum(counts, out=indptr[1:])
        found = Entries(indptr, np.empty(indptr[-1], np.int64), np.empty(indptr[-1], np.float32))
        for row, place, column, value in parts:
            found.column[indptr[row] + place] = column
            found.value[indptr[row] + place] = value
        return found

    def put(self, rows: Int64s, columns: Columns, events: Int64s) -> npt.NDArray[np.bool_]:
        """Replace rows' features by those of the events; which rows had others before, or none.

        Args:
            rows: distinct, of nodes whose types are known.
            columns: of the batch.
            events: for each row the event with its features.
        """
        changed = np.zeros(rows.size, np.bool_)
        for number, table in enumerate(self._tables):
            at = np.flatnonzero(self.kind[rows] == number)
            if at.size:
                changed[at] = table.put(rows[at], columns, events[at])
        return changed

    def remove(self, rows: Int64s) -> None:
        """Let rows have no features."""
        for table in self._tables:
            table.remove(rows)

    def part(self, rows: Int64s) -> TypedFeatures:
        """A copy of the features of some rows, which are numbered in their order; the kinds are left out."""
        part = TypedFeatures(rows.size, ())
        part._tables = [table.part(rows) for table in self._tables]
        return part

    def state(self, end: int) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint, of the first ``end`` rows: those in use, not copies of them."""
        state: dict[str, npt.NDArray[np.generic]] = {"node_kind": self.kind[:end]}
        for number, table in enumerate(self._tables):
            state |= {f"{part_name(number)}/{name}": array for name, array in table.state(end).items()}
        return state

    @classmethod
    def from_state(
        cls, state: Mapping[str, npt.NDArray[np.generic]], rows: int, widths: Sequence[int]
    ) -> TypedFeatures:
        """The inverse of :meth:`state`, with ``rows`` rows; the kinds are left out."""
        features = cls(rows, widths)
        features._tables = [
            FeatureTable.from_state(take_part(state, part_name(number)), rows, width)
            for number, width in enumerate(widths)
        ]
        return features

    def _of_types(self, rows: Int64s) -> list[tuple[Int64s, slice, Float32s]]:
        """For each type: which of the rows are of it, its columns, and its part of these rows."""
        kind, first, found = np.full(rows.size, -1, np.int16), self.first, []
        inside = rows < self.kind.size
        kind[inside] = self.kind[rows[inside]]
        for number, table in enumerate(self._tables):
            at = np.flatnonzero(kind == number)
            if at.size:
                values = np.ones((at.size, 1 + table.width), np.float32)
                values[:, 1:] = table.dense(rows[at])
                found.append((at, slice(int(first[number]), int(first[number + 1])), values))
        return found


def part_name(number: int) -> str:
    """The part of a graph's state that holds the features of a type."""
    return f"node_type/{number}"
