"""The edges that arrived last, with what was known and answered when they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.graph.arrays import lengthened
from olad_core.named_state import join_parts, take_part
from olad_core.tasks.edge_ring import EdgeRing
from olad_core.tasks.edge_value.history import DISTANCES, LEVELS, PLAIN, SIMPLE, Inputs
from olad_core.tasks.values.model import ANSWERED, BESIDE_GUESSES

Rows = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

_ARRAYS = ("value", "counted", "answered", "weighed", *Inputs._fields)


class Remembered:
    """A ring of edges with their values.

    Args:
        most: edges that are remembered.
        directed: whether an edge from A to B is another one than from B to A.
        features: of an edge, F.
    """

    def __init__(self, most: int, *, directed: bool, features: int = 0) -> None:
        self.ring = EdgeRing(most, directed=directed)
        self.value = np.empty(0)
        """Of each edge ``[n]``, NaN where it is not known."""
        self.counted = np.empty(0)
        """The value as it is counted in means ``[n]``; NaN likewise."""
        self.answered = np.empty((0, ANSWERED))
        """Low, value and high at arrival ``[n, 3]``; NaN where there was no answer."""
        self.weighed = np.empty((0, len(SIMPLE) + BESIDE_GUESSES))
        """The predictions that the answered value was weighed from ``[n, K]``; NaN likewise."""
        self.levels, self.distances = np.empty((0, LEVELS)), np.empty((0, DISTANCES))
        self.plain, self.features = np.empty((0, PLAIN), np.float32), np.empty((0, features), np.float32)
        self.simple = np.empty((0, len(SIMPLE)))

    def value_between(self, source: int, target: int) -> float:
        """Value of the last edge between these rows; NaN where there is none, or it is not known."""
        place = self.ring.between(source, target)
        return np.nan if place is None else float(self.value[place])

    def add(self, ends: Rows, ids: Sequence[str | None], inputs: Inputs, answered: Doubles, weighed: Doubles) -> Rows:
        """Remember edges in the place of the oldest ones; the places ``[n]``."""
        places = self.ring.add(ends, ids)
        for name in _ARRAYS:
            setattr(self, name, lengthened(getattr(self, name), len(self.ring.held)))
        self.value[places] = self.counted[places] = np.nan
        self.answered[places], self.weighed[places] = answered, weighed
        for name, each in zip(Inputs._fields, inputs, strict=True):
            getattr(self, name)[places] = each
        return places

    def inputs(self, places: Rows) -> Inputs:
        """What predictions of these edges read when they arrived."""
        return Inputs(*(getattr(self, name)[places] for name in Inputs._fields))

    def have_features(self, features: int) -> None:
        """Have so many features of an edge; those that are new are zeros of the edges that are remembered."""
        self.features = np.pad(self.features, ((0, 0), (0, features - self.features.shape[1])))

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Arrays for a checkpoint."""
        return join_parts({"ring": self.ring.state()}) | {name: getattr(self, name).copy() for name in _ARRAYS}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over the :meth:`state` of as many edges at most."""
        self.ring.restore(take_part(state, "ring"))
        for name in _ARRAYS:
            setattr(self, name, state[name].astype(getattr(self, name).dtype))
