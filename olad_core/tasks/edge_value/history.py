"""What values the ends of edges gave and received, and what a prediction of an edge reads of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.graph.arrays import lengthened
from olad_core.tasks.roles import IN, OUT, in_role
from olad_core.tasks.values.units import Units

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_ENDS = 4
"""Each end in each role."""
LEVELS = 2 * _ENDS + 2
"""Inputs that are values: means, last ones, and those of the pair."""
DISTANCES = 3 * _ENDS
"""Inputs that are differences between values."""
PLAIN = 4 * _ENDS + 4
"""Inputs without a unit."""
WIDTH = LEVELS + DISTANCES + PLAIN
"""All of them, beside the features of an edge."""
SIMPLE = ("received", "given", "ends", "offsets", "pair")
"""Simple predictions from the history: means of the target, of the source, of both, the sum of both ends' differences
from others, and the last value between the ends."""
ENDS = SIMPLE.index("ends")
_PRIOR_WEIGHT = 1.0
"""Usual values that each node is taken to have beside its own."""
_BY_ROLE = ("_count", "_last", "_weight", "_around", "_values", "_sum", "_offset", "_spread", "_latest")


class Inputs(NamedTuple):
    """What predictions of n edges read, as it was when they were asked for.

    Attributes:
        levels: float64 ``[n, LEVELS]``, in the unit of the values.
        distances: float64 ``[n, DISTANCES]``, likewise.
        plain: float32 ``[n, PLAIN]``.
        features: float32 ``[n, F]``, those of the edges, as ``asinh`` has them.
        simple: float64 ``[n, len(SIMPLE)]``: simple predictions, which the answer is weighed with.
    """

    levels: Doubles
    distances: Doubles
    plain: Floats
    features: Floats
    simple: Doubles

    def part(self, places: Rows) -> Inputs:
        """Those of some of the edges."""
        levels, distances, plain, features, simple = self
        return Inputs(levels[places], distances[places], plain[places], features[places], simple[places])

    def flat(self, units: Units) -> Doubles:
        """All inputs of each edge side by side, values in the unit that is learned in."""
        levels, distances = units.short(self.levels), units.short_distance(self.distances)
        return np.concatenate([levels, distances, self.plain, self.features], axis=1)

    def guesses(self, usual: float) -> Doubles:  # noqa: ARG002 (those of edges hold the mean of all values)
        """Simple predictions ``[n, len(SIMPLE)]``."""
        return self.simple


class Asked(NamedTuple):
    """Edges to predict.

    Attributes:
        source, target: rows of the ends ``[n]``, -1 for a node that is not there.
        weight: ``[n]``.
        time: ``[n]``.
        between: float64 ``[n, 2]``: value of the last edge with the same ends, then of that in the other direction; NaN
            where there is none, or it is not known.
    """

    source: Rows
    target: Rows
    weight: Doubles
    time: Doubles
    between: Doubles


class History:
    """Counts of edges and means of values by node and role, over all edges that have arrived.

    They are of arrivals: an edge that leaves is counted on. A node that leaves takes its counts with it.
    """

    def __init__(self) -> None:
        # By node and role: edges, time of the last, sum of log weights, sum of the other ends' means; then of the edges
        # whose value is known: number, sum of values, of their distance from the other end's mean, from the own one,
        # and the last value.
        self._count, self._last, self._weight, self._around = (np.zeros((0, 2)) for _ in range(4))
        self._values, self._sum, self._offset, self._spread, self._latest = (np.zeros((0, 2)) for _ in range(5))
        self.known = 0.0
        """Values."""
        self.total = 0.0
        """Their sum."""

    @property
    def usual(self) -> float:
        """Mean of all values, 0 without one."""
        return self.total / max(1.0, self.known)

    def inputs(self, asked: Asked, features: Floats) -> Inputs:
        """What predictions of these edges read now.

        Args:
            asked: the edges.
            features: of the edges ``[n, F]``, as they were sent.
        """
        levels, distances, plain = [], [], []
        for rows in (asked.source, asked.target):
            for role in (OUT, IN):
                count, values = in_role(self._count, rows, role), in_role(self._values, rows, role)
                since = np.maximum(asked.time - in_role(self._last, rows, role), 0)
                latest = np.where(values > 0, in_role(self._latest, rows, role), self.usual)
                levels += [self._mean(rows, role), latest]
                distances += [in_role(each, rows, role) / (values + 1) for each in (self._offset, self._spread)]
                distances += [in_role(self._around, rows, role) / np.maximum(count, 1)]
                plain += [np.log1p(count), np.where(count > 0, np.log1p(since), -1.0)]
                plain += [in_role(self._weight, rows, role) / np.maximum(count, 1), np.log1p(values)]
        known = np.isfinite(asked.between)
        levels += [*np.where(known, asked.between, self.usual).T]
        # Two nodes that are not there are two nodes.
        loop = (asked.source == asked.target) & (asked.source >= 0)
        plain += [*known.T, loop, np.log(asked.weight)]
        return Inputs(
            np.stack(levels, axis=1),
            np.stack(distances, axis=1),
            np.stack(plain, axis=1).astype(np.float32),
            np.arcsinh(features),
            self._simple(asked),
        )

    def arrive(self, asked: Asked) -> None:
        """Count edges that have arrived, between nodes that are there."""
        self._reserve(int(max(asked.source.max(initial=-1), asked.target.max(initial=-1))) + 1)
        # Of the means before any of these edges, for each end alike.
        around = self._mean(asked.target, IN) - self.usual, self._mean(asked.source, OUT) - self.usual
        for rows, role, other in ((asked.source, OUT, around[0]), (asked.target, IN, around[1])):
            np.add.at(self._count[:, role], rows, 1.0)
            np.add.at(self._weight[:, role], rows, np.log(asked.weight))
            np.maximum.at(self._last[:, role], rows, asked.time)
            np.add.at(self._around[:, role], rows, other)

    def value(self, source: int, target: int, before: float, after: float) -> None:
        """Count the value of an edge, in place of an earlier one; NaN where there was none."""
        ends, roles = np.array([source, target]), np.array([OUT, IN])
        if np.isnan(before):
            means = np.concatenate([self._mean(ends[:1], OUT), self._mean(ends[1:], IN)])
            self._values[ends, roles] += 1
            self._sum[ends, roles] += after
            self._offset[ends, roles] += after - means[::-1]
            self._spread[ends, roles] += np.abs(after - means)
            self.known += 1
            self.total += after
        else:
            self._sum[ends, roles] += after - before
            self._offset[ends, roles] += after - before
            self.total += after - before
        self._latest[ends, roles] = after

    def forget(self, rows: Rows) -> None:
        """Forget nodes that have left."""
        for name in _BY_ROLE:
            array = getattr(self, name)
            array[rows[rows < len(array)]] = 0

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        of_roles = {name[1:]: getattr(self, name).copy() for name in _BY_ROLE}
        return {**of_roles, "all": np.array([self.known, self.total])}

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[np.generic]]) -> History:
        """The history that this was the :meth:`state` of."""
        history = cls()
        for name in _BY_ROLE:
            setattr(history, name, state[name[1:]].astype(np.float64))
        history.known, history.total = state["all"].astype(np.float64).tolist()
        return history

    def _mean(self, rows: Rows, role: int) -> Doubles:
        """Mean of the values of nodes in a role ``[n]``, drawn to the usual one where there are few."""
        values, total = in_role(self._values, rows, role), in_role(self._sum, rows, role)
        mean: Doubles = (total + _PRIOR_WEIGHT * self.usual) / (values + _PRIOR_WEIGHT)
        return mean

    def _simple(self, asked: Asked) -> Doubles:
        """Simple predictions, in the order of ``SIMPLE``."""
        given, received = self._mean(asked.source, OUT), self._mean(asked.target, IN)
        number = np.stack([in_role(self._values, asked.source, OUT), in_role(self._values, asked.target, IN)])
        total = np.stack([in_role(self._sum, asked.source, OUT), in_role(self._sum, asked.target, IN)])
        own = total / np.maximum(number, 1)
        of_ends = (number > 0).sum(axis=0)
        ends = np.where(of_ends > 0, np.where(number > 0, own, 0).sum(axis=0) / np.maximum(of_ends, 1), self.usual)
        offsets = [
            in_role(self._offset, rows, role) / (in_role(self._values, rows, role) + _PRIOR_WEIGHT)
            for rows, role in ((asked.source, OUT), (asked.target, IN))
        ]
        pair = np.where(np.isnan(asked.between[:, 1]), received, asked.between[:, 1])
        pair = np.where(np.isnan(asked.between[:, 0]), pair, asked.between[:, 0])
        return np.stack([received, given, ends, self.usual + offsets[0] + offsets[1], pair], axis=1)

    def _reserve(self, rows: int) -> None:
        if rows <= len(self._count):
            return
        rows = max(rows, 2 * len(self._count), 64)
        for name in _BY_ROLE:
            setattr(self, name, lengthened(getattr(self, name), rows))
