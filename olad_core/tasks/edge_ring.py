"""Places of the edges that arrived last, found by both ends or by id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.graph.arrays import lengthened
from olad_core.graph.text import pack, unpack

Rows = npt.NDArray[np.int64]


class EdgeRing:
    """A ring of places, in which a new edge takes that of the oldest one.

    Args:
        most: places.
        directed: whether an edge from A to B is another one than from B to A.
    """

    def __init__(self, most: int, *, directed: bool) -> None:
        self._most, self._directed = most, directed
        self._next = 0
        self._by_ends: dict[tuple[int, int], int] = {}
        self._by_id: dict[str, int] = {}
        self._ids: list[str] = []
        self.ends = np.empty((0, 2), np.int64)
        """Rows of source and target ``[n, 2]``, n the places that there are so far."""
        self.held = np.empty(0, np.bool_)
        """Whether the edge can be found ``[n]``."""

    @property
    def next_place(self) -> int:
        """Where the next edge is remembered: in a full ring the place of the oldest one."""
        return self._next

    def newest_first(self, places: Rows) -> Rows:
        """Places of edges in the order of their arrival, the last one first."""
        age = (self._next - 1 - places) % self._most
        ordered: Rows = places[np.argsort(age, kind="stable")]
        return ordered

    def id_of(self, place: int) -> str | None:
        """The id of the edge at a place; None where it has none."""
        return self._ids[place] or None

    def find(self, source: int, target: int, edge: str | None) -> int | None:
        """Place of an edge; None where it is not there.

        Args:
            source: row of the end; of no meaning with an id.
            target: likewise.
            edge: its id, where it has one.
        """
        return self.between(source, target) if edge is None else self._by_id.get(edge)

    def between(self, source: int, target: int) -> int | None:
        """Place of the last edge with these ends; None without one."""
        return self._by_ends.get(self._key(source, target))

    def add(self, ends: Rows, ids: Sequence[str | None]) -> Rows:
        """Give places to edges, those of the oldest ones where all are taken; the places ``[n]``."""
        places = np.empty(len(ends), np.int64)
        for number, (source, target) in enumerate(ends.tolist()):
            place = places[number] = self._free()
            name = ids[number]
            earlier = self._by_ends.get(self._key(source, target)) if name is None else self._by_id.get(name)
            if earlier is not None:
                self._release(earlier)
            self._ids[place] = name or ""
            self.ends[place], self.held[place] = (source, target), True
            self._by_ends[self._key(source, target)] = place
            if name is not None:
                self._by_id[name] = place
        return places

    def forget_ends(self, rows: Rows) -> None:
        """Find the edges of these nodes no longer."""
        for place in np.flatnonzero(self.held & np.isin(self.ends, rows).any(axis=1)).tolist():
            self._release(place)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Arrays for a checkpoint."""
        text, offsets = pack(self._ids)
        last = np.zeros(len(self.held), np.bool_)
        last[list(self._by_ends.values())] = True
        return {
            "ends": self.ends.copy(),
            "held": self.held.copy(),
            "ids": text,
            "ids_at": offsets,
            "last": last,
            "next": np.array(self._next),
        }

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over the :meth:`state` of a ring of the same size."""
        self.ends, self.held = state["ends"].astype(np.int64), state["held"].astype(np.bool_)
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
        """The next place, of which there are ever more up to ``most``."""
        place, self._next = self._next, (self._next + 1) % self._most
        if place >= len(self.held):
            size = min(self._most, max(256, 2 * len(self.held)))
            self.ends, self.held = lengthened(self.ends, size), lengthened(self.held, size)
            self._ids += [""] * (size - len(self._ids))
        elif self.held[place]:
            self._release(place)
        return place
