"""Attention over neighbours as compiled loops, for a CPU."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.autograd import Function

from olad_core.graph.compiled import compiled, prefetch_row
from olad_core.messages.block import Block

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]


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


class _Attend(Function):
    @staticmethod
    def forward(ctx: Any, prepared: Tensor, heads: int, block: Block, slope: float) -> Tensor:
        ctx.save_for_backward(prepared)
        most = int(block.offsets.diff().max()) if block.num_targets else 0
        ctx.attention = _Attention(
            block.targets.numpy(),
            block.sources.numpy(),
            block.offsets.numpy(),
            block.weight.numpy(),
            heads,
            np.float32(slope),
            np.empty(most + 1, np.int64),
            prepared.new_empty(most + 1).numpy(),
        )
        found = prepared.new_empty(block.num_targets, prepared.shape[1] - 2 * heads)
        shares, peak = prepared.new_empty(most + 1, heads).numpy(), prepared.new_empty(heads).numpy()
        _attend(prepared.numpy(), ctx.attention, shares, peak, np.empty(heads), found.numpy())
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
def _share_out(
    prepared: Floats, attention: _Attention, target: int, count: int, shares: Floats, peak: Floats, total: Float64s
) -> None:
    """Fill in ``shares`` ``[count + 1, heads]`` for the target in ``near``: every head's softmax of the scores."""
    heads, slope, near = attention.heads, attention.slope, attention.near
    sent = prepared.shape[1] - 2 * heads
    for head in range(heads):
        total[head] = 0.0
        peak[head] = -np.inf
    for at in range(count + 1):
        for head in range(heads):
            score = prepared[near[at], sent + head] + prepared[near[count], sent + heads + head]
            shares[at, head] = max(score, slope * score)
            peak[head] = max(peak[head], shares[at, head])
    begin = attention.offsets[target]
    for at in range(count + 1):
        for head in range(heads):
            shares[at, head] = math.exp(shares[at, head] - peak[head])
            if at < count:
                shares[at, head] *= attention.weight[begin + at]
            total[head] += shares[at, head]
    for at in range(count + 1):
        for head in range(heads):
            shares[at, head] /= total[head]


@compiled
def _attend(
    prepared: Floats, attention: _Attention, shares: Floats, peak: Floats, total: Float64s, found: Floats
) -> None:
    width, near, heads = found.shape[1] // attention.heads, attention.near, attention.heads
    for target in range(attention.targets.size):
        count = _gather(attention, target)
        for at in range(count + 1):
            prefetch_row(prepared, near[at], 0, prepared.shape[1])
        _share_out(prepared, attention, target, count, shares, peak, total)
        for head in range(heads):
            for column in range(head * width, (head + 1) * width):
                found[target, column] = shares[count, head] * prepared[near[count], column]
        # Neighbour by neighbour, so that each of their rows is read once.
        for at in range(count):
            for head in range(heads):
                for column in range(head * width, (head + 1) * width):
                    found[target, column] += shares[at, head] * prepared[near[at], column]


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
