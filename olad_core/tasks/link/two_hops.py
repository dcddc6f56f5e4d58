"""Paths of two edges between nodes: what they have in common, over edges of all types."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from olad_core.graph import DynamicGraph, Neighbours
from olad_core.graph.arrays import Float32s, Int64s, UInt8s
from olad_core.graph.compiled import compiled

PATHS = 5
"""Numbers for each pair: paths by the directions of both edges, and all of them by the degree of the node between."""
MOST_BETWEEN = 256
"""Neighbours of a node, in each direction, that are nodes between; others are passed over."""
MOST_DEGREE = 512
"""A node with more edges than that is no node between: what it connects has little in common."""
_FROM, _INTO = 1, 2


class _Between(NamedTuple):
    """The nodes between, which n nodes reach by one edge, and where edges lead from there.

    Attributes:
        offsets: int64 ``[n + 1]``, where those of each node begin.
        place: int64, number of each among the distinct ones.
        way: ``_FROM`` where the node has an edge to it, ``_INTO`` where it is the other way.
        weight: float32, of each distinct one.
        out_offsets, out_index: rows that the distinct ones have edges to.
        in_offsets, in_index: rows that have edges to them.
    """

    offsets: Int64s
    place: Int64s
    way: UInt8s
    weight: Float32s
    out_offsets: Int64s
    out_index: Int64s
    in_offsets: Int64s
    in_index: Int64s


def two_hops(graph: DynamicGraph, sources: Int64s, candidates: Int64s) -> Float32s:
    """Paths of two edges from nodes to their candidates, float32 ``[n, S, PATHS]``.

    By the directions of both edges: from source to candidate, both from their node to a common one, both from a common
    one, from candidate to source. The last number has every path weighted by ``1 / log(2 + degree)`` of the node
    between (Adamic and Adar, "Friends and neighbors on the web", 2003).

    Args:
        graph: the live graph.
        sources: rows ``[n]``, negative for a node that is not there.
        candidates: rows ``[n, S]``, likewise.
    """
    found = np.zeros((*candidates.shape, PATHS), np.float32)
    between = _between(graph, sources)
    if between.place.size:
        _count(between, candidates, np.zeros((graph.capacity, PATHS), np.float32), found)
    return found


def reached(graph: DynamicGraph, source: int) -> Int64s:
    """Rows to which there is a path of two edges from a node, in any direction, each once.

    Those with the greatest sum of the paths' weights, as :func:`two_hops` has it, come first.
    """
    between = _between(graph, np.array([source]))
    paths = np.concatenate([between.out_index, between.in_index])
    each = between.weight * np.bincount(between.place, minlength=between.weight.size)
    weights = [np.repeat(each, np.diff(offsets)) for offsets in (between.out_offsets, between.in_offsets)]
    rows, place = np.unique(paths, return_inverse=True)
    sums = np.bincount(place, np.concatenate(weights), len(rows))
    nearest: Int64s = rows[np.argsort(-sums, kind="stable")]
    return nearest


def _between(graph: DynamicGraph, sources: Int64s) -> _Between:
    known = np.maximum(sources, 0)[sources >= 0]
    ways = [_first(graph.out_neighbours(known)), _first(graph.in_neighbours(known))]
    counts = np.zeros(len(sources), np.int64)
    counts[sources >= 0] = np.diff(ways[0].indptr) + np.diff(ways[1].indptr)
    owner = np.concatenate([np.repeat(np.flatnonzero(sources >= 0), np.diff(way.indptr)) for way in ways])
    rows = np.concatenate([way.index for way in ways])
    way = np.repeat(np.array([_FROM, _INTO], np.uint8), [each.index.size for each in ways])
    degree = graph.in_degree(rows) + graph.out_degree(rows)
    small = degree <= MOST_DEGREE
    order = np.argsort(owner[small], kind="stable")
    rows, way = rows[small][order], way[small][order]
    distinct, first, place = np.unique(rows, return_index=True, return_inverse=True)
    out, into = graph.out_neighbours(distinct), graph.in_neighbours(distinct)
    weight = (1 / np.log(2.0 + degree[small][order][first])).astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owner[small], minlength=len(sources)))])
    return _Between(offsets, place, way, weight, out.indptr, out.index, into.indptr, into.index)


def _first(near: Neighbours) -> Neighbours:
    """The first ones of each row's neighbours."""
    counts = np.diff(near.indptr)
    within = np.arange(near.index.size) - np.repeat(near.indptr[:-1], counts) < MOST_BETWEEN
    kept = np.minimum(counts, MOST_BETWEEN)
    return Neighbours(np.concatenate([[0], np.cumsum(kept)]), near.index[within], near.weight[within])


@compiled
def _count(between: _Between, candidates: Int64s, sums: Float32s, found: Float32s) -> None:
    """Add the paths up in ``sums`` ``[capacity, PATHS]``, which are zeros before and after."""
    for at in range(candidates.shape[0]):
        for step in range(between.offsets[at], between.offsets[at + 1]):
            place, into = between.place[step], between.way[step] == _INTO
            weight = between.weight[place]
            for near in range(between.out_offsets[place], between.out_offsets[place + 1]):
                row = between.out_index[near]
                sums[row, 2 if into else 0] += 1
                sums[row, 4] += weight
            for near in range(between.in_offsets[place], between.in_offsets[place + 1]):
                row = between.in_index[near]
                sums[row, 3 if into else 1] += 1
                sums[row, 4] += weight
        for number in range(candidates.shape[1]):
            row = candidates[at, number]
            if row >= 0:
                for k in range(sums.shape[1]):
                    found[at, number, k] = sums[row, k]
        for step in range(between.offsets[at], between.offsets[at + 1]):
            place = between.place[step]
            for near in range(between.out_offsets[place], between.out_offsets[place + 1]):
                for k in range(sums.shape[1]):
                    sums[between.out_index[near], k] = 0
            for near in range(between.in_offsets[place], between.in_offsets[place + 1]):
                for k in range(sums.shape[1]):
                    sums[between.in_index[near], k] = 0
