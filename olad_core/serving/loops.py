"""The operations of inference as compiled loops, each one pass over the rows it names and nothing in between."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from olad_core.graph import Neighbours
from olad_core.graph.compiled import AHEAD, compiled, prefetch, prefetch_row
from olad_core.graph.kernels import Integer
from olad_core.serving.operations import Bools, Float32s, Float64s, Messages, Rows


class _Messages(NamedTuple):
    """:class:`~olad_core.serving.operations.Messages` in a form that compiled loops take."""

    rows: Rows
    layer: Float32s
    first: int
    place: Rows
    before: Float32s
    factor: Float32s
    factor_before: Float32s


def send(totals: Tensor, near: Neighbours, messages: Messages, limit: int) -> None:
    """See :class:`~olad_core.serving.operations.Operations`."""
    change = np.empty(totals.shape[1], np.float32)
    _send(totals.numpy(), near.indptr, near.index, near.weight, _messages(messages), change, limit)


def send_arcs(totals: Tensor, target: Rows, weight: Float32s, messages: Messages, limit: int) -> None:
    """See :class:`~olad_core.serving.operations.Operations`."""
    _send_arcs(totals.numpy(), target, weight, _messages(messages), limit)


def sum_up(totals: Tensor, rows: Rows, near: Neighbours, layer: Tensor, first: int, factor: Tensor) -> None:
    """See :class:`~olad_core.serving.operations.Operations`."""
    exact = np.empty(totals.shape[1])
    _sum_up(totals.numpy(), rows, near.indptr, near.index, near.weight, layer.numpy(), first, factor.numpy(), exact)


def mix(below: Tensor, totals: Tensor, rows: Rows, own: Tensor, total: Tensor) -> Tensor:
    """See :class:`~olad_core.serving.operations.Operations`."""
    mixed = torch.empty(len(rows), totals.shape[1])
    _mix(below.numpy(), totals.numpy(), rows, own.numpy(), total.numpy(), mixed.numpy())
    return mixed


def exchange(layer: Tensor, rows: Rows, values: Tensor) -> tuple[Tensor, Bools]:
    """See :class:`~olad_core.serving.operations.Operations`."""
    values = values.contiguous()
    changed = np.empty(len(rows), np.bool_)
    _exchange(layer.numpy(), rows, values.numpy(), changed)
    return values, changed


def _messages(messages: Messages) -> _Messages:
    rows, layer, first, place, before, factor, factor_before = messages
    return _Messages(rows, layer.numpy(), first, place, before.numpy(), factor.numpy(), factor_before.numpy())


@compiled
def _send(
    totals: Float32s, indptr: Rows, index: Rows, weight: Float32s, messages: _Messages, change: Float32s, limit: int
) -> None:
    first, last_sender, last = messages.first, messages.rows.size - 1, index.size - 1
    for sender in range(messages.rows.size):
        row, place = messages.rows[sender], messages.place[sender]
        prefetch_row(messages.layer, messages.rows[min(sender + 2, last_sender)], first, change.size)
        factor, factor_before = messages.factor[sender], messages.factor_before[sender]
        if place < 0:
            for column in range(change.size):
                change[column] = (factor - factor_before) * messages.layer[row, first + column]
        else:
            for column in range(change.size):
                change[column] = (
                    factor * messages.layer[row, first + column]
                    - factor_before * messages.before[place, first + column]
                )
        for at in range(indptr[sender], indptr[sender + 1]):
            target = index[at]
            prefetch_row(totals, index[min(at + AHEAD, last)], 0, change.size)
            if target < limit:
                times = weight[at]
                for column in range(change.size):
                    totals[target, column] += times * change[column]


@compiled
def _send_arcs(totals: Float32s, target: Rows, weight: Float32s, messages: _Messages, limit: int) -> None:
    last, width = target.size - 1, totals.shape[1]
    for at in range(target.size):
        soon = min(at + AHEAD, last)
        prefetch_row(totals, target[soon], 0, width)
        prefetch_row(messages.layer, messages.rows[soon], messages.first, width)
        if target[at] < limit:
            factor = weight[at] * messages.factor_before[at]
            if messages.place[at] < 0:
                _add(totals, target[at], factor, messages.layer, messages.rows[at], messages.first)
            else:
                _add(totals, target[at], factor, messages.before, messages.place[at], messages.first)


@compiled
def _sum_up(
    totals: Float32s,
    rows: Rows,
    indptr: Rows,
    index: Rows,
    weight: Float32s,
    layer: Float32s,
    first: int,
    factor: Float32s,
    exact: Float64s,
) -> None:
    last = index.size - 1
    for at in range(rows.size):
        for column in range(exact.size):
            exact[column] = 0.0
        for edge in range(indptr[at], indptr[at + 1]):
            source, soon = index[edge], index[min(edge + AHEAD, last)]
            prefetch_row(layer, soon, first, exact.size)
            prefetch(factor, soon)
            times = np.float64(weight[edge] * factor[source])
            for column in range(exact.size):
                exact[column] += times * layer[source, first + column]
        for column in range(exact.size):
            totals[rows[at], column] = exact[column]


@compiled
def _add(totals: Float32s, target: Integer, factor: np.float32, layer: Float32s, row: Integer, first: Integer) -> None:
    for column in range(totals.shape[1]):
        totals[target, column] += factor * layer[row, first + column]


@compiled
def _mix(below: Float32s, totals: Float32s, rows: Rows, own: Float32s, total: Float32s, mixed: Float32s) -> None:
    last, width = rows.size - 1, mixed.shape[1]
    for at in range(rows.size):
        row, soon = rows[at], rows[min(at + AHEAD, last)]
        prefetch_row(below, soon, 0, width)
        prefetch_row(totals, soon, 0, width)
        prefetch(own, soon)
        prefetch(total, soon)
        for column in range(width):
            mixed[at, column] = own[row] * below[row, column] + total[row] * totals[row, column]


@compiled
def _exchange(layer: Float32s, rows: Rows, values: Float32s, changed: Bools) -> None:
    last, width = rows.size - 1, layer.shape[1]
    for at in range(rows.size):
        row, different = rows[at], False
        prefetch_row(layer, rows[min(at + AHEAD, last)], 0, width)
        for column in range(width):
            before = layer[row, column]
            different |= before != values[at, column]
            layer[row, column] = values[at, column]
            values[at, column] = before
        changed[at] = different
