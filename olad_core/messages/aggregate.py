"""Weighted sums over neighbours, the only operation of message passing besides attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

if TYPE_CHECKING:
    from olad_core.messages.block import Block


def aggregate(source: Tensor, weight: Tensor, block: Block) -> Tensor:
    """Sum the neighbours of every target: ``out[i] = sum_e weight[e] * source[sources[e]]``.

    Forward and backward are each one fused gather-and-sum over compressed rows; autograd's own
    backward of the forward took 30 times as long (18,000 edges, 64 wide).

    Args:
        source: ``[S, d]``.
        weight: ``[E]``, one for each edge of the block, sorted by target.
        block: edges from S sources to N targets.

    Returns:
        ``[N, d]``.
    """
    result: Tensor = _Aggregate.apply(source, weight, block)  # type: ignore[no-untyped-call]
    return result


def _gather_sum(source: Tensor, index: Tensor, offsets: Tensor, weight: Tensor) -> Tensor:
    return F.embedding_bag(index, source, offsets, mode="sum", per_sample_weights=weight, include_last_offset=True)


class _Aggregate(Function):
    @staticmethod
    def forward(ctx: Any, source: Tensor, weight: Tensor, block: Block) -> Tensor:
        ctx.save_for_backward(source, weight)
        ctx.block = block
        ctx.usual = weight is block.weight
        return _gather_sum(source, block.sources, block.offsets, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (grad,) = grads
        grad = grad.contiguous()
        source, weight = ctx.saved_tensors
        block: Block = ctx.block
        grad_source = grad_weight = None
        if ctx.needs_input_grad[0]:
            edges = block.transposed(source.shape[0])
            sent = edges.weight if ctx.usual else weight[edges.order]
            grad_source = _gather_sum(grad, edges.targets, edges.offsets, sent)
        if ctx.needs_input_grad[1]:
            grad_weight = (grad[block.target_of_edge] * source[block.sources]).sum(dim=1)
        return grad_source, grad_weight, None


def segment_softmax(score: Tensor, block: Block) -> Tensor:
    """Softmax of edge scores ``[E, H]`` over the edges of each target; empty targets are fine."""
    target = block.target_of_edge.unsqueeze(1).expand_as(score)
    shape = (block.num_targets, score.shape[1])
    highest = score.new_full(shape, -torch.inf).scatter_reduce(0, target, score.detach(), "amax")
    exponential = (score - highest.gather(0, target)).exp()
    total = score.new_zeros(shape).scatter_add(0, target, exponential)
    return exponential / total.gather(0, target)
