"""The edges that arrived last, with what was known and answered when they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.graph.arrays import lengthened
from olad_core.tasks.edge_class.history import BLOCKS, NO_EDGE, PLAIN, UNKNOWN, Inputs
from olad_core.tasks.edge_ring import EdgeRing

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

_ARRAYS = ("label", "plain", "blocks", "answered", "shares", "own")
_OF_CLASSES = ("answered", "shares", "own")


class Answered(NamedTuple):
    """What was answered of n edges, NaN where there was no answer.

    Attributes:
        mixed: probabilities that were given ``[n, C]``.
        shares: of the classes at that time ``[n, C]``.
        own: probabilities of the head ``[n, C]``.
    """

    mixed: Floats
    shares: Floats
    own: Floats

    def part(self, places: Rows) -> Answered:
        """Those of some of the edges."""
        return Answered(self.mixed[places], self.shares[places], self.own[places])


class Remembered:
    """A ring of edges with their classes.

    Args:
        places: for classes, K.
        most: edges that are remembered.
        directed: whether an edge from A to B is another one than from B to A.
        features: of an edge, F.
    """

    def __init__(self, places: int, most: int, *, directed: bool, features: int = 0) -> None:
        self.ring = EdgeRing(most, directed=directed)
        self.label = np.empty(0, np.int32)
        """Classes ``[n]``, ``UNKNOWN`` without a label."""
        self.plain = np.empty((0, PLAIN), np.float32)
        self.blocks = np.empty((0, BLOCKS, places), np.float32)
        self.features = np.empty((0, features), np.float32)
        self.answered = np.empty((0, places), np.float32)
        """Probabilities at arrival ``[n, K]``; NaN where there was no answer."""
        self.shares = np.empty((0, places), np.float32)
        """Shares of the classes then, likewise."""
        self.own = np.empty((0, places), np.float32)
        """What the head gave then, likewise."""

    def label_between(self, source: int, target: int) -> int:
        """Class of the last edge between these rows, ``UNKNOWN`` without a label, ``NO_EDGE`` without an edge."""
        place = self.ring.between(source, target)
        return NO_EDGE if place is None else int(self.label[place])

    def add(self, ends: Rows, ids: Sequence[str | None], inputs: Inputs, answered: Answered) -> Rows:
        """Remember edges in the place of the oldest ones; the places ``[n]``."""
        places = self.ring.add(ends, ids)
        for name in (*_ARRAYS, "features"):
            setattr(self, name, lengthened(getattr(self, name), len(self.ring.held)))
        self.label[places] = UNKNOWN
        self.plain[places], self.blocks[places], self.features[places] = inputs
        # Without an answer there is none for classes that are found later either.
        classes = answered.mixed.shape[1]
        has_answer = np.isfinite(answered.mixed).all(axis=1) & (classes > 0)
        for array, given in zip((self.answered, self.shares, self.own), answered, strict=True):
            array[places] = np.where(has_answer, 0, np.nan)[:, None]
            array[places, :classes] = given
        return places

    def inputs(self, places: Rows) -> Inputs:
        """What predictions of these edges read when they arrived."""
        return Inputs(self.plain[places], self.blocks[places], self.features[places])

    def labelled_at(self, rows: Rows, most: int) -> Rows:
        """Places of the last edges with a label and one of these ends, the newest first; ``most`` of them at most."""
        found = np.flatnonzero(self.ring.held & (self.label >= 0) & np.isin(self.ring.ends, rows).any(axis=1))
        return self.ring.newest_first(found)[:most]

    def widen(self, places: int) -> None:
        """Have places for so many classes."""
        more = places - self.answered.shape[1]
        self.blocks = np.pad(self.blocks, ((0, 0), (0, 0), (0, more)))
        for name in _OF_CLASSES:
            setattr(self, name, np.pad(getattr(self, name), ((0, 0), (0, more))))

    def have_features(self, features: int) -> None:
        """Have so many features of an edge; those that are new are zeros of the edges that are remembered."""
        self.features = np.pad(self.features, ((0, 0), (0, features - self.features.shape[1])))

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Arrays for a checkpoint."""
        arrays = self.ring.state() | {name: getattr(self, name).copy() for name in _ARRAYS}
        return arrays | ({"features": self.features.copy()} if self.features.shape[1] else {})

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over the :meth:`state` of a ring of the same size."""
        self.ring.restore(state)
        # An earlier state has not what the guard compares: there is nothing to score of these edges.
        unscored = np.full(state["answered"].shape, np.nan, np.float32)
        for name in _ARRAYS:
            setattr(self, name, state.get(name, unscored).astype(getattr(self, name).dtype))
        # Inputs that an earlier state has not were of nothing that was known.
        self.blocks = np.pad(self.blocks, ((0, 0), (0, BLOCKS - self.blocks.shape[1]), (0, 0)))
        self.features = state.get("features", np.empty((len(self.label), 0))).astype(np.float32)
