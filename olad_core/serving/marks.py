"""Which rows of an embedding's layers hold what was true at an earlier position.

A row of layer 1 or above is *marked* from the moment at which anything beneath it changes until it is computed again.
Where a row is marked, the row itself and all its out-neighbours are marked in the layer above: marking can stop at
rows that are marked already. See ``docs/decisions/0025-marked-rows.md``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.graph.compiled import compiled

Rows = npt.NDArray[np.int64]
UInt8s = npt.NDArray[np.uint8]


class Marks:
    """The marks of layers 1 to L; every row is marked at first.

    >>> marks = Marks(layers=1)
    >>> marks.fit(4)
    >>> marks.take(1, np.array([2, 0, 2])), marks.add(1, np.array([0, 3, 0]))
    (array([2, 0]), array([0]))
    >>> marks.marked(1)
    array([1, 1, 0, 1], dtype=uint8)

    Args:
        layers: L.
    """

    def __init__(self, layers: int) -> None:
        self.layers = layers
        self._marked = [np.zeros(0, np.uint8) for _ in range(layers)]

    def marked(self, layer: int) -> UInt8s:
        """uint8 ``[capacity]``, 1 where a row of the layer is marked; rows without a node mean nothing."""
        return self._marked[layer - 1]

    def fit(self, rows: int) -> None:
        """Lengthen to so many rows; new ones have never been computed, so they are marked."""
        if self._marked and rows > len(self._marked[0]):
            self._marked = [np.append(held, np.ones(rows - len(held), np.uint8)) for held in self._marked]

    def add(self, layer: int, rows: Rows) -> Rows:
        """Mark rows of a layer; those that were not marked before, each once."""
        found = np.empty(len(rows), np.int64)
        return found[: _mark(self._marked[layer - 1], rows, found)]

    def take(self, layer: int, rows: Rows) -> Rows:
        """Those of the rows that are marked, each once; they are not any more."""
        found = np.empty(len(rows), np.int64)
        return found[: _unmark(self._marked[layer - 1], rows, found)]

    def state(self, rows: int | None) -> dict[str, Tensor]:
        """Tensors for a checkpoint, of the first rows: those in use, not copies of them."""
        return {f"marked/{number}": torch.from_numpy(held[:rows]) for number, held in enumerate(self._marked, start=1)}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over the tensors of :meth:`state`."""
        names = [f"marked/{number}" for number in range(1, len(self._marked) + 1)]
        self._marked = [tensors[name].numpy().copy() for name in names]


@compiled
def _mark(marked: UInt8s, rows: Rows, found: Rows) -> int:
    count = 0
    for at in range(rows.size):
        row = rows[at]
        if marked[row] == 0:
            marked[row] = 1
            found[count] = row
            count += 1
    return count


@compiled
def _unmark(marked: UInt8s, rows: Rows, found: Rows) -> int:
    count = 0
    for at in range(rows.size):
        row = rows[at]
        if marked[row] != 0:
            marked[row] = 0
            found[count] = row
            count += 1
    return count
