"""When sums that are kept up by differences are computed afresh, so that rounding errors stay bounded."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.graph import DynamicGraph

Rows = npt.NDArray[np.int64]

REFRESH = 1
"""Incoming edges, in turn, whose sum is computed afresh for each arc that changed."""
WORN = 1000, 0.5
"""A sum is computed afresh when it has received this many differences, and so many for each of its edges: every one
leaves a rounding error, and hubs receive most."""
FALLEN = 0.25
"""A sum whose weight has fallen below this share of its greatest since it was computed afresh is computed afresh: what
is left would be mostly rounding error."""


class Wear:
    """Counts the differences that the sums of every row and layer have received, and whose turn it is.

    Args:
        layers: number of layers that have sums.
    """

    def __init__(self, layers: int) -> None:
        self._received = [np.zeros(0, np.int32) for _ in range(layers)]
        self._row, self._saved = 0, 0

    def fit(self, rows: int) -> None:
        """Make room for so many rows."""
        self._received = [np.append(count, np.zeros(rows - len(count), np.int32)) for count in self._received]

    def next_in_turn(self, graph: DynamicGraph, arcs: int) -> Rows:
        """The next living rows, in turn: as many edges as arcs changed, saved up for hubs."""
        begin = 0 if self._row >= graph.capacity else self._row
        rows = np.arange(begin, min(begin + REFRESH * arcs, graph.capacity))
        cost = np.cumsum(graph.in_degree(rows) + 1)
        self._saved += REFRESH * arcs
        rows = rows[: int(np.searchsorted(cost, self._saved, side="right"))]
        self._saved -= int(cost[len(rows) - 1]) if len(rows) else 0
        self._row = begin + len(rows)
        if self._row == graph.capacity:
            self._saved = 0
        living: Rows = rows[graph.alive[rows]]
        return living

    def receive(self, graph: DynamicGraph, layer: int, rows: Rows, times: npt.NDArray[np.int32]) -> Rows:
        """Count so many differences for each of the rows; those that have received too many."""
        received = self._received[layer - 1][rows] + times
        self._received[layer - 1][rows] = received
        number, share = WORN
        many = np.flatnonzero(received > number)
        worn: Rows = rows[many][received[many] > share * graph.in_degree(rows[many])]
        return worn

    def renew(self, layer: int, rows: Rows) -> None:
        """The sums of these rows were computed afresh."""
        self._received[layer - 1][rows] = 0

    def state(self, rows: int | None) -> dict[str, Tensor]:
        """Tensors for a checkpoint, of the first rows: those in use, not copies of them."""
        counts = {f"received/{number}": torch.from_numpy(count[:rows]) for number, count in enumerate(self._received)}
        return {**counts, "turn": torch.tensor([self._row, self._saved])}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over the tensors of :meth:`state`."""
        self._received = [tensors[f"received/{number}"].numpy().copy() for number in range(len(self._received))]
        self._row, self._saved = tensors["turn"].tolist()
