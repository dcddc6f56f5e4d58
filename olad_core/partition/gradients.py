"""Sums over all ranks, of the same bytes at each of them: gradients, with what else is summed in a step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from olad_core.graph.arrays import Float32s
from olad_core.partition.exchange import Outgoing, Superstep, to_all


def summed(values: Float32s, rank: int, ranks: int, kind: str) -> Superstep[Float32s]:
    """The sum of what all ranks have, ``[n]``, added up in the order of ranks.

    Each rank adds up one part of the values and sends it to all others: together twice the size, however many ranks.
    """
    if ranks == 1:
        return values
    parts = np.array_split(values, ranks)
    sent = [part[:0] if to == rank else part for to, part in enumerate(parts)]
    received = list((yield Outgoing(kind, sent)))
    received[rank] = parts[rank]
    total = np.zeros(parts[rank].size, np.float64)
    for each in received:
        total += each
    own = total.astype(np.float32)
    found = list((yield to_all(f"sums of {kind}", own, rank, ranks)))
    found[rank] = own
    return np.concatenate(found)


def sum_gradients(weights: Sequence[nn.Parameter], others: Tensor, rank: int, ranks: int) -> Superstep[Tensor]:
    """Replace the gradients of weights by their sums over all ranks; a weight that no rank has one of gets none.

    Args:
        weights: the same at all ranks.
        others: ``[n]``, what else is summed.
        rank: this one.
        ranks: how many there are.

    Returns:
        The sums of the others.
    """
    there = torch.tensor([float(weight.grad is not None) for weight in weights])
    parts = [torch.zeros(weight.numel()) if weight.grad is None else weight.grad.flatten() for weight in weights]
    own = torch.cat([others, there, *parts]).numpy()
    total = torch.from_numpy((yield from summed(own, rank, ranks, "gradients")))
    sizes = [weight.numel() for weight in weights]
    sums, known, *gradients = torch.split_with_sizes(total, [others.numel(), len(weights), *sizes])
    for weight, has, gradient in zip(weights, known.tolist(), gradients, strict=True):
        weight.grad = gradient.view_as(weight).clone() if has else None
    return sums
