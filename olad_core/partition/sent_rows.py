"""Rows of layers as ranks send them to the ranks that read them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.graph.arrays import Float32s, Int64s
from olad_core.graph.compiled import AHEAD, compiled, prefetch_row
from olad_core.partition.exchange import Outgoing, Records

HEAD = 3
"""Words of four bytes before the values of a record: two of a node's number, and the sum of its incoming weights."""


def packed(
    kind: str,
    layer: Float32s,
    columns: slice,
    rows: Int64s,
    to: Int64s,
    number: Int64s,
    in_weight: Float32s,
    ranks: int,
) -> Outgoing:
    """Rows of a layer for other ranks.

    Args:
        kind: what they are.
        layer: ``[capacity, d]``.
        columns: that are sent.
        rows: which, in the order of the ranks that they are for.
        to: these ranks, ascending.
        number: of the node in each row.
        in_weight: sums of the weights of incoming edges, of all rows.
        ranks: number of ranks.
    """
    first, end, _ = columns.indices(layer.shape[1])
    fields: list[Any] = [("number", "<i8"), ("in_weight", "<f4"), ("values", "<f4", (end - first,))]
    records = np.empty(rows.size, fields)
    records["number"], records["in_weight"] = number[rows], in_weight[rows]
    _gather(layer, rows, first, words_of(records), HEAD)
    return Outgoing(kind, np.split(records, np.searchsorted(to, np.arange(1, ranks))))


def words_of(records: Records) -> Float32s:
    """The same memory as words, ``[n, HEAD + width]``."""
    words: npt.NDArray[np.float32] = records.view(np.float32).reshape(records.size, records.itemsize // 4)
    return words


@compiled
def _gather(layer: Float32s, rows: Int64s, first: int, words: Float32s, head: int) -> None:
    last, width = rows.size - 1, words.shape[1] - head
    for at in range(rows.size):
        prefetch_row(layer, rows[min(at + AHEAD, last)], first, width)
        row = rows[at]
        for column in range(width):
            words[at, head + column] = layer[row, first + column]
