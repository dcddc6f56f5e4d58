"""Attention over neighbours where edges have features: means of rows, and sums of the features that go with them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from olad_core.device import has_loops
from olad_core.graph.compiled import compiled, prefetch_row
from olad_core.messages.block import Block

Floats = npt.NDArray[np.floating[Any]]
Int64s = npt.NDArray[np.int64]


class Attended(NamedTuple):
    """What targets receive.

    Attributes:
        rows: ``[N, width]``, attention-weighted means of rows over the neighbours and the node itself.
        x: ``[N, heads, D]``, attention-weighted sums of the features of the edges.
    """

    rows: Tensor
    x: Tensor


def attend_to_edges(prepared: Tensor, heads: int, block: Block, slope: float, terms: Tensor) -> Attended:
    """Attend to neighbours along edges that have features.

    Args:
        prepared: ``[S, width + 2 heads]``: rows, then what they add to scores as senders and as receivers.
        heads: number of heads.
        block: edges from S sources to N targets, with features.
        slope: of the leaky ReLU below zero.
        terms: ``[E, heads]``, what each edge adds to scores.
    """
    if torch.is_grad_enabled() or not has_loops(prepared):
        return by_operations(prepared, heads, block, slope, terms)
    assert block.x is not None, "edges have features"
    width = prepared.shape[1] - 2 * heads
    found = Attended(
        prepared.new_empty(block.num_targets, width), prepared.new_zeros(block.num_targets, heads, block.x.shape[1])
    )
    most = int(block.offsets.diff().max()) if block.num_targets else 0
    _attend(
        prepared.numpy(),
        _Edges(*(held.numpy() for held in (block.targets, block.sources, block.offsets, block.weight, block.x, terms))),
        np.float32(slope),
        np.empty((most + 1, heads)),
        found.rows.numpy(),
        found.x.numpy(),
    )
    return found


def by_operations(prepared: Tensor, heads: int, block: Block, slope: float, terms: Tensor) -> Attended:
    """The same as operations on tensors, with gradients."""
    assert block.x is not None, "edges have features"
    width = prepared.shape[1] - 2 * heads
    sent, own, target = prepared[block.sources], block.own(prepared), block.target_of_edge
    wanted = own[:, width + heads :]
    score = F.leaky_relu(sent[:, width : width + heads] + wanted[target] + terms, slope)
    own_score = F.leaky_relu(own[:, width : width + heads] + wanted, slope)
    by_head = target.unsqueeze(1).expand_as(score)
    peak = own_score.detach().scatter_reduce(0, by_head, score.detach(), "amax")
    part = (score - peak[target]).exp() * block.weight.unsqueeze(1)
    own_part = (own_score - peak).exp()
    total = own_part.scatter_add(0, by_head, part)
    share = (part / total[target]).unsqueeze(2)
    rows = own[:, :width].view(len(own), heads, width // heads) * (own_part / total).unsqueeze(2)
    rows = rows.index_add(0, target, sent[:, :width].view(len(sent), heads, width // heads) * share)
    x = rows.new_zeros(len(own), heads, block.x.shape[1])
    return Attended(rows.flatten(1), x.index_add(0, target, share * block.x.unsqueeze(1)))


class _Edges(NamedTuple):
    """The arrays of a block, in a form that compiled loops take."""

    targets: Int64s
    sources: Int64s
    offsets: Int64s
    weight: Floats
    x: Floats
    terms: Floats


@compiled
def _share_out(
    prepared: Floats, edges: _Edges, target: int, head: int, first: int, slope: np.float32, share: Floats
) -> None:
    """Fill in the softmax of the scores of one head: of the edges of a target, and last of the node itself."""
    begin, end = edges.offsets[target], edges.offsets[target + 1]
    own, heads, last = edges.targets[target], edges.terms.shape[1], edges.offsets[target + 1] - edges.offsets[target]
    wants = prepared[own, first + heads + head]
    score = prepared[own, first + head] + wants
    share[last, head] = peak = max(score, slope * score)
    for edge in range(begin, end):
        score = prepared[edges.sources[edge], first + head] + wants + edges.terms[edge, head]
        share[edge - begin, head] = max(score, slope * score)
        peak = max(peak, share[edge - begin, head])
    total = share[last, head] = math.exp(share[last, head] - peak)
    for at in range(last):
        share[at, head] = math.exp(share[at, head] - peak) * edges.weight[begin + at]
        total += share[at, head]
    for at in range(last + 1):
        share[at, head] /= total


@compiled
def _attend(prepared: Floats, edges: _Edges, slope: np.float32, share: Floats, rows: Floats, x: Floats) -> None:
    width, heads, end = rows.shape[1], edges.terms.shape[1], edges.sources.size - 1
    each = width // heads
    for target in range(edges.targets.size):
        begin, last = edges.offsets[target], edges.offsets[target + 1] - edges.offsets[target]
        for at in range(last):
            prefetch_row(prepared, edges.sources[min(begin + last + at, end)], 0, prepared.shape[1])
        for head in range(heads):
            _share_out(prepared, edges, target, head, width, slope, share)
            part = np.float32(share[last, head])
            for column in range(head * each, (head + 1) * each):
                rows[target, column] = part * prepared[edges.targets[target], column]
        for at in range(last):
            source = edges.sources[begin + at]
            for head in range(heads):
                part = np.float32(share[at, head])
                for column in range(head * each, (head + 1) * each):
                    rows[target, column] += part * prepared[source, column]
                for column in range(x.shape[2]):
                    x[target, head, column] += part * edges.x[begin + at, column]
