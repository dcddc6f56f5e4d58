"""A pass that computes the layers of new weights for all nodes, in slices, while the graph changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from olad_core.partition.exchange import Superstep, to_all
from olad_core.partition.layers import PartitionLayers
from olad_core.partition.store import PartitionStore


@dataclass
class Filling:
    """Where a rank is in the pass: layer by layer, its owned rows in their order.

    All ranks begin a layer at the same time: it reads the whole layer below. What changes meanwhile is followed in the
    layers at once, so that a row behind :attr:`row` stays exact.

    Attributes:
        members: layers of each student, of one depth.
        layer: that is under way; above the last one the pass has ended.
        row: from which on rows of it are left.
    """

    members: tuple[PartitionLayers, ...]
    layer: int = 0
    row: int = 0

    @property
    def done(self) -> bool:
        """Whether the pass has ended, at all ranks."""
        return self.layer > self.members[0].depth

    def advance(self, store: PartitionStore, rows: int) -> Superstep[None]:
        """Compute the next rows of this rank; every rank calls it until all are done.

        Args:
            store: this rank's part.
            rows: how many at most; one at least.
        """
        left = self.row + np.flatnonzero(store.owned[self.row :])
        due, more = left[:rows], left.size > rows
        for layers in self.members:
            yield from layers.fill(self.layer, due)
        self.row = int(due[-1]) + 1 if due.size else self.row
        received = yield to_all("whether rows are left", np.array([more]), store.rank, store.ranks)
        if not (more or any(each.any() for each in received)):
            self.layer, self.row = self.layer + 1, 0

    def finish(self, store: PartitionStore, rows: int) -> Superstep[None]:
        """Compute all that is left, in slices of so many rows."""
        while not self.done:
            yield from self.advance(store, rows)
