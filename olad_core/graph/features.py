"""Feature rows in the form that is cheaper to compute with: dense, or the non-zero entries."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.graph.compiled import compiled

Int64s = npt.NDArray[np.int64]
Float32s = npt.NDArray[np.float32]

SPARSEST = 0.2
"""Rows with a smaller share of non-zero entries are taken as sparse: to multiply the zeros would cost more."""


class Entries(NamedTuple):
    """Non-zero entries of n rows, one row after the other.

    Attributes:
        indptr: int64 ``[n + 1]``; those of the i-th row stand at ``indptr[i] : indptr[i + 1]``.
        column: int64.
        value: float32.
    """

    indptr: Int64s
    column: Int64s
    value: Float32s


def gather(features: Float32s, rows: Int64s) -> Float32s | Entries:
    """Rows of ``features``; as entries where nearly all of them are zero."""
    indptr = np.zeros(len(rows) + 1, np.int64)
    _count(features, rows, indptr)
    if indptr[-1] >= SPARSEST * len(rows) * features.shape[1]:
        return features[rows]
    size = indptr[-1] + 1
    found = Entries(indptr, np.empty(size, np.int64), np.empty(size, np.float32))
    _fill(features, rows, found)
    return Entries(indptr, found.column[:-1], found.value[:-1])


@compiled
def _count(features: Float32s, rows: Int64s, indptr: Int64s) -> None:
    for at in range(rows.size):
        count = 0
        for column in range(features.shape[1]):
            count += features[rows[at], column] != 0
        indptr[at + 1] = indptr[at] + count


@compiled
def _fill(features: Float32s, rows: Int64s, found: Entries) -> None:
    # Zeros are written too, where the next entry goes: a branch that no processor can foresee takes twice as long.
    for at in range(rows.size):
        place = found.indptr[at]
        for column in range(features.shape[1]):
            value = features[rows[at], column]
            found.column[place] = column
            found.value[place] = value
            place += value != 0
