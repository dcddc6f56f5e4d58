"""Predictions made at arrival, and those of them that wait for their label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from olad_core.config import ARRIVAL_CELLS
from olad_core.memory_use import remembered

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Predictions:
    """Class probabilities of n nodes; NaN where there was no answer.

    Attributes:
        students: float32 ``[n, G, C]``.
        served: float32 ``[n, C]``, what readers got.
    """

    students: npt.NDArray[np.float32]
    served: npt.NDArray[np.float32]

    @property
    def together(self) -> npt.NDArray[np.float32]:
        """``[n, G + 1, C]``: the students, then what was served."""
        return np.concatenate([self.students, self.served[:, None]], axis=1)

    @classmethod
    def apart(cls, together: npt.NDArray[np.float32]) -> Predictions:
        """The inverse of :attr:`together`."""
        return cls(together[:, :-1], together[:, -1])


class Arrivals:
    """Predictions made at arrival that still wait for their label, the oldest forgotten beyond a limit.

    A prediction that was taken counts for the limit until as many others have come after it. Memory is taken as it is
    used.

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
        self._slot_of_row = np.empty(0, dtype=np.int64)

    def add(self, rows: Rows, arrival: Rows, probabilities: npt.NDArray[np.float32]) -> None:
        """Remember predictions ``[n, P, C]``; NaN where a predictor had no answer."""
        self._hold_classes(probabilities.shape[2])
        rows, arrival, probabilities = rows[-self._limit :], arrival[-self._limit :], probabilities[-self._limit :]
        self._use(min(self._limit, self._used + len(rows)))
        slots = (self._next + np.arange(len(rows))) % self._limit
        self._rows[slots], self._arrival[slots] = rows, arrival
        self._probabilities[slots] = 0
        self._probabilities[slots, :, : probabilities.shape[2]] = probabilities
        self._next = (self._next + len(rows)) % self._limit
        self._index(rows, slots)

    def take(self, rows: Rows, arrival: Rows) -> tuple[Rows, npt.NDArray[np.float32]]:
        """Places in ``rows`` (distinct) that are remembered, and their predictions ``[n, P, C]``, now forgotten."""
        places = np.flatnonzero(rows < len(self._slot_of_row))
        slots = self._slot_of_row[rows[places]]
        # A slot beyond those in use was forgotten.
        used = (slots >= 0) & (slots < self._used)
        places, slots = places[used], slots[used]
        known = (self._rows[slots] == rows[places]) & (self._arrival[slots] == arrival[places])
        self._rows[slots[known]] = -1
        return places[known], self._probabilities[slots[known]]

    def waiting(self) -> tuple[Rows, Rows]:
        """Rows of nodes whose label has not come, and their arrivals, the last first; some may have left."""
        slots = self._oldest_first()[::-1]
        slots = slots[self._rows[slots] >= 0]
        return self._rows[slots], self._arrival[slots]

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint: rows and arrivals of the slots in use, and probabilities of those not taken."""
        rows = self._rows[: self._used].copy()
        return {
            "rows": rows,
            "arrival": self._arrival[: self._used].copy(),
            "probabilities": self._probabilities[: self._used][rows >= 0],
            "next": np.array([self._next]),
        }

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`; those of earlier releases hold slots that were never used, too."""
        rows, arrival = state["rows"].astype(np.int64), state["arrival"].astype(np.int64)
        found = state["probabilities"].astype(np.float32)
        probabilities = found
        if len(found) != len(rows):
            probabilities = np.zeros((len(rows), *found.shape[1:]), dtype=np.float32)
            probabilities[rows >= 0] = found
        used = int(np.flatnonzero(arrival >= 0).max(initial=-1)) + 1
        self._rows, self._arrival, self._probabilities = rows[:used], arrival[:used], probabilities[:used]
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
        missing = classes - self._probabilities.shape[2]
        if missing <= 0:
            return
        limit = remembered(self._most, self._cells, self._probabilities.shape[1], classes)
        if limit < self._limit:
            self._limit = limit
            self._put_in_order()
            slots = np.flatnonzero(self._rows >= 0)
            self._index(self._rows[slots], slots)
        self._probabilities = np.pad(self._probabilities, ((0, 0), (0, 0), (0, missing)))

    def _put_in_order(self) -> None:
        """Let the slots in use be the first ones, oldest first, and no more than the limit."""
        slots = self._oldest_first()[-self._limit :]
        self._rows, self._arrival = self._rows[slots], self._arrival[slots]
        self._probabilities = self._probabilities[slots]
        self._used, self._next = len(slots), len(slots) % self._limit

    def _use(self, slots: int) -> None:
        """Have so many slots in use, at least."""
        if slots > len(self._rows):
            size = min(self._limit, max(slots, 2 * len(self._rows)))
            more = size - len(self._rows)
            self._rows, self._arrival = (np.pad(array, (0, more)) for array in (self._rows, self._arrival))
            self._probabilities = np.pad(self._probabilities, ((0, more), (0, 0), (0, 0)))
        self._used = max(self._used, slots)

    def _index(self, rows: Rows, slots: Rows) -> None:
        beyond = int(rows.max(initial=-1)) + 1 - len(self._slot_of_row)
        if beyond > 0:
            more = np.full(max(beyond, len(self._slot_of_row)), -1, dtype=np.int64)
            self._slot_of_row = np.concatenate([self._slot_of_row, more])
        self._slot_of_row[rows] = slots
