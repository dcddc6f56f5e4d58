"""Predictions made at arrival, and those of them that wait for their label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from olad_core.config import ARRIVAL_CELLS, ARRIVAL_CLASSES
from olad_core.judging.class_columns import COLUMNS, ClassColumns, best_columns
from olad_core.memory_use import remembered

Rows = npt.NDArray[np.int64]

_LIKELIEST = -1
"""In place of a served label: it is the likeliest class."""


@dataclass(frozen=True)
class Predictions:
    """Class probabilities of n nodes; NaN where there was no answer.

    Attributes:
        students: float32 ``[n, G, C]``.
        served: float32 ``[n, C]``, what readers got.
        twins: float32 ``[n, 2, C]``, of the untaught and of the taught twin; None without.
    """

    students: npt.NDArray[np.float32]
    served: npt.NDArray[np.float32]
    twins: npt.NDArray[np.float32] | None = None

    @property
    def together(self) -> npt.NDArray[np.float32]:
        """``[n, G + 1, C]``: the students, then what was served."""
        return np.concatenate([self.students, self.served[:, None]], axis=1)

    def part(self, nodes: npt.NDArray[np.bool_]) -> Predictions:
        """Those of some of the nodes."""
        return Predictions(self.students[nodes], self.served[nodes])

    @classmethod
    def apart(cls, together: npt.NDArray[np.float32]) -> Predictions:
        """The inverse of :attr:`together`."""
        return cls(together[:, :-1], together[:, -1])


@dataclass(frozen=True)
class Taken:
    """Predictions whose label has come.

    Attributes:
        places: of the n of the rows that are remembered.
        probabilities: float32 ``[n, P, C]``.
        columns: the classes of the columns; None where each class is the column of its number.
        labels: classes that were served ``[n]``, negative where that was the likeliest one; None where all were.
    """

    places: Rows
    probabilities: npt.NDArray[np.float32]
    columns: ClassColumns | None
    labels: Rows | None


class Arrivals:
    """Predictions made at arrival that still wait for their label, the oldest forgotten beyond a limit.

    A prediction that was taken counts for the limit until as many others have come after it. Memory is taken as it is
    used. Of many classes the best ones are remembered: see :mod:`olad_core.judging.class_columns`.

    Args:
        predictors: number of predictors P: the students, then the served model.
        limit: nodes that are remembered.
        cells: probabilities that are remembered, which lowers the limit where there are many classes.
    """

    def __init__(self, predictors: int, limit: int, cells: int = ARRIVAL_CELLS) -> None:
        self._most, self._cells = limit, cells
        self._limit = remembered(limit, cells, predictors, 0)
        # A ring once ``limit`` slots are used; the arrays are longer than the slots that are.
        self._used = 0
        self._next = 0
        self._rows = np.empty(0, dtype=np.int64)
        self._arrival = np.empty(0, dtype=np.int64)
        self._probabilities = np.zeros((0, predictors, 0), dtype=np.float32)
        # Tables of ClassColumns, once there are more classes than are remembered.
        self._tables = np.zeros((0, 0), dtype=np.int32)
        # Classes that were served as labels, once a rule decides them; as long as the other arrays, or empty.
        self._labels = np.empty(0, dtype=np.int32)
        self._slot_of_row = np.empty(0, dtype=np.int64)

    def add(
        self, rows: Rows, arrival: Rows, probabilities: npt.NDArray[np.float32], labels: Rows | None = None
    ) -> None:
        """Remember predictions.

        Args:
            rows: of the nodes ``[n]``, distinct.
            arrival: numbers of their arrivals ``[n]``.
            probabilities: ``[n, P, C]``; NaN where a predictor had no answer.
            labels: classes that were served ``[n]``; None where they are the likeliest ones.
        """
        self._hold_classes(probabilities.shape[2])
        rows, arrival, probabilities = rows[-self._limit :], arrival[-self._limit :], probabilities[-self._limit :]
        columns = ClassColumns.of_few(len(rows), probabilities.shape[2])
        if probabilities.shape[2] > ARRIVAL_CLASSES:
            probabilities, columns = best_columns(probabilities)
        self._use(min(self._limit, self._used + len(rows)))
        slots = (self._next + np.arange(len(rows))) % self._limit
        self._rows[slots], self._arrival[slots] = rows, arrival
        self._probabilities[slots] = 0
        self._probabilities[slots, :, : probabilities.shape[2]] = probabilities
        if self._tables.shape[1]:
            self._tables[slots] = columns.table
        if labels is not None and not len(self._labels):
            self._labels = np.full(len(self._rows), _LIKELIEST, np.int32)
        if len(self._labels):
            self._labels[slots] = labels[-self._limit :] if labels is not None else _LIKELIEST
        self._next = (self._next + len(rows)) % self._limit
        self._index(rows, slots)

    def take(self, rows: Rows, arrival: Rows) -> Taken:
        """Predictions of rows whose label has come, now forgotten.

        Args:
            rows: distinct.
            arrival: numbers of their arrivals.
        """
        places = np.flatnonzero(rows < len(self._slot_of_row))
        slots = self._slot_of_row[rows[places]]
        # A slot beyond those in use was forgotten.
        used = (slots >= 0) & (slots < self._used)
        places, slots = places[used], slots[used]
        known = (self._rows[slots] == rows[places]) & (self._arrival[slots] == arrival[places])
        slots = slots[known]
        self._rows[slots] = -1
        columns = ClassColumns(self._tables[slots]) if self._tables.shape[1] else None
        labels = self._labels[slots].astype(np.int64) if len(self._labels) else None
        return Taken(places[known], self._probabilities[slots], columns, labels)

    def beside(self, predictors: int) -> Arrivals:
        """Those of the last predictor, with so many others before it that have predicted none of these nodes."""
        state = self.state()
        found = state["probabilities"]
        none = np.full((len(found), predictors, found.shape[2]), np.nan, np.float32)
        new = Arrivals(predictors + 1, self._most, self._cells)
        new.restore(state | {"probabilities": np.concatenate([none, found[:, -1:]], axis=1)})
        return new

    def waiting(self) -> tuple[Rows, Rows]:
        """Rows of nodes whose label has not come, and their arrivals, the last first; some may have left."""
        slots = self._oldest_first()[::-1]
        slots = slots[self._rows[slots] >= 0]
        return self._rows[slots], self._arrival[slots]

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint: rows and arrivals of the slots in use, and probabilities of those not taken."""
        rows = self._rows[: self._used].copy()
        tables = {"classes": self._tables[: self._used][rows >= 0]} if self._tables.shape[1] else {}
        if len(self._labels):
            tables["labels"] = self._labels[: self._used].copy()
        return tables | {
            "rows": rows,
            "arrival": self._arrival[: self._used].copy(),
            "probabilities": self._probabilities[: self._used][rows >= 0],
            "next": np.array([self._next]),
        }

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`; those of earlier releases hold slots that were never used, too."""
        rows, arrival = state["rows"].astype(np.int64), state["arrival"].astype(np.int64)
        found, tables = _narrow(state)
        probabilities = found
        if len(found) != len(rows):
            probabilities = np.zeros((len(rows), *found.shape[1:]), dtype=np.float32)
            probabilities[rows >= 0] = found
            held = np.zeros((len(rows), tables.shape[1]), dtype=np.int32)
            held[rows >= 0] = tables
            tables = held
        used = int(np.flatnonzero(arrival >= 0).max(initial=-1)) + 1
        self._rows, self._arrival, self._probabilities = rows[:used], arrival[:used], probabilities[:used]
        self._tables = tables[:used]
        self._labels = state["labels"].astype(np.int32)[:used] if "labels" in state else self._labels[:0]
        if len(self._labels) not in {0, used}:
            raise ValueError(f"arrivals/labels: {len(self._labels)} for {used} slots")
        self._used, self._next = used, int(state["next"][0])
        self._limit = remembered(self._most, self._cells, *found.shape[1:])
        full = used == self._limit and 0 <= self._next < used
        if not full and (used >= self._limit or self._next != used):
            self._put_in_order()
        slots = self._oldest_first()
        slots = slots[self._rows[slots] >= 0]
        self._slot_of_row = np.empty(0, dtype=np.int64)
        self._index(self._rows[slots], slots)

    def _oldest_first(self) -> Rows:
        """Slots in use."""
        begin = self._next if self._next < self._used else 0
        return (begin + np.arange(self._used)) % max(1, self._used)

    def _hold_classes(self, classes: int) -> None:
        """Hold so many classes; the oldest predictions are forgotten where that lowers the limit."""
        held = self._probabilities.shape[2]
        missing = min(classes, COLUMNS) - held
        if missing <= 0:
            return
        limit = remembered(self._most, self._cells, self._probabilities.shape[1], held + missing)
        if limit < self._limit:
            self._limit = limit
            self._put_in_order()
            slots = np.flatnonzero(self._rows >= 0)
            self._index(self._rows[slots], slots)
        self._probabilities = np.pad(self._probabilities, ((0, 0), (0, 0), (0, missing)))
        if classes > ARRIVAL_CLASSES:
            self._tables = ClassColumns.of_few(len(self._rows), held).table

    def _put_in_order(self) -> None:
        """Let the slots in use be the first ones, oldest first, and no more than the limit."""
        slots = self._oldest_first()[-self._limit :]
        self._rows, self._arrival = self._rows[slots], self._arrival[slots]
        self._probabilities, self._tables = self._probabilities[slots], self._tables[slots]
        self._labels = self._labels[slots] if len(self._labels) else self._labels
        self._used, self._next = len(slots), len(slots) % self._limit

    def _use(self, slots: int) -> None:
        """Have so many slots in use, at least."""
        if slots > len(self._rows):
            size = min(self._limit, max(slots, 2 * len(self._rows)))
            more = size - len(self._rows)
            self._rows, self._arrival = (np.pad(array, (0, more)) for array in (self._rows, self._arrival))
            self._probabilities = np.pad(self._probabilities, ((0, more), (0, 0), (0, 0)))
            self._tables = np.pad(self._tables, ((0, more), (0, 0)))
            if len(self._labels):
                self._labels = np.pad(self._labels, (0, more))
        self._used = max(self._used, slots)

    def _index(self, rows: Rows, slots: Rows) -> None:
        beyond = int(rows.max(initial=-1)) + 1 - len(self._slot_of_row)
        if beyond > 0:
            more = np.full(max(beyond, len(self._slot_of_row)), -1, dtype=np.int64)
            self._slot_of_row = np.concatenate([self._slot_of_row, more])
        self._slot_of_row[rows] = slots


def _narrow(state: Mapping[str, npt.NDArray[np.generic]]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Probabilities and tables of a state; earlier releases wrote every class, and no tables.

    Raises:
        ValueError: there is not a table for each prediction.
    """
    found = state["probabilities"].astype(np.float32)
    if "classes" in state:
        tables = state["classes"].astype(np.int32)
        if tables.shape != (len(found), COLUMNS) or found.shape[2] != COLUMNS:
            raise ValueError(f"arrivals/classes: {list(tables.shape)} for probabilities {list(found.shape)}")
        return found, tables
    if found.shape[2] > ARRIVAL_CLASSES:
        found, columns = best_columns(found)
        return found, columns.table
    return found, np.zeros((len(found), 0), dtype=np.int32)
