"""The neighbours of many rows at once: all of them, or a uniform sample of each row's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.graph.arrays import Float32s, Int64s, Integer
from olad_core.graph.compiled import AHEAD, compiled, prefetch
from olad_core.graph.edge_arrays import Slabs


@dataclass(frozen=True)
class Neighbours:
    """Neighbours of n rows, one after the other.

    Attributes:
        indptr: int64 ``[n + 1]``; those of the i-th row stand at ``indptr[i] : indptr[i + 1]``.
        index: int64, the neighbours' rows.
        weight: float32, the weights of their edges.
        by_relation: int64 ``[n R + 1]``, where edges have R types: those of the i-th row by edges of the r-th type
            stand at ``by_relation[i R + r] : by_relation[i R + r + 1]``. None where there is one type.
        x: float32 ``[E, D]``, mean features of the edges, in the first columns; None where no type has any.
    """

    indptr: Int64s
    index: Int64s
    weight: Float32s
    by_relation: Int64s | None = None
    x: Float32s | None = None

    @property
    def types(self) -> int:
        """R, 1 where there is one type; 0 where there are several and no rows."""
        return 1 if self.by_relation is None else (self.by_relation.size - 1) // max(self.indptr.size - 1, 1)

    @property
    def groups(self) -> Int64s:
        """Where the neighbours of each row begin, of each type where there are several."""
        return self.indptr if self.by_relation is None else self.by_relation

    def of(self, first: int, count: int) -> Neighbours:
        """Those of ``count`` rows from the ``first`` one on."""
        indptr = self.indptr[first : first + count + 1]
        begin, end, types = indptr[0], indptr[-1], self.types
        groups = None
        if self.by_relation is not None:
            groups = self.by_relation[first * types : (first + count) * types + 1] - begin
        x = None if self.x is None else self.x[begin:end]
        return Neighbours(indptr - begin, self.index[begin:end], self.weight[begin:end], groups, x)


def joined(parts: Sequence[Neighbours]) -> Neighbours:
    """The neighbours of the same rows by edges of several types.

    >>> one = Neighbours(np.array([0, 1, 2]), np.array([5, 6]), np.ones(2, np.float32))
    >>> two = Neighbours(np.array([0, 0, 1]), np.array([7]), np.ones(1, np.float32))
    >>> both = joined([one, two])
    >>> both.indptr.tolist(), both.index.tolist(), both.by_relation.tolist()
    ([0, 1, 3], [5, 6, 7], [0, 1, 1, 2, 3])
    """
    if len(parts) == 1:
        return parts[0]
    counts = np.stack([np.diff(part.indptr) for part in parts], axis=1)
    by_relation = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts.ravel(), out=by_relation[1:])
    found = _Found(by_relation, np.empty(by_relation[-1], np.int64), np.empty(by_relation[-1], np.float32))
    for number, part in enumerate(parts):
        _put(_Found(part.indptr, part.index, part.weight), number, len(parts), found)
    return Neighbours(by_relation[:: len(parts)].copy(), found.rows, found.weight, by_relation)


def all_neighbours(slabs: Slabs, rows: Int64s) -> Neighbours:
    """Every neighbour of the rows, in the order of the adjacency."""
    return _filled(slabs, rows, slabs.length[rows].astype(np.int64), None)


def sampled_neighbours(slabs: Slabs, rows: Int64s, fanout: int, seed: int) -> Neighbours:
    """Up to ``fanout`` distinct neighbours of each row, every such set with the same probability.

    Raises:
        ValueError: for a fanout below 1.
    """
    if fanout < 1:
        raise ValueError(f"a fanout is at least 1, not {fanout}")
    degrees = slabs.length[rows].astype(np.int64)
    return _filled(slabs, rows, np.minimum(degrees, fanout), np.uint64(seed & 0xFFFFFFFFFFFFFFFF))


def _filled(slabs: Slabs, rows: Int64s, counts: Int64s, seed: np.uint64 | None) -> Neighbours:
    indptr = np.zeros(rows.size + 1, np.int64)
    np.cumsum(counts, out=indptr[1:])
    found = _Found(indptr, np.empty(indptr[-1], np.int64), np.empty(indptr[-1], np.float32))
    if seed is None:
        _copy(slabs, rows, found)
    else:
        most = int(counts.max(initial=1))
        chosen = np.full(1 << (2 * most - 1).bit_length(), -1, np.int64)
        _sample(slabs, rows, chosen, np.array([seed]), found)
    return Neighbours(found.indptr, found.rows, found.weight)


class _Found(NamedTuple):
    """The arrays of :class:`Neighbours`, in a form that compiled loops take."""

    indptr: Int64s
    rows: Int64s
    weight: Float32s


@compiled
def _copy(slabs: Slabs, rows: Int64s, found: _Found) -> None:
    last = rows.size - 1
    for at in range(rows.size):
        prefetch(slabs.offset, rows[min(at + 2 * AHEAD, last)])
        soon = slabs.offset[rows[min(at + AHEAD, last)]]
        prefetch(slabs.neighbour, soon)
        prefetch(slabs.weight, soon)
        first = found.indptr[at]
        offset = slabs.offset[rows[at]]
        for place in range(found.indptr[at + 1] - first):
            found.rows[first + place] = slabs.neighbour[offset + place]
            found.weight[first + place] = slabs.weight[offset + place]


@compiled
def _put(part: _Found, number: int, types: int, found: _Found) -> None:
    """Write the neighbours by edges of one type to their places among all of them."""
    for at in range(part.indptr.size - 1):
        to = found.indptr[at * types + number] - part.indptr[at]
        for place in range(part.indptr[at], part.indptr[at + 1]):
            found.rows[to + place] = part.rows[place]
            found.weight[to + place] = part.weight[place]


@compiled
def _draw(state: npt.NDArray[np.uint64], below: Integer) -> Integer:
    """Next number of SplitMix64, brought into ``0 .. below - 1``; ``below`` is less than 2**31."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    mixed = state[0]
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return np.int64(((mixed >> np.uint64(32)) * np.uint64(below)) >> np.uint64(32))


@compiled
def _choose(chosen: Int64s, row: int, number: Integer) -> bool:
    """Enter a number into the row's set; False where it was there. Other rows' entries count as free places.

    An entry holds ``row << 31 | number``, so that nothing needs clearing between the rows.
    """
    mask = chosen.size - 1
    at = (number * 0x9E3779B1 >> 7) & mask
    while chosen[at] >> 31 == row:
        if chosen[at] & 0x7FFFFFFF == number:
            return False
        at = (at + 1) & mask
    chosen[at] = (row << 31) | number
    return True


@compiled
def _sample(slabs: Slabs, rows: Int64s, chosen: Int64s, state: npt.NDArray[np.uint64], found: _Found) -> None:
    for at in range(rows.size):
        offset, degree = slabs.offset[rows[at]], np.int64(slabs.length[rows[at]])
        first = found.indptr[at]
        count = found.indptr[at + 1] - first
        for i in range(count):
            place: Integer = np.int64(i)
            if count < degree:
                # Floyd's algorithm: each draw is among one place more than the one before; where the place drawn is
                # taken, the one that came new is not.
                newest = degree - count + i
                place = _draw(state, newest + 1)
                if not _choose(chosen, at, place):
                    place = newest
                    _choose(chosen, at, place)
            found.rows[first + i] = slabs.neighbour[offset + place]
            found.weight[first + i] = slabs.weight[offset + place]
