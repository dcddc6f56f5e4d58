"""Sorting edges by their source, in one pass."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.graph.compiled import compiled

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


def by_source(sources: Tensor, offsets: Tensor, weight: Tensor, num_sources: int) -> BySource:
    """Sort the edges of a block.

    Args:
        sources: int64 ``[E]``, source of each edge, the edges being sorted by target.
        offsets: int64 ``[N + 1]``, where the edges of each target begin.
        weight: ``[E]``.
        num_sources: S.
    """
    if sources.device.type != "cpu":
        order = torch.argsort(sources, stable=True)
        targets = torch.repeat_interleave(offsets.diff(), output_size=len(sources))[order]
        counts = torch.bincount(sources, minlength=num_sources)
        return BySource(order, targets, torch.cat([counts.new_zeros(1), counts.cumsum(0)]), weight[order])
    found = BySource(
        torch.empty_like(sources),
        torch.empty_like(sources),
        offsets.new_zeros(num_sources + 1),
        torch.empty_like(weight),
    )
    edges = sources.numpy(), offsets.numpy(), weight.detach().numpy()
    _counting_sort(*edges, np.zeros(num_sources, np.int64), _Sorted(*(each.numpy() for each in found)))
    return found


class _Sorted(NamedTuple):
    """The arrays of :class:`BySource`."""

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
