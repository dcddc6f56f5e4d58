"""The operations of inference as compiled loops, each one pass over the rows it names and nothing in between."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from olad_core.graph import Neighbours
from olad_core.graph.compiled import AHEAD, compiled, prefetch, prefetch_row
from olad_core.serving.operations import Bools, Float32s, Float64s, Mixture, Rows


def mix(mixture: Mixture, rows: Rows, near: Neighbours) -> Tensor:
    """See :class:`~olad_core.serving.operations.Operations`."""
    below, first, width, (own, total, sent) = mixture
    mixed = torch.empty(len(rows), width)
    _mix(
        below.numpy(),
        first,
        rows,
        near.indptr,
        near.index,
        near.weight,
        own.numpy(),
        total.numpy(),
        sent.numpy(),
        np.empty(width),
        mixed.numpy(),
    )
    return mixed


def join(mixture: Mixture, rows: Rows, light: Tensor, hubs: Neighbours) -> Tensor:
    """Own rows and light sums, to which the messages of hubs are added; see :mod:`~olad_core.serving.first_layer`."""
    below, first, width, (own, total, sent) = mixture
    joined = torch.empty(len(rows), width)
    _join(
        below.numpy(),
        first,
        rows,
        light.numpy(),
        hubs.indptr,
        hubs.index,
        hubs.weight,
        own.numpy(),
        total.numpy(),
        sent.numpy(),
        joined.numpy(),
    )
    return joined


def exchange(layer: Tensor, rows: Rows, values: Tensor, first: int = 0, skip: int = 0) -> Bools:
    """See :class:`~olad_core.serving.operations.Operations`.

    Args:
        layer: as there.
        rows: as there.
        values: as there.
        first: column of the layer that they are written from.
        skip: columns before the values.
    """
    changed = np.empty(len(rows), np.bool_)
    _exchange(layer.numpy(), first, rows, values.contiguous().numpy(), skip, changed)
    return changed


@compiled
def _mix(
    below: Float32s,
    first: int,
    rows: Rows,
    indptr: Rows,
    index: Rows,
    weight: Float32s,
    own: Float32s,
    total: Float32s,
    sent: Float32s,
    exact: Float64s,
    mixed: Float32s,
) -> None:
    last = index.size - 1
    for at in range(rows.size):
        row = rows[at]
        for column in range(exact.size):
            exact[column] = 0.0
        for edge in range(indptr[at], indptr[at + 1]):
            source, soon = index[edge], index[min(edge + AHEAD, last)]
            prefetch_row(below, soon, first, exact.size)
            prefetch(sent, soon)
            times = np.float64(weight[edge] * sent[source])
            for column in range(exact.size):
                exact[column] += times * below[source, first + column]
        for column in range(exact.size):
            mixed[at, column] = own[row] * below[row, column] + total[row] * np.float32(exact[column])


@compiled
def _join(
    below: Float32s,
    first: int,
    rows: Rows,
    light: Float32s,
    indptr: Rows,
    index: Rows,
    weight: Float32s,
    own: Float32s,
    total: Float32s,
    sent: Float32s,
    joined: Float32s,
) -> None:
    last, width = rows.size - 1, joined.shape[1]
    for at in range(rows.size):
        row, soon = rows[at], rows[min(at + AHEAD, last)]
        prefetch_row(below, soon, 0, width)
        prefetch_row(light, soon, 0, width)
        prefetch(own, soon)
        for column in range(width):
            joined[at, column] = own[row] * below[row, column] + light[row, column]
        for edge in range(indptr[at], indptr[at + 1]):
            times = np.float32(np.float64(weight[edge]) * sent[index[edge]] * total[row])
            for column in range(width):
                joined[at, column] += times * below[index[edge], first + column]


@compiled
def _exchange(layer: Float32s, first: int, rows: Rows, values: Float32s, skip: int, changed: Bools) -> None:
    last, width = rows.size - 1, values.shape[1] - skip
    for at in range(rows.size):
        row, different = rows[at], False
        prefetch_row(layer, rows[min(at + AHEAD, last)], first, width)
        for column in range(width):
            different |= layer[row, first + column] != values[at, skip + column]
            layer[row, first + column] = values[at, skip + column]
        changed[at] = different
