"""The compiled loops that keep attention up.

A row of the sums is ``[numerator | denominator | reference | peak]``: one number a column of what is attended to,
then three a head. Terms are ``w exp(score - reference)``; the node itself is a neighbour of weight 1. The peak is the
greatest denominator since the sums were computed afresh.

A row of the layer below is ``[x | sent | wanted]``: what is attended to, then what it adds to scores as sender and as
receiver.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.graph import Neighbours
from olad_core.graph.compiled import AHEAD, compiled, prefetch, prefetch_row
from olad_core.graph.kernels import Integer, Number
from olad_core.serving.operations import Float32s, Float64s, Rows
from olad_core.serving.wear import FALLEN

GREATEST = 8.0
"""A score this far above the reference makes a row stale: its term would leave no digits to the others."""
UInt8s = npt.NDArray[np.uint8]


class Senders(NamedTuple):
    """Rows of the layer below, and what stood in them.

    Attributes:
        rows: int64 ``[n]``.
        place: int64 ``[n]``, where in ``before`` a row is; -1 where it has not changed.
        layer: ``[capacity, d]``, the layer below.
        before: ``[m, d]``, rows of it that changed, as they were.
    """

    rows: Rows
    place: Rows
    layer: Float32s
    before: Float32s


class Receivers(NamedTuple):
    """What the loops write to.

    Attributes:
        sums: ``[capacity, width + 3 heads]``.
        stale: uint8 ``[capacity]``, 1 for rows that will be computed afresh; set where differences do not suffice.
        limit: rows from here on stay as they are.
        heads: number of heads.
        slope: of the leaky ReLU below zero.
    """

    sums: Float32s
    stale: UInt8s
    limit: int
    heads: int
    slope: np.float32


def send(receivers: Receivers, near: Neighbours, senders: Senders) -> None:
    """Let all receivers hear senders that changed as they are now, and no longer as they were."""
    _send(receivers, near.indptr, near.index, near.weight, senders)


def send_arcs(receivers: Receivers, target: Rows, weight: Float32s, senders: Senders) -> None:
    """Add ``weight[a]`` to the weight with which ``target[a]`` heard the a-th sender as it was before."""
    _send_arcs(receivers, target, weight, senders)


def sum_up(receivers: Receivers, rows: Rows, near: Neighbours, layer: Tensor) -> None:
    """Compute the sums of rows from themselves and all their neighbours, added up in float64."""
    exact = np.empty(receivers.sums.shape[1] - 2 * receivers.heads)
    _sum_up(receivers, rows, near.indptr, near.index, near.weight, layer.numpy(), exact)


def read(sums: Tensor, rows: Rows, heads: int) -> Tensor:
    """Attention-weighted means ``[n, width]``."""
    found = torch.empty(len(rows), sums.shape[1] - 3 * heads)
    _read(sums.numpy(), rows, heads, found.numpy())
    return found


@compiled
def _factor(receivers: Receivers, target: Integer, head: int, layer: Float32s, sent: np.float32) -> float:
    """The exponential of a score over the reference; minus 1, and the row is stale, where it is too great."""
    heads = receivers.heads
    width = layer.shape[1] - 2 * heads
    score = sent + layer[target, width + heads + head]
    over = max(score, receivers.slope * score) - receivers.sums[target, width + heads + head]
    if over > GREATEST:
        receivers.stale[target] = 1
        return -1.0
    return math.exp(over)


@compiled
def _weigh(receivers: Receivers, target: Integer, head: int, change: Number, width: int) -> None:
    """Change a denominator."""
    sums, heads = receivers.sums, receivers.heads
    total = np.float32(sums[target, width + head] + change)
    peak = max(total, sums[target, width + 2 * heads + head])
    sums[target, width + head] = total
    sums[target, width + 2 * heads + head] = peak
    if not total >= FALLEN * peak:
        receivers.stale[target] = 1


@compiled
def _send(receivers: Receivers, indptr: Rows, index: Rows, weight: Float32s, senders: Senders) -> None:
    sums, heads, layer, before = receivers.sums, receivers.heads, senders.layer, senders.before
    width = layer.shape[1] - 2 * heads
    last = index.size - 1
    for sender in range(senders.rows.size):
        row, place = senders.rows[sender], senders.place[sender]
        for at in range(indptr[sender], indptr[sender + 1]):
            target, soon = index[at], index[min(at + AHEAD, last)]
            prefetch(receivers.stale, soon)
            prefetch_row(sums, soon, 0, sums.shape[1])
            prefetch_row(layer, soon, width + heads, heads)
            for head in range(heads):
                if target >= receivers.limit or receivers.stale[target]:
                    break
                now = _factor(receivers, target, head, layer, layer[row, width + head])
                earlier = _factor(receivers, target, head, layer, before[place, width + head])
                if now < 0.0 or earlier < 0.0:
                    break
                add, take = np.float32(weight[at] * now), np.float32(weight[at] * earlier)
                _weigh(receivers, target, head, add - take, width)
                for column in range(head * (width // heads), (head + 1) * (width // heads)):
                    sums[target, column] += add * layer[row, column] - take * before[place, column]


@compiled
def _send_arcs(receivers: Receivers, target: Rows, weight: Float32s, senders: Senders) -> None:
    for at in range(target.size):
        if senders.place[at] < 0:
            _add(receivers, target[at], weight[at], senders.layer, senders.layer, senders.rows[at])
        else:
            _add(receivers, target[at], weight[at], senders.layer, senders.before, senders.place[at])


@compiled
def _add(
    receivers: Receivers, target: Integer, weight: np.float32, layer: Float32s, sent: Float32s, row: Integer
) -> None:
    sums, heads = receivers.sums, receivers.heads
    width = layer.shape[1] - 2 * heads
    for head in range(heads):
        if target >= receivers.limit or receivers.stale[target]:
            return
        factor = _factor(receivers, target, head, layer, sent[row, width + head])
        if factor < 0.0:
            return
        add = np.float32(weight * factor)
        _weigh(receivers, target, head, add, width)
        for column in range(head * (width // heads), (head + 1) * (width // heads)):
            sums[target, column] += add * sent[row, column]


@compiled
def _sum_up(
    receivers: Receivers,
    rows: Rows,
    indptr: Rows,
    index: Rows,
    weight: Float32s,
    layer: Float32s,
    exact: Float64s,
) -> None:
    sums, heads, slope = receivers.sums, receivers.heads, receivers.slope
    width = layer.shape[1] - 2 * heads
    each, last = width // heads, index.size - 1
    for at in range(rows.size):
        row = rows[at]
        for head in range(heads):
            score = layer[row, width + head] + layer[row, width + heads + head]
            sums[row, width + heads + head] = max(score, slope * score)
        for edge in range(indptr[at], indptr[at + 1]):
            prefetch_row(layer, index[min(edge + AHEAD, last)], 0, width + heads)
            for head in range(heads):
                score = layer[index[edge], width + head] + layer[row, width + heads + head]
                sums[row, width + heads + head] = max(sums[row, width + heads + head], score, slope * score)
        exact[:] = 0.0
        for edge in range(indptr[at], indptr[at + 1] + 1):
            itself = edge == indptr[at + 1]
            source = row if itself else np.int64(index[edge])
            times = 1.0 if itself else np.float64(weight[edge])
            for head in range(heads):
                score = layer[source, width + head] + layer[row, width + heads + head]
                factor = times * math.exp(max(score, slope * score) - sums[row, width + heads + head])
                exact[width + head] += factor
                for column in range(head * each, (head + 1) * each):
                    exact[column] += factor * layer[source, column]
        for column in range(width + heads):
            sums[row, column] = exact[column]
        for head in range(heads):
            sums[row, width + 2 * heads + head] = sums[row, width + head]


@compiled
def _read(sums: Float32s, rows: Rows, heads: int, found: Float32s) -> None:
    width = found.shape[1]
    each, last = width // heads, rows.size - 1
    for at in range(rows.size):
        row = rows[at]
        prefetch_row(sums, rows[min(at + AHEAD, last)], 0, width + heads)
        for head in range(heads):
            scale = np.float32(1.0) / sums[row, width + head]
            for column in range(head * each, (head + 1) * each):
                found[at, column] = sums[row, column] * scale
