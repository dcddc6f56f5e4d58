"""What the edges of each node come to, in steps of a logarithm: inputs of students that seldom change.

A step is a function of exact counts, sums and times alone. It stays the same until one of them crosses a bound, so
most edge events leave it as it is where a node has many edges. Time that only passes changes nothing: the columns of
time are about a node's own edge events. See ``docs/decisions/0037-structure-as-an-input.md``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.config import STRUCTURE, STRUCTURE_STEPS
from olad_core.graph.arrays import Float64s, Integer, Number, UInt8s, lengthened
from olad_core.graph.changes import Arcs
from olad_core.graph.columns import UPSERT_EDGE
from olad_core.graph.compiled import compiled
from olad_core.graph.edge_arrays import Operations
from olad_core.graph.relations import Relations

Rows = npt.NDArray[np.int64]

IN_DEGREE, OUT_DEGREE, IN_WEIGHT, OUT_WEIGHT, AGE, GAP = range(len(STRUCTURE))
"""Columns, in the order of :data:`~olad_core.config.STRUCTURE`."""
ONE_EDGE, ONE_UNIT = 1, 16
"""The steps of a degree of one, and of a weight or time of one."""
MEAN_OF = 4
"""A gap counts for this part of the mean gap, those before it for the rest."""
_HALF = math.sqrt(0.5)
_TIMES = ("first", "last", "gap")


class Steps(NamedTuple):
    """Rows whose steps are others than before.

    Attributes:
        rows: int64, each once.
        columns: uint8, bit ``k`` where the step in column ``k`` is another.
    """

    rows: Rows
    columns: UInt8s


class Structure:
    """The steps of every row, over edges of all types.

    Where edges are undirected, what leaves a node is not counted a second time: it is in the columns of what enters.
    Times are those of the events that made or changed an edge of the node, whether or not it is still there; a late
    event counts as one at the latest of them. While the graph's clock is the time of arrival, both columns of time
    are 0.

    Attributes:
        steps: uint8 ``[capacity, 6]``, a column for each of :data:`~olad_core.config.STRUCTURE`, 0 where there is
            nothing. Otherwise a column grows by one where what it is taken of doubles.

    >>> from olad_core.events import UpsertEdge
    >>> from olad_core.graph import DynamicGraph
    >>> graph = DynamicGraph(directed=True)
    >>> edges = [UpsertEdge("a", "b", 4.0, ts=10.0), UpsertEdge("c", "b", ts=18.0), UpsertEdge("d", "b", ts=18.0)]
    >>> _ = graph.apply(edges, time=0.0)
    >>> graph.structure.steps[graph.rows(["a", "b"])].tolist()
    [[0, 1, 0, 18, 0, 0], [3, 0, 19, 0, 19, 17]]

    Args:
        rows: to reserve.
    """

    def __init__(self, rows: int) -> None:
        self.steps: UInt8s = np.zeros((rows, len(STRUCTURE)), np.uint8)
        self._times = _Times(np.full(rows, np.nan), np.full(rows, np.nan), np.zeros(rows))
        self._all_due = False

    def reserve(self, rows: int) -> None:
        """Reserve so many rows."""
        self.steps = lengthened(self.steps, rows)
        first, last, gap = self._times
        self._times = _Times(lengthened(first, rows, np.nan), lengthened(last, rows, np.nan), lengthened(gap, rows))

    def follow(self, edges: Relations, operations: Operations, arcs: Arcs, *, timed: bool) -> Steps:
        """Follow a batch of changes of edges, which have been carried out.

        Args:
            edges: after the batch.
            operations: of the batch.
            arcs: whose weight is another.
            timed: whether the graph's clock is event time.
        """
        _note_times(self._times, operations)
        rows = np.arange(len(self.steps)) if self._all_due else _reached(edges, operations, arcs, timed=timed)
        self._all_due = False
        return self._renew(edges, rows, timed=timed)

    def remove(self, rows: Rows) -> None:
        """Forget rows: their nodes, and so their edges, are gone."""
        self.steps[rows] = 0
        self._times.first[rows] = self._times.last[rows] = np.nan
        self._times.gap[rows] = 0

    def set_times(self, time: float, *, only_later: bool = False) -> None:
        """Let all edge events have happened at this time, or those of a later one; steps follow with the next batch."""
        first, last, gap = self._times
        for times in (first, last):
            times[(times > time) if only_later else ~np.isnan(times)] = time
        if not only_later:
            gap[:] = 0
        self._all_due = True

    def part(self, rows: Rows) -> Structure:
        """A copy of the steps of some rows and of what they are taken of, numbered in their order."""
        part = Structure(0)
        part.steps = self.steps[rows]
        part._times = _Times(*(times[rows] for times in self._times))
        part._all_due = self._all_due
        return part

    def steps_of(self, rows: Rows, sums: Float64s, *, timed: bool) -> UInt8s:
        """The steps ``[n, 6]`` that rows would have with these sums over their edges."""
        steps = self.steps[rows]
        times = _Times(*(each[rows] for each in self._times))
        _renew(np.arange(rows.size), sums, times, timed, steps, _no_steps(rows.size))
        return steps

    def take_anew(self, rows: Rows, sums: Float64s, *, timed: bool) -> None:
        """Take the steps of rows anew from other sums than those of the edges here (:meth:`Relations.sums_of`)."""
        _renew(rows, sums, self._times, timed, self.steps, _no_steps(rows.size))

    def state(self, end: int) -> dict[str, npt.NDArray[np.generic]]:
        """For a checkpoint, of the first rows: the arrays in use, not copies of them."""
        times = {f"edge_{name}": values[:end] for name, values in zip(_TIMES, self._times, strict=True)}
        return {"structure": self.steps[:end], "structure_due": np.array(self._all_due), **times}

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]], edges: Relations, rows: int) -> Structure:
        """The inverse of :meth:`state`; of a state of an earlier release, which had none, from the edges.

        Args:
            state: the arrays.
            edges: of the same state.
            rows: to reserve.
        """
        new = cls(rows)
        if "structure" not in state:
            new._renew(edges, np.arange(rows), timed=False)
            return new
        new._all_due = bool(state["structure_due"])
        new.steps[: len(state["structure"])] = state["structure"]
        for name, values in zip(_TIMES, new._times, strict=True):
            held = state[f"edge_{name}"]
            values[: len(held)] = held
        return new

    def _renew(self, edges: Relations, rows: Rows, *, timed: bool) -> Steps:
        """Take the steps of rows anew."""
        found = _no_steps(len(rows))
        count = _renew(rows, edges.sums_of(rows), self._times, timed, self.steps, found)
        return Steps(found.rows[:count], found.columns[:count])


def _no_steps(rows: int) -> Steps:
    return Steps(np.empty(rows, np.int64), np.empty(rows, np.uint8))


class _Times(NamedTuple):
    """Times of each row's edge events: of the first one, of the last one, and the mean gap, NaN or 0 before any."""

    first: Float64s
    last: Float64s
    gap: Float64s


def _reached(edges: Relations, operations: Operations, arcs: Arcs, *, timed: bool) -> Rows:
    """Rows whose steps a batch may have changed; some more than once."""
    reached = [arcs.target]
    if edges.directed:  # else each arc has one that is turned
        reached.append(arcs.source)
    if timed:
        made = operations.kind == UPSERT_EDGE
        reached += [operations.source[made].astype(np.int64), operations.target[made].astype(np.int64)]
    return np.concatenate(reached)


@compiled
def _step(value: Number, one: Integer) -> Integer:
    """0 for 0; else ``one`` for values around 1, and one more for twice as much.

    The bounds lie at odd powers of the root of two. Sums of round numbers never lie there, so that rounding decides
    nothing.
    """
    if not value > 0:
        return 0
    part, power = math.frexp(value)
    near = power if part >= _HALF else power - 1
    return min(max(near + one, 1), STRUCTURE_STEPS - 1)


@compiled
def _note_times(times: _Times, operations: Operations) -> None:
    for at in range(operations.kind.size):
        if operations.kind[at] != UPSERT_EDGE:
            continue
        source, target, time = operations.source[at], operations.target[at], operations.time[at]
        _note_time(times, source, time)
        if target != source:
            _note_time(times, target, time)


@compiled
def _note_time(times: _Times, row: Integer, time: Number) -> None:
    if np.isnan(times.first[row]):
        times.first[row] = times.last[row] = time
        return
    gap = max(time - times.last[row], 0.0)
    times.gap[row] += (gap - times.gap[row]) / MEAN_OF
    times.last[row] = max(times.last[row], time)


@compiled
def _renew(rows: Rows, sums: Float64s, times: _Times, timed: bool, steps: UInt8s, found: Steps) -> int:
    """Take the steps of rows anew; how many have other ones, each of which is found once.

    Args:
        rows: ``[n]``.
        sums: of these, ``[n, 4]``: the columns before those of time.
        times: of all rows.
        timed: whether there are event times.
        steps: of all rows.
        found: gets the rows that have other steps.
    """
    count = 0
    for at in range(rows.size):
        row, changed = rows[at], 0
        for column in range(steps.shape[1]):
            if column < AGE:
                step = _step(sums[at, column], ONE_EDGE if column < IN_WEIGHT else ONE_UNIT)
            elif timed:
                step = _step(times.last[row] - times.first[row] if column == AGE else times.gap[row], ONE_UNIT)
            else:
                step = 0
            if steps[row, column] != step:
                steps[row, column] = step
                changed |= 1 << column
        if changed:
            found.rows[count] = row
            found.columns[count] = changed
            count += 1
    return count
