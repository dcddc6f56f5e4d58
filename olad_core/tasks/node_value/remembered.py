"""Examples: nodes as they were when they arrived, or when their value came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.graph.arrays import lengthened
from olad_core.tasks.node_value.inputs import GUESSES, Inputs, Shape
from olad_core.tasks.values.model import ANSWERED, BESIDE_GUESSES, Predicted

Rows = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

_ARRAYS = ("row", "arrival", "value", "answered", "weighed", *Inputs._fields)
_FEWEST = 256


class Remembered:
    """A ring of examples, in which a new one takes the place of the oldest.

    Args:
        most: examples that are remembered.
        shape: of their inputs.
    """

    def __init__(self, most: int, shape: Shape) -> None:
        self._most, self._next = most, 0
        self._arrived: dict[int, int] = {}
        self.row = np.empty(0, np.int64)
        """Of the node ``[n]``, -1 where it has left or there is no example."""
        self.arrival = np.empty(0, np.bool_)
        """Whether it is as it arrived ``[n]``."""
        self.value = np.empty(0)
        """``[n]``, NaN where it is not known."""
        self.answered = np.empty((0, ANSWERED))
        """Low, value and high at arrival ``[n, 3]``; NaN where there was no answer."""
        self.weighed = np.empty((0, len(GUESSES) + BESIDE_GUESSES))
        """The predictions that the answered value was weighed from ``[n, K]``; NaN likewise."""
        self.levels, self.distances = np.empty((0, shape.levels)), np.empty((0, 1))
        self.plain = np.empty((0, shape.plain), np.float32)
        self.features = np.empty((0, 2 * shape.features), np.float32)

    @property
    def waiting(self) -> int:
        """Nodes that have arrived, and have no value."""
        return int(np.count_nonzero(self.arrival & (self.row >= 0) & np.isnan(self.value)))

    def arrived(self, row: int) -> int | None:
        """Place of a node as it arrived; None where it is not remembered."""
        return self._arrived.get(row)

    def of_node(self, row: int) -> Rows:
        """Places of all examples of a node."""
        return np.flatnonzero(self.row == row)

    def add(self, rows: Rows, inputs: Inputs, predicted: Predicted | None = None) -> Rows:
        """Remember examples in the place of the oldest ones; the places ``[n]``.

        Args:
            rows: of the nodes.
            inputs: of them.
            predicted: what was answered where they have arrived; None for nodes that were there.
        """
        places = (self._next + np.arange(len(rows))) % self._most
        self._next = int((self._next + len(rows)) % self._most)
        self._reserve(int(places.max(initial=-1)) + 1)
        for place in places[self.arrival[places]].tolist():
            self._arrived.pop(int(self.row[place]), None)
        self.row[places], self.arrival[places], self.value[places] = rows, predicted is not None, np.nan
        self.answered[places] = np.nan if predicted is None else predicted.answered
        self.weighed[places] = np.nan if predicted is None else predicted.weighed
        for name, each in zip(Inputs._fields, inputs, strict=True):
            getattr(self, name)[places] = each
        if predicted is not None:
            self._arrived.update(zip(rows.tolist(), places.tolist(), strict=True))
        return places

    def inputs(self, places: Rows) -> Inputs:
        """The inputs of some of the examples."""
        return Inputs(*(getattr(self, name)[places] for name in Inputs._fields))

    def forget(self, rows: Rows) -> None:
        """Find examples of nodes that have left no longer; they are still learned from."""
        self.row[np.isin(self.row, rows)] = -1
        for row in rows.tolist():
            self._arrived.pop(row, None)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Arrays for a checkpoint."""
        return {name: getattr(self, name).copy() for name in _ARRAYS} | {"next": np.array(self._next)}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over the :meth:`state` of as many examples at most."""
        for name in _ARRAYS:
            setattr(self, name, state[name].astype(getattr(self, name).dtype))
        self._next = int(state["next"])
        places = np.flatnonzero(self.arrival & (self.row >= 0))
        self._arrived = dict(zip(self.row[places].tolist(), places.tolist(), strict=True))

    def _reserve(self, size: int) -> None:
        held = len(self.row)
        if size > held:
            size = min(self._most, max(size, 2 * held, _FEWEST))
            for name in _ARRAYS:
                setattr(self, name, lengthened(getattr(self, name), size))
            self.row[held:] = -1
