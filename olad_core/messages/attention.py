"""Attention over neighbours as compiled loops, for a CPU."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.autograd import Function

from olad_core.graph.compiled import AHEAD, compiled, prefetch_row
from olad_core.messages.block import Block

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]

_HALF, _ONE = np.float32(0.5), np.float32(1)
_LOWEST, _LOG2_E = np.float32(-87), np.float32(1.44269504)
# The logarithm of 2 in two parts: the first has so few bits that its products with whole numbers are exact.
_LN2, _LN2_REST = np.float32(0.693359375), np.float32(-2.12194440e-4)
# The series of the exponential function between -ln(2) / 2 and ln(2) / 2, from x^2 to x^7 (Cephes, expf).
_E2, _E3, _E4 = np.float32(5.0000001201e-1), np.float32(1.6666665459e-1), np.float32(4.1665795894e-2)
_E5, _E6, _E7 = np.float32(8.3334519073e-3), np.float32(1.3981999507e-3), np.float32(1.9875691500e-4)


def attend(prepared: Tensor, heads: int, block: Block, slope: float) -> Tensor:
    """Attention-weighted means over the neighbours and the node itself, without intermediate results an edge.

    Only rows that the block names are read, however many sources there are.

    Args:
        prepared: ``[S, width + 2 heads]``: rows, then what they add to scores as senders and as receivers.
        heads: number of heads.
        block: edges from S sources to N targets.
        slope: of the leaky ReLU below zero.

    Returns:
        ``[N, width]``.
    """
    result: Tensor = _Attend.apply(prepared, heads, block, slope)  # type: ignore[no-untyped-call]
    return result


def attend_in_part(prepared: Tensor, heads: int, block: Block, slope: float) -> Tensor:
    """Attention-weighted means over some of the neighbours and the node itself, to which others can be joined.

    Arguments are those of :func:`attend`, without gradients.

    Returns:
        ``[N, width + 2 heads]``: means, then the highest score of each head, and the sum of the exponentials of the
        scores less the highest.
    """
    width = prepared.shape[1] - 2 * heads
    found = prepared.new_empty(block.num_targets, width + 2 * heads)
    _run(prepared, heads, block, slope, found[:, :width], found[:, width:])
    return found


def join_parts(prepared: Tensor, heads: int, block: Block, slope: float, parts: Tensor) -> Tensor:
    """Attention-weighted means over all neighbours, from means over some of them.

    Args:
        prepared: as for :func:`attend`.
        heads: number of heads.
        block: edges from the other neighbours.
        slope: of the leaky ReLU below zero.
        parts: of :func:`attend_in_part`, in the same rows as ``prepared``.

    Returns:
        ``[N, width]``.
    """
    found = prepared.new_empty(block.num_targets, prepared.shape[1] - 2 * heads)
    attention = _arrays(prepared, heads, block, slope)
    shares = prepared.new_empty(len(attention.near) * heads).numpy()
    _join(prepared.numpy(), attention, parts.numpy(), shares, np.empty(heads), found.numpy())
    return found


def _arrays(prepared: Tensor, heads: int, block: Block, slope: float) -> _Attention:
    most = int(block.offsets.diff().max()) if block.num_targets else 0
    return _Attention(
        block.targets.numpy(),
        block.sources.numpy(),
        block.offsets.numpy(),
        block.weight.numpy(),
        heads,
        np.float32(slope),
        np.empty(most + 1, np.int64),
        prepared.new_empty(most + 1).numpy(),
    )


def _run(prepared: Tensor, heads: int, block: Block, slope: float, found: Tensor, mass: Tensor) -> _Attention:
    """Fill in the means, and where ``mass`` has columns, the highest scores and the sums of exponentials."""
    attention = _arrays(prepared, heads, block, slope)
    shares, peak = prepared.new_empty(len(attention.near) * heads).numpy(), prepared.new_empty(heads).numpy()
    _attend(prepared.numpy(), attention, shares, peak, np.empty(heads), found.numpy(), mass.numpy())
    return attention


class _Attend(Function):
    @staticmethod
    def forward(ctx: Any, prepared: Tensor, heads: int, block: Block, slope: float) -> Tensor:
        ctx.save_for_backward(prepared)
        found = prepared.new_empty(block.num_targets, prepared.shape[1] - 2 * heads)
        ctx.attention = _run(prepared, heads, block, slope, found, found[:, :0])
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (grad,) = grads
        (prepared,) = ctx.saved_tensors
        found = torch.zeros_like(prepared)
        pull = np.empty_like(ctx.attention.share)
        _attend_backward(prepared.numpy(), ctx.attention, grad.contiguous().numpy(), pull, found.numpy())
        return found, None, None, None


class _Attention(NamedTuple):
    """The arrays of a block and the parameters of attention, in a form that compiled loops take.

    ``near`` and ``share`` are buffers for one target: the rows of its neighbours and last its own, and their
    attention coefficients.
    """

    targets: Int64s
    sources: Int64s
    offsets: Int64s
    weight: Floats
    heads: int
    slope: np.float32
    near: Int64s
    share: Floats


@compiled
def _gather(attention: _Attention, target: int) -> int:
    """Fill in ``near`` for a target; returns how many neighbours it has, which is the place of its own row."""
    begin = attention.offsets[target]
    count = int(attention.offsets[target + 1] - begin)
    for at in range(count):
        attention.near[at] = attention.sources[begin + at]
    attention.near[count] = attention.targets[target]
    return count


@compiled
def _weigh(prepared: Floats, attention: _Attention, target: int, count: int, head: int) -> None:
    """Fill in ``share`` for the target in ``near``: the softmax of the scores."""
    sent = prepared.shape[1] - 2 * attention.heads + head
    near, share, slope = attention.near, attention.share, attention.slope
    wants = prepared[near[count], sent + attention.heads]
    for at in range(count + 1):
        score = prepared[near[at], sent] + wants
        share[at] = max(score, slope * score)
    peak = share[count]
    for at in range(count):
        peak = max(peak, share[at])
    begin = attention.offsets[target]
    total = 0.0
    for at in range(count + 1):
        share[at] = math.exp(share[at] - peak)
        if at < count:
            share[at] *= attention.weight[begin + at]
        total += share[at]
    for at in range(count + 1):
        share[at] /= total


@compiled
def _exponentiate(values: Floats, count: int) -> None:
    """Replace the first values, none above 0, by their exponentials.

    The relative error is below 1e-7; what is below -87 counts as -87. ``math.exp`` is a call for each value, while
    the compiler does many of these at once. Each value depends on itself alone, wherever it stands.
    """
    for at in range(count):
        value = max(values[at], _LOWEST)  # What is no number stays none.
        power = np.floor(value * _LOG2_E + _HALF)
        rest = value - power * _LN2 - power * _LN2_REST
        series = ((((_E7 * rest + _E6) * rest + _E5) * rest + _E4) * rest + _E3) * rest + _E2
        # A float32's exponent stands in bits 23 to 30, 127 too high.
        scale = np.int32((np.int32(power) + 127) << 23).view(np.float32)
        values[at] = (series * rest * rest + rest + _ONE) * scale


@compiled
def _share_out(
    prepared: Floats, attention: _Attention, target: int, count: int, shares: Floats, peak: Floats, total: Float64s
) -> None:
    """Fill in ``shares`` for the target in ``near``, neighbour by neighbour: every head's softmax of the scores."""
    heads, slope, near = attention.heads, attention.slope, attention.near
    sent = prepared.shape[1] - 2 * heads
    for head in range(heads):
        total[head] = 0.0
        peak[head] = -np.inf
    for at in range(count + 1):
        for head in range(heads):
            score = prepared[near[at], sent + head] + prepared[near[count], sent + heads + head]
            shares[at * heads + head] = max(score, slope * score)
            peak[head] = max(peak[head], shares[at * heads + head])
    begin = attention.offsets[target]
    for at in range(count + 1):
        for head in range(heads):
            shares[at * heads + head] -= peak[head]
    _exponentiate(shares, (count + 1) * heads)
    for at in range(count):
        weight = attention.weight[begin + at]
        for head in range(heads):
            shares[at * heads + head] *= weight
            total[head] += shares[at * heads + head]
    for head in range(heads):
        total[head] += shares[count * heads + head]
    for at in range(count + 1):
        for head in range(heads):
            shares[at * heads + head] /= total[head]


@compiled
def _attend(
    prepared: Floats, attention: _Attention, shares: Floats, peak: Floats, total: Float64s, found: Floats, mass: Floats
) -> None:
    width, near, heads = found.shape[1] // attention.heads, attention.near, attention.heads
    for target in range(attention.targets.size):
        count = _gather(attention, target)
        for at in range(count + 1):
            prefetch_row(prepared, near[at], 0, prepared.shape[1])
        _share_out(prepared, attention, target, count, shares, peak, total)
        own = near[count]
        for head in range(heads if mass.shape[1] else 0):
            mass[target, head], mass[target, heads + head] = peak[head], total[head]
        for head in range(heads):
            share = shares[count * heads + head]
            for column in range(head * width, (head + 1) * width):
                found[target, column] = share * prepared[own, column]
        # Neighbour by neighbour, so that each of their rows is read once.
        for at in range(count):
            source = near[at]
            for head in range(heads):
                share = shares[at * heads + head]
                for column in range(head * width, (head + 1) * width):
                    found[target, column] += share * prepared[source, column]


@compiled
def _join(
    prepared: Floats, attention: _Attention, parts: Floats, shares: Floats, total: Float64s, found: Floats
) -> None:
    heads, slope, last = attention.heads, attention.slope, attention.targets.size - 1
    width = found.shape[1] // heads
    sent = heads * width
    for target in range(attention.targets.size):
        row, soon = attention.targets[target], attention.targets[min(target + AHEAD, last)]
        prefetch_row(parts, soon, 0, parts.shape[1])
        prefetch_row(prepared, soon, sent, 2 * heads)
        begin = attention.offsets[target]
        count = attention.offsets[target + 1] - begin
        for head in range(heads):
            peak = parts[row, sent + head]
            shares[count * heads + head] = peak
            for at in range(count):
                score = prepared[attention.sources[begin + at], sent + head] + prepared[row, sent + heads + head]
                shares[at * heads + head] = max(score, slope * score)
                peak = max(peak, shares[at * heads + head])
            for at in range(count + 1):
                shares[at * heads + head] -= peak
        _exponentiate(shares, (count + 1) * heads)
        for head in range(heads):
            shares[count * heads + head] *= parts[row, sent + heads + head]
            total[head] = shares[count * heads + head]
            for at in range(count):
                shares[at * heads + head] *= attention.weight[begin + at]
                total[head] += shares[at * heads + head]
            share = np.float32(shares[count * heads + head] / total[head])
            for column in range(head * width, (head + 1) * width):
                found[target, column] = share * parts[row, column]
        for at in range(count):
            source = attention.sources[begin + at]
            for head in range(heads):
                share = np.float32(shares[at * heads + head] / total[head])
                for column in range(head * width, (head + 1) * width):
                    found[target, column] += share * prepared[source, column]


@compiled
def _attend_backward(prepared: Floats, attention: _Attention, grad: Floats, pull: Floats, found: Floats) -> None:
    width = grad.shape[1] // attention.heads
    near, share, slope = attention.near, attention.share, attention.slope
    for target in range(attention.targets.size):
        count = _gather(attention, target)
        own = near[count]
        for head in range(attention.heads):
            _weigh(prepared, attention, target, count, head)
            first = head * width
            sent, wanted = grad.shape[1] + head, grad.shape[1] + attention.heads + head
            mean = 0.0
            for at in range(count + 1):
                like = 0.0
                for column in range(first, first + width):
                    like += grad[target, column] * prepared[near[at], column]
                pull[at] = like
                mean += share[at] * like
            for at in range(count + 1):
                source = near[at]
                for column in range(first, first + width):
                    found[source, column] += share[at] * grad[target, column]
                pulled = share[at] * (pull[at] - mean)
                if prepared[source, sent] + prepared[own, wanted] <= 0:
                    pulled *= slope
                found[source, sent] += pulled
                found[own, wanted] += pulled
