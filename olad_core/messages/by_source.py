"""Sorting edges by their source, in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.graph.compiled import compiled

if TYPE_CHECKING:
    from olad_core.messages.block import Block

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]


class BySource(NamedTuple):
    """The edges of a block sorted by their source, which is how gradients travel.

    Attributes:
        order: int64 ``[E]``, which edges they are; those of one source as they stood.
        targets: int64 ``[E]``, target of each.
        offsets: int64 ``[S + 1]``, where the edges of each source begin.
        weight: float32 ``[E]``, their weights.
    """

    order: Tensor
    targets: Tensor
    offsets: Tensor
    weight: Tensor


def by_source(block: Block, num_sources: int) -> BySource:
    """Sort the edges of a block, S being ``num_sources``."""
    sources, weight = block.sources, block.weight
    if sources.device.type != "cpu":
        order = torch.argsort(sources, stable=True)
        counts = torch.bincount(sources, minlength=num_sources)
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return BySource(order, block.target_of_edge[order], offsets, weight[order])
    order, targets = torch.empty_like(sources), torch.empty_like(sources)
    found = BySource(order, targets, sources.new_zeros(num_sources + 1), torch.empty_like(weight))
    edges = sources.numpy(), block.offsets.numpy(), weight.detach().numpy()
    _counting_sort(*edges, np.zeros(num_sources, np.int64), _Sorted(*(each.numpy() for each in found)))
    return found


class _Sorted(NamedTuple):
    """The arrays of :class:`BySource`, in a form that compiled loops take."""

    order: Int64s
    targets: Int64s
    offsets: Int64s
    weight: Floats


@compiled
def _counting_sort(sources: Int64s, offsets: Int64s, weight: Floats, place: Int64s, found: _Sorted) -> None:
    for at in range(sources.size):
        found.offsets[sources[at] + 1] += 1
    for source in range(place.size):
        place[source] = found.offsets[source]
        found.offsets[source + 1] += found.offsets[source]
    for target in range(offsets.size - 1):
        for at in range(offsets[target], offsets[target + 1]):
            to = place[sources[at]]
            place[sources[at]] += 1
            found.order[to] = at
            found.targets[to] = target
            found.weight[to] = weight[at]
