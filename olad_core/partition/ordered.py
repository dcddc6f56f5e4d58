"""Loops over the neighbours of rows: their order, which no number of ranks changes, and the ranks that own them."""

from __future__ import annotations

import numpy as np

from olad_core.graph import Neighbours
from olad_core.graph.arrays import Bools, Float32s, Float64s, Int16s, Int64s
from olad_core.graph.compiled import AHEAD, compiled, prefetch


def by_number(near: Neighbours, number: Int64s) -> Neighbours:
    """The same neighbours, those of each row and each type of edges by ascending number.

    Args:
        near: of some rows.
        number: of the node in each row.
    """
    keys = np.empty(near.index.size, np.int64)
    order = np.arange(near.index.size)
    _collect(near.index, number, keys)
    _sort(near.groups, keys, order)
    x = None if near.x is None else near.x[order]
    return Neighbours(near.indptr, near.index[order], near.weight[order], near.by_relation, x)


def sums(near: Neighbours) -> Float64s:
    """Sums of the weights of rows' edges, added up in the order of their neighbours."""
    found = np.zeros(near.indptr.size - 1)
    _sum(near.indptr, near.weight, found)
    return found


def owners_of(near: Neighbours, owner: Int16s, ranks: int) -> Bools:
    """Whether a rank owns a neighbour of a row: bool ``[n, ranks]``."""
    found = np.zeros((near.indptr.size - 1, ranks), np.bool_)
    _mark(near.indptr, near.index, owner, found)
    return found


@compiled
def _collect(index: Int64s, number: Int64s, keys: Int64s) -> None:
    last = index.size - 1
    for at in range(index.size):
        prefetch(number, index[min(at + AHEAD, last)])
        keys[at] = number[index[at]]


@compiled
def _sort(groups: Int64s, keys: Int64s, order: Int64s) -> None:
    """Sort the keys of each group, and ``order`` with them: Shell's method, which needs no memory."""
    for group in range(groups.size - 1):
        first, end = groups[group], groups[group + 1]
        gap = end - first
        while gap > 1:
            gap = max(1, gap * 5 // 11)
            for at in range(first + gap, end):
                key, moved, place = keys[at], order[at], at
                while place >= first + gap and keys[place - gap] > key:
                    keys[place], order[place] = keys[place - gap], order[place - gap]
                    place -= gap
                keys[place], order[place] = key, moved


@compiled
def _sum(indptr: Int64s, weight: Float32s, found: Float64s) -> None:
    for at in range(found.size):
        for edge in range(indptr[at], indptr[at + 1]):
            found[at] += weight[edge]


@compiled
def _mark(indptr: Int64s, index: Int64s, owner: Int16s, found: Bools) -> None:
    last = index.size - 1
    for at in range(indptr.size - 1):
        for edge in range(indptr[at], indptr[at + 1]):
            prefetch(owner, index[min(edge + AHEAD, last)])
            found[at, owner[index[edge]]] = True
