"""Attention over neighbours as one compiled loop, for inference on a CPU."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.graph.compiled import compiled
from olad_core.students.block import Block

Float32s = npt.NDArray[np.float32]
Int64s = npt.NDArray[np.int64]


def attend(prepared: Tensor, heads: int, block: Block, slope: float) -> Tensor:
    """Attention-weighted means over the neighbours and the node itself, without intermediate results an edge.

    Only rows that the block names are read, however many sources there are.

    Args:
        prepared: float32 ``[S, width + 2 heads]``: rows, then what they add to scores as senders and as receivers.
        heads: number of heads.
        block: edges from S sources to N targets.
        slope: of the leaky ReLU below zero.

    Returns:
        ``[N, width]``; no gradient passes through it.
    """
    found = torch.empty(block.num_targets, prepared.shape[1] - 2 * heads)
    edges = _Edges(block.targets.numpy(), block.sources.numpy(), block.offsets.numpy(), block.weight.numpy())
    _attend(prepared.numpy(), heads, edges, np.float32(slope), found.numpy())
    return found


class _Edges(NamedTuple):
    """The arrays of a block, in a form that compiled loops take."""

    targets: Int64s
    sources: Int64s
    offsets: Int64s
    weight: Float32s


@compiled
def _attend(prepared: Float32s, heads: int, edges: _Edges, slope: np.float32, found: Float32s) -> None:
    width = found.shape[1] // heads
    sent, wanted = found.shape[1], found.shape[1] + heads
    for target in range(edges.targets.size):
        own = edges.targets[target]
        begin, end = edges.offsets[target], edges.offsets[target + 1]
        for head in range(heads):
            wants = prepared[own, wanted + head]
            score = prepared[own, sent + head] + wants
            own_score = max(score, slope * score)
            peak = own_score
            for edge in range(begin, end):
                score = prepared[edges.sources[edge], sent + head] + wants
                peak = max(peak, score, slope * score)
            first = head * width
            factor = np.float32(math.exp(own_score - peak))
            total = np.float64(factor)
            for column in range(first, first + width):
                found[target, column] = factor * prepared[own, column]
            for edge in range(begin, end):
                source = edges.sources[edge]
                score = prepared[source, sent + head] + wants
                factor = np.float32(edges.weight[edge] * math.exp(max(score, slope * score) - peak))
                total += factor
                for column in range(first, first + width):
                    found[target, column] += factor * prepared[source, column]
            scale = np.float32(1.0 / total)
            for column in range(first, first + width):
                found[target, column] *= scale
