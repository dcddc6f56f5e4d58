"""Features of nodes as owners send them: words of four bytes, those of a row as they are, or only the entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from olad_core.graph import DynamicGraph
from olad_core.graph.arrays import Float32s, Int32s, Int64s
from olad_core.graph.features import SPARSEST, Entries
from olad_core.messages.sample import features, sparse_rows
from olad_core.messages.sparse_features import Features, SparseRows

_CPU = torch.device("cpu")
_DENSE = -1
"""In place of the number of entries of a row: all of its values are sent."""


class FeatureRows(NamedTuple):
    """Features of n nodes: their entries that are not zero, row by row.

    Attributes:
        width: number of features.
        entries: of the rows.
    """

    width: int
    entries: Entries

    @classmethod
    def of(cls, graph: DynamicGraph, rows: Int64s, width: int) -> FeatureRows:
        """Those of a graph's rows; students without features (width 0) read none."""
        if width == 0:
            return cls(0, Entries(np.zeros(rows.size + 1, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)))
        found = features(graph, rows, width, _CPU)
        if isinstance(found, SparseRows):
            each = found.entries
            return cls(width, Entries(each.offsets.numpy(), each.sources.numpy(), each.weight.numpy()))
        return cls(width, _entries_of(found.numpy()))

    @property
    def lengths(self) -> Int32s:
        """How many entries of each row are sent: ``[n]``; negative where it is sent whole."""
        counts = np.diff(self.entries.indptr).astype(np.int32)
        return np.where(2 * counts < self.width, counts, _DENSE).astype(np.int32)

    def words(self) -> npt.NDArray[np.uint32]:
        """The rows to be sent, one after the other: of entries the columns, then the values."""
        lengths, (indptr, column, value) = self.lengths, self.entries
        sizes = _sizes(lengths, self.width)
        first = np.cumsum(sizes) - sizes
        words = np.zeros(int(sizes.sum()), np.uint32)
        row = np.repeat(np.arange(lengths.size), np.diff(indptr))
        place = first[row] + np.arange(row.size) - indptr[row]
        sparse = lengths[row] != _DENSE
        words[place[sparse]] = column[sparse]
        at = np.where(sparse, place + np.maximum(lengths, 0)[row], first[row] + column)
        words[at] = np.ascontiguousarray(value).view(np.uint32)
        return words

    @classmethod
    def read(cls, words: npt.NDArray[np.uint32], lengths: Int32s, width: int) -> FeatureRows:
        """The rows whose :attr:`lengths` and :meth:`words` these are."""
        sizes = _sizes(lengths, width)
        first = np.cumsum(sizes) - sizes
        counts = np.where(lengths == _DENSE, width, lengths).astype(np.int64)
        indptr = np.concatenate([[0], np.cumsum(counts)])
        row = np.repeat(np.arange(lengths.size), counts)
        within = np.arange(row.size) - indptr[row]
        sparse = lengths[row] != _DENSE
        place = first[row] + within
        column = np.where(sparse, words[place], within).astype(np.int64)
        value = words[np.where(sparse, place + lengths[row], place)].view(np.float32)
        return cls(width, _without_zeros(Entries(indptr, column, value)))

    def sparse(self) -> SparseRows:
        """As entries, however many there are."""
        return sparse_rows(self.entries, self.width, _CPU)

    def features(self, *, typed: bool) -> Features:
        """As students read them: entries where nearly all are zero, or where nodes have types."""
        indptr, column, value = self.entries
        rows = indptr.size - 1
        if typed or value.size < SPARSEST * rows * self.width:
            return self.sparse()
        dense = np.zeros((rows, self.width), np.float32)
        dense[np.repeat(np.arange(rows), np.diff(indptr)), column] = value
        return torch.from_numpy(dense)


def joined(parts: Sequence[FeatureRows], places: Sequence[Int64s]) -> FeatureRows:
    """Rows of several parts.

    Args:
        parts: one at least.
        places: for each part, where its rows stand among all.
    """
    counts = np.zeros(sum(each.size for each in places), np.int64)
    for part, at in zip(parts, places, strict=True):
        counts[at] = np.diff(part.entries.indptr)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    column, value = np.empty(indptr[-1], np.int64), np.empty(indptr[-1], np.float32)
    for part, at in zip(parts, places, strict=True):
        own = part.entries
        row = np.repeat(np.arange(at.size), np.diff(own.indptr))
        to = indptr[at[row]] + np.arange(row.size) - own.indptr[row]
        column[to], value[to] = own.column, own.value
    return FeatureRows(parts[0].width, Entries(indptr, column, value))


def _sizes(lengths: Int32s, width: int) -> Int64s:
    """Words of each row."""
    return np.where(lengths == _DENSE, width, 2 * lengths).astype(np.int64)


def _entries_of(dense: Float32s) -> Entries:
    row, column = np.nonzero(dense)
    indptr = np.searchsorted(row, np.arange(dense.shape[0] + 1))
    return Entries(indptr.astype(np.int64), column.astype(np.int64), dense[row, column])


def _without_zeros(found: Entries) -> Entries:
    kept = found.value != 0
    before = np.concatenate([[0], np.cumsum(kept)])
    return Entries(before[found.indptr].astype(np.int64), found.column[kept], found.value[kept])
