"""The edges that arrived last, with what was known and answered when they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.graph.text import pack, unpack
from olad_core.tasks.edge_class.history import BLOCKS, PLAIN, UNKNOWN, Inputs

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

NO_EDGE = -2
"""In place of a class: no such edge is remembered."""
_ARRAYS = ("ends", "held", "label", "plain", "blocks", "answered", "shares", "own")
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
    """A ring of edges. Each is found by both ends, or by its id where it has one.

    Args:
        places: for classes, K.
        most: edges that are remembered.
        directed: whether an edge from A to B is another one than from B to A.
        features: of an edge, F.
    """

    def __init__(self, places: int, most: int, *, directed: bool, features: int = 0) -> None:
        self._most, self._directed = most, directed
        self._next = 0
        self._by_ends: dict[tuple[int, int], int] = {}
        self._by_id: dict[str, int] = {}
        self._ids: list[str] = []
        self.ends = np.empty((0, 2), np.int64)
        """Rows of source and target ``[n, 2]``."""
        self.held = np.empty(0, np.bool_)
        """Whether the edge can be found ``[n]``."""
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

    def find(self, source: int, target: int, edge: str | None) -> int | None:
        """Place of an edge; None where it is not remembered.

        Args:
            source: row of the end; of no meaning with an id.
            target: likewise.
            edge: its id, where it has one.
        """
        return self._by_ends.get(self._key(source, target)) if edge is None else self._by_id.get(edge)

    @property
    def next_place(self) -> int:
        """Where the next edge is remembered: in a full ring the place of the oldest one."""
        return self._next

    def id_of(self, place: int) -> str | None:
        """The id of the edge at a place; None where it has none."""
        return self._ids[place] or None

    def label_between(self, source: int, target: int) -> int:
        """Class of the last edge between these rows, ``UNKNOWN`` without a label, ``NO_EDGE`` without an edge."""
        place = self._by_ends.get(self._key(source, target))
        return NO_EDGE if place is None else int(self.label[place])

    def add(self, ends: Rows, ids: Sequence[str | None], inputs: Inputs, answered: Answered) -> Rows:
        """Remember edges in the place of the oldest ones; the places ``[n]``."""
        places = np.empty(len(ends), np.int64)
        for number, (source, target) in enumerate(ends.tolist()):
            place = places[number] = self._free()
            name = ids[number]
            if name is None and (earlier := self._by_ends.get(self._key(source, target))) is not None:
                self._release(earlier)
            if name is not None and (earlier := self._by_id.get(name)) is not None:
                self._release(earlier)
            self._ids[place] = name or ""
            self.ends[place] = source, target
            self.held[place], self.label[place] = True, UNKNOWN
            self.plain[place], self.blocks[place] = inputs.plain[number], inputs.blocks[number]
            self.features[place] = inputs.features[number]
            # Without an answer there is none for classes that are found later either.
            classes = answered.mixed.shape[1]
            has_answer = classes > 0 and np.isfinite(answered.mixed[number]).all()
            for array, given in zip((self.answered, self.shares, self.own), answered, strict=True):
                array[place] = 0 if has_answer else np.nan
                array[place, :classes] = given[number]
            self._by_ends[self._key(source, target)] = place
            if name is not None:
                self._by_id[name] = place
        return places

    def inputs(self, places: Rows) -> Inputs:
        """What predictions of these edges read when they arrived."""
        return Inputs(self.plain[places], self.blocks[places], self.features[places])

    def forget_ends(self, rows: Rows) -> None:
        """Find the edges of these nodes no longer; what was learned from them stays."""
        for place in np.flatnonzero(self.held & np.isin(self.ends, rows).any(axis=1)).tolist():
            self._release(place)

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
        text, offsets = pack(self._ids)
        arrays = {name: getattr(self, name).copy() for name in _ARRAYS}
        if self.features.shape[1]:
            arrays["features"] = self.features.copy()
        last = np.zeros(len(self.held), np.bool_)
        last[list(self._by_ends.values())] = True
        return arrays | {"ids": text, "ids_at": offsets, "last": last, "next": np.array(self._next)}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over the :meth:`state` of a ring of the same size."""
        # An earlier state has not what the guard compares: there is nothing to score of these edges.
        unscored = np.full(state["answered"].shape, np.nan, np.float32)
        for name in _ARRAYS:
            setattr(self, name, state.get(name, unscored).astype(getattr(self, name).dtype))
        # Inputs that an earlier state has not were of nothing that was known.
        self.blocks = np.pad(self.blocks, ((0, 0), (0, BLOCKS - self.blocks.shape[1]), (0, 0)))
        self.features = state.get("features", np.empty((len(self.held), 0))).astype(np.float32)
        self._ids, self._next = unpack(state["ids"], state["ids_at"]), int(state["next"])
        last = np.flatnonzero(state["last"]).tolist()
        self._by_ends = {self._key(*self.ends[place].tolist()): place for place in last}
        self._by_id = {self._ids[place]: place for place in np.flatnonzero(self.held).tolist() if self._ids[place]}

    def _key(self, source: int, target: int) -> tuple[int, int]:
        return (source, target) if self._directed or source <= target else (target, source)

    def _release(self, place: int) -> None:
        self.held[place] = False
        key = self._key(*self.ends[place].tolist())
        if self._by_ends.get(key) == place:
            del self._by_ends[key]
        if self._ids[place]:
            del self._by_id[self._ids[place]]

    def _free(self) -> int:
        """The next place of the ring, which grows up to ``most``."""
        place, self._next = self._next, (self._next + 1) % self._most
        if place >= len(self.held):
            more = min(self._most, max(256, 2 * len(self.held))) - len(self.held)
            for name in (*_ARRAYS, "features"):
                array = getattr(self, name)
                setattr(self, name, np.pad(array, ((0, more), *[(0, 0)] * (array.ndim - 1))))
            self._ids += [""] * more
        elif self.held[place]:
            self._release(place)
        return place
