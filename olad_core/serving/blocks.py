"""Rows in blocks of one size, so that no row depends on how many others are computed with it.

Products of matrices and vectorised functions may round in another way with another number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from olad_core.graph import Neighbours
from olad_core.graph.arrays import Int64s


def filled_up(rows: Int64s, size: int) -> Int64s:
    """The rows, the last of them again and again, up to a multiple of ``size``.

    >>> filled_up(np.array([4, 7, 2]), 2).tolist()
    [4, 7, 2, 2]
    """
    return np.append(rows, np.full(-rows.size % size, rows[-1])) if rows.size else rows


def blocks(rows: Int64s, size: int) -> Iterator[tuple[Int64s, int]]:
    """The rows in blocks, the last of which is filled up; and how many of a block count."""
    padded = filled_up(rows, size)
    for first in range(0, rows.size, size):
        yield padded[first : first + size], min(size, rows.size - first)


def with_nothing(near: Neighbours, rows: int) -> Neighbours:
    """The same neighbours, and none of further rows, up to so many in all."""
    more = rows - near.indptr.size + 1
    indptr = np.append(near.indptr, np.full(more, near.indptr[-1]))
    groups = near.by_relation
    if groups is not None:
        groups = np.append(groups, np.full(more * near.types, groups[-1]))
    return Neighbours(indptr, near.index, near.weight, groups, near.x)


def in_blocks(size: int, compute: Callable[..., Tensor], *tables: Tensor) -> Tensor:
    """What is computed of one block of all tables after the other.

    Args:
        size: rows of a block.
        compute: called with the block of each table.
        tables: of so many rows each, a multiple of ``size`` and not none.
    """
    firsts = range(0, len(tables[0]), size)
    return torch.cat([compute(*(table[first : first + size] for table in tables)) for first in firsts])
