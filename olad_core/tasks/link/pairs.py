"""Which pairs of nodes had an edge of a type lately: how many, and when last."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.graph.arrays import lengthened

Numbers = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

_WIDTH = 32
"""Bits of the number of a node in the key of a pair."""


class Pairs:
    """Counts and times of the pairs whose first edge arrived last; those of others are forgotten.

    >>> pairs = Pairs(most=2)
    >>> for time in (1.0, 2.0):
    ...     pairs.add(np.array([3]), np.array([4]), np.array([time]))
    >>> pairs.add(np.array([4, 5]), np.array([3, 6]), np.array([3.0, 4.0]))
    >>> pairs.find(np.array([3, 4, 5]), np.array([4, 3, -1]))
    (array([0., 1., 0.]), array([0., 3., 0.]))

    Args:
        most: pairs that are remembered.
    """

    def __init__(self, most: int) -> None:
        self._most, self._next = most, 0
        self._places: dict[int, int] = {}
        self._key: Numbers = np.empty(0, np.int64)
        self._count: Doubles = np.empty(0)
        self._last: Doubles = np.empty(0)

    def find(self, source: Numbers, target: Numbers) -> tuple[Doubles, Doubles]:
        """How many edges led from one to the other, and when the last did; both 0 without any.

        Args:
            source: numbers of nodes of any shape, negative where a node is not known.
            target: likewise.
        """
        count, last = np.zeros(source.shape), np.zeros(source.shape)
        known = (source >= 0) & (target >= 0)
        keys = _keys(source[known], target[known])
        places = np.fromiter(map(self._places.get, keys, repeat(-1)), np.int64, len(keys))
        there = np.flatnonzero(known.ravel())[places >= 0]
        count.flat[there], last.flat[there] = self._count[places[places >= 0]], self._last[places[places >= 0]]
        return count, last

    def add(self, source: Numbers, target: Numbers, time: Doubles) -> None:
        """Remember edges, in order; those whose pair is new take the places of the oldest pairs."""
        for key, at in zip(_keys(source, target), time.tolist(), strict=True):
            place = self._places.get(key)
            if place is None:
                place = self._places[key] = self._free()
                self._key[place], self._count[place], self._last[place] = key, 0.0, at
            self._count[place] += 1
            self._last[place] = max(at, self._last[place])

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Arrays for a checkpoint."""
        held = slice(len(self._places))
        arrays = {"key": self._key, "count": self._count, "last": self._last}
        return {name: array[held].copy() for name, array in arrays.items()} | {"next": np.array(self._next)}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over the :meth:`state` of as many pairs at most."""
        self._key, self._next = state["key"].astype(np.int64), int(state["next"])
        self._count, self._last = state["count"].astype(np.float64), state["last"].astype(np.float64)
        self._places = {key: place for place, key in enumerate(self._key.tolist())}

    def _free(self) -> int:
        """The next place of the ring, which grows up to ``most``; what stood there is forgotten."""
        place, self._next = self._next, (self._next + 1) % self._most
        if place >= len(self._key):
            more = min(self._most, max(256, 2 * len(self._key)))
            self._key, self._count = lengthened(self._key, more), lengthened(self._count, more)
            self._last = lengthened(self._last, more)
        elif len(self._places) >= self._most:
            del self._places[int(self._key[place])]
        return place


def _keys(source: Numbers, target: Numbers) -> list[int]:
    keys: list[int] = ((source << _WIDTH) | target).tolist()
    return keys
