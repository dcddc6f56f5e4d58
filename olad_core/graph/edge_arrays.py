"""The arrays that edges are kept in, and those of a batch's operations on them."""

from __future__ import annotations

from typing import NamedTuple

from olad_core.graph.arrays import Float32s, Float64s, Int32s, Int64s, UInt8s


class Edges(NamedTuple):
    """One slot an edge, without holes: slots ``0 .. in_use[0] - 1`` are in use.

    ``place_source`` is where the edge stands in the slab of its source, ``place_target`` in that of its target.
    ``table`` is an open-addressing hash table from key to slot, -1 where free, a power of two long.
    """

    key: Int64s
    time: Float64s
    place_source: Int32s
    place_target: Int32s
    table: Int32s
    in_use: Int64s


class EdgeList(NamedTuple):
    """Edges by their ends, each once: rows, weights, times and numbers of their relations, all ``[E]``.

    ``number`` is that of an edge's id within its relation, -1 where it has none.
    """

    source: Int64s
    target: Int64s
    weight: Float32s
    time: Float64s
    relation: Int64s
    number: Int64s


class Slabs(NamedTuple):
    """Every row's neighbours, contiguous in one pool, with space to grow.

    ``used`` holds the first free place of the pool and the number of places given up before it.
    """

    offset: Int64s
    length: Int32s
    capacity: Int32s
    neighbour: Int32s
    weight: Float32s
    used: Int64s


class Queue(NamedTuple):
    """Binary heap of (time, key), smallest first. An entry counts while the edge still has that time."""

    time: Float64s
    key: Int64s
    size: Int64s


class Log(NamedTuple):
    """Weight changes in the order they happened; weight 0 stands for no edge."""

    key: Int64s
    before: Float32s
    after: Float32s
    size: Int64s


class Parallel(NamedTuple):
    """Edges that are kept one by one. Those of two rows are one list, and one edge of :class:`Edges` has their sum.

    Attributes:
        source: int32, by number: the row that the edge is from; -1 where the number is not in use.
        target: int32, by number.
        weight: float32, by number.
        time: float64, by number.
        following: int32, by number: the next edge of the same two rows; -1 after the last.
        preceding: int32, by number; -1 before the first.
        head: int32, by slot of :class:`Edges`: the first edge of the two rows.
        total: float64, by slot: the sum of their weights.
        x: float32 ``[numbers, width]``, features.
        entering: float32 ``[numbers, width]``, what students read of them.
        given_up: int32, numbers whose edges have left.
        sizes: int64 [2]: edges, and numbers in ``given_up``.
    """

    source: Int32s
    target: Int32s
    weight: Float32s
    time: Float64s
    following: Int32s
    preceding: Int32s
    head: Int32s
    total: Float64s
    x: Float32s
    entering: Float32s
    given_up: Int32s
    sizes: Int64s


LIVING, GIVEN_UP = range(2)
"""Places in ``Parallel.sizes``."""


class Graph(NamedTuple):
    """All that the loops work on. Undirected: ``outgoing`` and ``incoming`` are the same arrays."""

    edges: Edges
    outgoing: Slabs
    incoming: Slabs
    in_weight: Float64s
    queue: Queue
    log: Log
    directed: bool
    expiring: bool


class Operations(NamedTuple):
    """What a batch does to edges, in order. NaN weight: keep, or 1 for a new edge. ``source`` is the node removed."""

    kind: UInt8s
    source: Int32s
    target: Int32s
    weight: Float32s
    time: Float64s
