"""What has happened to nodes as ends of the edges of one type: counts, times, and vectors of their partners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.graph.arrays import lengthened
from olad_core.graph.compiled import compiled
from olad_core.tasks.roles import IN, OUT

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

NOBODY = -1
DIMENSIONS = 32
"""Of the vectors of partners."""
_KEPT = 0.9
"""What of a vector stays when its node has one more edge: it is of the last ten partners or so."""
_ARRAYS = ("count", "last", "number", "partners", "around", "place")


class Ends:
    """Counts and times of nodes by role, over all edges that have arrived, those that have left since included.

    Every node has a random vector of signs. The vector ``partners`` of a source is a fading sum of those of its
    targets. The vector ``around`` of a target is a fading sum of the directions of ``partners`` of its sources. Two
    vectors of random signs are nearly orthogonal, so the cosine of ``partners`` of A and ``around`` of B is high where
    those who link to B link to the same nodes as A: three edges lie between A and B. Random projections of walks are
    from Lu et al., "Improving Temporal Link Prediction via Temporal Walk Matrix Projection", NeurIPS 2024.

    Args:
        directed: whether the roles differ; each end has both where they do not.
    """

    def __init__(self, *, directed: bool) -> None:
        self.directed = directed
        self.count: Doubles = np.zeros((0, 2))
        """Edges by role ``[R, 2]``."""
        self.last: Doubles = np.zeros((0, 2))
        """Time of the last one ``[R, 2]``."""
        self.number: Rows = np.empty(0, np.int64)
        """Number of each node ``[R]``, which no other one ever has; ``NOBODY`` where none is known."""
        self.partners: Floats = np.zeros((0, DIMENSIONS), np.float32)
        self.around: Floats = np.zeros((0, DIMENSIONS), np.float32)
        self.place: Rows = np.empty(0, np.int64)
        """Place of each node among the targets ``[R]``; ``NOBODY`` for others."""
        self._targets: Rows = np.empty(0, np.int64)
        self._held = 0
        self._numbers = 0

    @property
    def targets(self) -> Rows:
        """Rows of the nodes that edges have led to, of undirected edges both ends."""
        return self._targets[: self._held]

    def is_target(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """Which nodes edges have led to; rows of ``NOBODY`` are none."""
        is_target: npt.NDArray[np.bool_] = self.at(self.place, rows, NOBODY) >= 0
        return is_target

    def numbers_of(self, rows: Rows) -> Rows:
        """Numbers of nodes of any shape, ``NOBODY`` where none is known."""
        return self.at(self.number, rows, NOBODY)

    def at(self, held: npt.NDArray[Any], rows: Rows, otherwise: float = 0.0) -> npt.NDArray[Any]:
        """What is held of rows of any shape; something else for ``NOBODY`` and rows that are not held."""
        known = (rows >= 0) & (rows < len(held))
        found = np.full((*rows.shape, *held.shape[1:]), otherwise, held.dtype)
        found[known] = held[rows[known]]
        return found

    def likeness(self, sources: Rows, candidates: Rows) -> Floats:
        """Cosine of ``partners`` of n sources and ``around`` of the candidates of each, ``[n, S]``; 0 where unknown."""
        own = _unit(self.at(self.partners, sources))
        likeness: Floats = np.einsum("nd,nsd->ns", own, _unit(self.at(self.around, candidates)))
        return likeness

    def likeness_to_all(self, source: int) -> Floats:
        """The same of one source and all rows ``[R]``."""
        [own] = _unit(self.at(self.partners, np.array([source])))
        lengths = np.sqrt(np.einsum("rd,rd->r", self.around, self.around))
        likeness: Floats = self.around @ own / np.maximum(lengths, 1e-12)
        return likeness

    def arrive(self, source: Rows, target: Rows, time: Doubles) -> None:
        """Count edges that have arrived, in order.

        Args:
            source: rows ``[n]``.
            target: rows ``[n]``.
            time: ``[n]``.
        """
        self._reserve(int(max(source.max(initial=-1), target.max(initial=-1))) + 1)
        self._number(np.stack([source, target], axis=1).ravel())
        ways = [(source, target)] if self.directed else [(source, target), (target, source)]
        for ends in ways:
            for rows, role in zip(ends, (OUT, IN), strict=True):
                np.add.at(self.count[:, role], rows, 1.0)
                np.maximum.at(self.last[:, role], rows, time)
            _follow(*ends, self.number, self.partners, self.around)
            self._add_targets(ends[1])

    def forget(self, rows: Rows) -> None:
        """Forget nodes that have left."""
        for row in rows[rows < len(self.number)].tolist():
            self.count[row] = self.last[row] = self.partners[row] = self.around[row] = 0
            self.number[row] = NOBODY
            place = int(self.place[row])
            if place >= 0:
                self._held -= 1
                moved = self._targets[self._held]
                self._targets[place], self.place[moved] = moved, place
                self.place[row] = NOBODY

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Arrays for a checkpoint."""
        arrays = {name: getattr(self, name).copy() for name in _ARRAYS}
        return arrays | {"targets": self.targets.copy(), "numbers": np.array(self._numbers)}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over the :meth:`state`."""
        for name in _ARRAYS:
            setattr(self, name, state[name].astype(getattr(self, name).dtype))
        self._targets = state["targets"].astype(np.int64)
        self._held, self._numbers = len(self._targets), int(state["numbers"])

    def _reserve(self, rows: int) -> None:
        if rows <= len(self.number):
            return
        rows = max(rows, 64, len(self.number) * 3 // 2)
        self.count, self.last = lengthened(self.count, rows), lengthened(self.last, rows)
        self.number, self.place = lengthened(self.number, rows, NOBODY), lengthened(self.place, rows, NOBODY)
        self.partners, self.around = lengthened(self.partners, rows), lengthened(self.around, rows)

    def _number(self, rows: Rows) -> None:
        """Give numbers to nodes that have none, in their order."""
        for row in dict.fromkeys(rows[self.number[rows] == NOBODY].tolist()):
            self.number[row] = self._numbers
            self._numbers += 1

    def _add_targets(self, rows: Rows) -> None:
        new = [*dict.fromkeys(rows[self.place[rows] == NOBODY].tolist())]
        after = self._held + len(new)
        if after > len(self._targets):
            self._targets = lengthened(self._targets, max(after, 64, len(self._targets) * 3 // 2))
        self._targets[self._held : after] = new
        self.place[new] = np.arange(self._held, after)
        self._held = after


def _unit(vectors: Floats) -> Floats:
    lengths = np.sqrt(np.einsum("...d,...d->...", vectors, vectors))[..., None]
    unit: Floats = vectors / np.maximum(lengths, 1e-12)
    return unit


@compiled
def _follow(source: Rows, target: Rows, number: Rows, partners: Floats, around: Floats) -> None:
    """Add a target's signs to the partners of a source, and the direction of these from before to what is around it."""
    for at in range(source.size):
        one, other = source[at], target[at]
        length = 0.0
        for k in range(partners.shape[1]):
            length += partners[one, k] ** 2
        if length > 0:
            length = length**-0.5
        # Bits of a hash of the number (the finaliser of SplitMix64).
        bits = (np.uint64(number[other]) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        bits = bits ^ (bits >> np.uint64(31))
        for k in range(partners.shape[1]):
            around[other, k] = np.float32(_KEPT) * around[other, k] + partners[one, k] * np.float32(length)
        for k in range(partners.shape[1]):
            sign = np.float32(1) if (bits >> np.uint64(k)) & np.uint64(1) else np.float32(-1)
            partners[one, k] = np.float32(_KEPT) * partners[one, k] + sign
