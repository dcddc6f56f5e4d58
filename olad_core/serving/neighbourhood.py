"""What one prediction reads, in arrays of its own: rows in the order of their distance, and the edges into them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from olad_core.graph import DynamicGraph, Neighbours
from olad_core.graph.part import PartTooLarge

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Neighbourhood:
    """The nodes that a prediction reads. A *place* is a number of one of them, 0 that of the predicted node itself.

    Attributes:
        rows: of the graph, by place.
        within: within so many edges, from 0 on, are the first so many places.
        near: in-neighbours of all places but the outermost ones, as places.
    """

    rows: Rows
    within: tuple[int, ...]
    near: Neighbours

    @property
    def hops(self) -> int:
        """How many edges away the prediction reads."""
        return len(self.within) - 1

    @property
    def inner(self) -> int:
        """So many places, the first ones, have their in-neighbours in ``near``."""
        return self.within[-2]

    @property
    def types(self) -> int:
        """Types of edges."""
        return (self.near.groups.size - 1) // max(1, self.inner)

    @cached_property
    def targets(self) -> Rows:
        """The place that each edge of ``near`` leads to."""
        return np.repeat(np.arange(self.inner), np.diff(self.near.indptr))

    @cached_property
    def relations(self) -> Rows:
        """The type of each edge of ``near``."""
        return np.repeat(np.arange(self.near.groups.size - 1) % self.types, np.diff(self.near.groups))

    def receivers(self, owner: Rows, senders: Rows) -> tuple[Rows, Rows]:
        """The inner places with an edge from each sender, and whose they are.

        Args:
            owner: of each sender, any number.
            senders: places ``[n]``.
        """
        order, begins = self._by_source
        counts = begins[senders + 1] - begins[senders]
        at = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.repeat(owner, counts), self.targets[order[np.repeat(begins[senders], counts) + at]]

    @cached_property
    def _by_source(self) -> tuple[Rows, Rows]:
        """The edges in the order of their sources, and where those of each place begin."""
        counts = np.bincount(self.near.index, minlength=self.rows.size)
        return np.argsort(self.near.index, kind="stable"), np.concatenate([[0], np.cumsum(counts)])


def neighbourhood(graph: DynamicGraph, row: int, hops: int, most: int) -> Neighbourhood:
    """What a prediction reads.

    Args:
        graph: the live graph.
        row: of the node.
        hops: how many edges away, 1 at least.
        most: nodes and edges that there may be.

    Raises:
        PartTooLarge: there are more.
    """
    rows, within, edges = np.array([row]), [1], 0
    newest = rows
    for _ in range(hops):
        edges += int(graph.in_degree(newest).sum())
        if rows.size + edges > most:
            raise PartTooLarge(rows.size + edges, most)
        found = graph.distinct(graph.in_neighbours(newest).index)
        newest = found[~np.isin(found, rows)]
        rows = np.concatenate([rows, newest])
        within.append(rows.size)
    near = graph.in_neighbours(rows[: within[-2]])
    order = np.argsort(rows)
    places = order[np.searchsorted(rows[order], near.index)]
    return Neighbourhood(rows, tuple(within), replace(near, index=places))
