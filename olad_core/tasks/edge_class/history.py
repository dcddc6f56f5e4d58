"""What has happened to nodes as ends of edges, and what a prediction of an edge reads of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.graph.arrays import lengthened
from olad_core.named_state import join_parts, take_part
from olad_core.tasks.edge_class.links import Links, taken_rows
from olad_core.tasks.roles import IN, OUT, in_role

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

OF_ROLE = 3
"""Plain inputs of each end in each role: count, time since the last, mean weight."""
BLOCKS_OF_ROLE = 3
"""Blocks of each end in each role: labels, their shares, shares around."""
OF_PAIR = 4
"""Plain inputs of both ends together, after those of each: an edge, one in the other direction, a loop, the weight."""
BLOCKS_OF_PAIR = 2
"""Blocks of both ends together, after those of each: classes of these two edges."""
BLOCKS_OF_LINKS = 2
"""Blocks of each end, the last ones: labels where edges of other types lead, and their shares."""
PLAIN = 4 * OF_ROLE + OF_PAIR
"""Inputs that are one number an edge."""
BLOCKS = 4 * BLOCKS_OF_ROLE + BLOCKS_OF_PAIR + 2 * BLOCKS_OF_LINKS
"""Inputs that are one number an edge and class."""
_PRIOR_WEIGHT = 1.0
"""Edges of the usual mix of classes that each node is taken to have beside its own."""
UNKNOWN = -1
"""In place of a class: no label has come."""
NO_EDGE = -2
"""In place of a class: no such edge is remembered."""


class Inputs(NamedTuple):
    """What predictions of n edges read, as it was when they were asked for.

    Attributes:
        plain: float32 ``[n, PLAIN]``.
        blocks: float32 ``[n, BLOCKS, K]``, K places for classes.
        features: float32 ``[n, F]``, those of the edges, as ``asinh`` has them.
    """

    plain: Floats
    blocks: Floats
    features: Floats

    def part(self, places: npt.NDArray[np.int64]) -> Inputs:
        """Those of some of the edges."""
        return Inputs(self.plain[places], self.blocks[places], self.features[places])


class Asked(NamedTuple):
    """Edges to predict.

    Attributes:
        source, target: rows of the ends ``[n]``, -1 for a node that is not there.
        weight: ``[n]``.
        time: ``[n]``.
        same: class of the last edge with the same ends ``[n]``, ``UNKNOWN`` without a label, ``NO_EDGE`` without an
            edge.
        turned: the same of the last edge in the other direction.
        also: rows that source and target of each edge are joined to by edges of other types that arrive with it.
    """

    source: Rows
    target: Rows
    weight: Doubles
    time: Doubles
    same: Rows
    turned: Rows
    also: tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]] | None = None


class History:
    """Counts of edges and of labels by node and role, over all edges that have arrived.

    They are of arrivals: an edge that leaves is counted on. A node that leaves takes its counts with it.

    Args:
        places: for classes, K.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self._count = np.zeros((0, 2))
        self._last = np.zeros((0, 2))
        self._weight = np.zeros((0, 2))
        self._labels = np.zeros((0, 2, places))
        self._around = np.zeros((0, 2, places))
        self.links = Links(places)
        """What edges of other types join the nodes to."""
        self.total = np.zeros(places)
        """Labels of each class."""

    def inputs(self, asked: Asked, features: Floats) -> Inputs:
        """What predictions of these edges read now.

        Args:
            asked: the edges.
            features: of the edges ``[n, F]``, as they were sent.
        """
        plain, blocks = [], []
        usual = self._usual()
        for rows in (asked.source, asked.target):
            for role in (OUT, IN):
                count, labels = in_role(self._count, rows, role), in_role(self._labels, rows, role)
                since = np.maximum(asked.time - in_role(self._last, rows, role), 0)
                mean_weight = in_role(self._weight, rows, role) / np.maximum(count, 1)
                plain += [np.log1p(count), np.where(count > 0, np.log1p(since), -1.0), mean_weight]
                around = in_role(self._around, rows, role) / np.maximum(count, 1)[:, None]
                blocks += [np.log1p(labels), self._shares(labels) - usual, around]
        # Two nodes that are not there are two nodes.
        loop = (asked.source == asked.target) & (asked.source >= 0)
        pair = [asked.same > NO_EDGE, asked.turned > NO_EDGE, loop, np.log(asked.weight)]
        blocks += [_one_hot(asked.same, self.places), _one_hot(asked.turned, self.places)]
        for rows, also in zip((asked.source, asked.target), asked.also or (None, None), strict=True):
            linked = self.links.counts(rows, also)
            blocks += [np.log1p(linked), self._shares(linked) - usual]
        return Inputs(
            np.stack([*plain, *pair], axis=1).astype(np.float32),
            np.stack(blocks, axis=1).astype(np.float32),
            np.arcsinh(features),
        )

    def arrive(self, asked: Asked) -> None:
        """Count edges that have arrived; ends of -1 are passed over."""
        self._reserve(int(max(asked.source.max(initial=-1), asked.target.max(initial=-1))) + 1)
        usual = self._usual()
        # Of the counts before any of these edges, for each end alike.
        around = [
            self._shares(in_role(self._labels, rows, role)) - usual
            for rows, role in ((asked.target, IN), (asked.source, OUT))
        ]
        for rows, role, other in ((asked.source, OUT, around[0]), (asked.target, IN, around[1])):
            there = np.flatnonzero(rows >= 0)
            own = rows[there]
            np.add.at(self._count[:, role], own, 1.0)
            np.add.at(self._weight[:, role], own, np.log(asked.weight[there]))
            np.maximum.at(self._last[:, role], own, asked.time[there])
            np.add.at(self._around[:, role], own, other[there])

    def label(self, source: int, target: int, before: int, after: int) -> None:
        """Count the label of an edge, in place of an earlier one where that was known."""
        for number, by in ((before, -1.0), (after, 1.0)):
            if number >= 0:
                self._labels[source, OUT, number] += by
                self._labels[target, IN, number] += by
                self.links.label((source, target), number, by)
                self.total[number] += by

    def forget(self, rows: Rows) -> None:
        """Forget nodes that have left."""
        for array in self._arrays():
            array[rows[rows < len(array)]] = 0
        self.links.forget(rows)

    def part(self, rows: Rows) -> History:
        """That of some nodes alone, with a copy of what is held of them: row ``rows[n]`` becomes row n.

        Args:
            rows: ``[n]``, distinct and not negative, one at least.
        """
        part = History(self.places)
        part._count, part._last, part._weight, part._labels, part._around = (
            taken_rows(array, rows) for array in self._arrays()
        )
        part.links, part.total = self.links.part(rows), self.total.copy()
        return part

    def widen(self, places: int) -> None:
        """Have places for so many classes."""
        self.places, more = places, places - self.places
        self._labels = np.pad(self._labels, ((0, 0), (0, 0), (0, more)))
        self._around = np.pad(self._around, ((0, 0), (0, 0), (0, more)))
        self.total = np.pad(self.total, (0, more))
        self.links.widen(places)

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        return {
            "count": self._count.copy(),
            "last": self._last.copy(),
            "weight": self._weight.copy(),
            "labels": self._labels.copy(),
            "around": self._around.copy(),
            "total": self.total.copy(),
            **join_parts({"links": self.links.state()}),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[np.generic]]) -> History:
        """The history that this was the :meth:`state` of."""
        history = cls(state["total"].size)
        history._count, history._last, history._weight, history._labels, history._around, history.total = (
            state[name].astype(np.float64) for name in ("count", "last", "weight", "labels", "around", "total")
        )
        history.links.restore(take_part(state, "links"))
        return history

    def _usual(self) -> Doubles:
        """Share of each class among all labels ``[K]``."""
        usual: Doubles = self.total / max(1.0, self.total.sum())
        return usual

    def _shares(self, labels: Doubles) -> Doubles:
        """Shares of classes by counts ``[n, K]``, drawn to the usual ones where there are few."""
        shares: Doubles = (labels + _PRIOR_WEIGHT * self._usual()) / (labels.sum(axis=1) + _PRIOR_WEIGHT)[:, None]
        return shares

    def _arrays(self) -> tuple[Doubles, ...]:
        return self._count, self._last, self._weight, self._labels, self._around

    def _reserve(self, rows: int) -> None:
        if rows <= len(self._count):
            return
        rows = max(rows, 2 * len(self._count), 64)
        self._count, self._last, self._weight, self._labels, self._around = (
            lengthened(array, rows) for array in self._arrays()
        )


def _one_hot(classes: Rows, places: int) -> Floats:
    shown = np.zeros((classes.size, places), np.float32)
    known = np.flatnonzero(classes >= 0)
    shown[known, classes[known]] = 1
    return shown
