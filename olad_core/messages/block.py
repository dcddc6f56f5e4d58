"""One layer's worth of message passing: targets, their neighbours, and the weights between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.device import has_loops
from olad_core.graph.compiled import compiled

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]


class BySource(NamedTuple):
    """The edges of a block sorted by their source, as the backward pass needs them.

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


@dataclass(frozen=True)
class Block:
    """Edges from S source rows to N target rows, sorted by target.

    The same block type serves exact inference, where no neighbour is left out, and training, where the weights
    of a target's sampled neighbours are scaled up by the share that was left out, so that sums over them are
    unbiased. Degrees are always those of the whole graph.

    Attributes:
        targets: int64 ``[N]``, each target's own row among the sources.
        sources: int64 ``[E]``, source row of each edge.
        offsets: int64 ``[N + 1]``, where the edges of each target begin.
        weight: float32 ``[E]``, edge weights.
        in_weight: float32 ``[S]``, sum of the weights of a source row's incoming edges in the whole graph.
        leading: whether the targets are the first N sources, one after the other.
        by_relation: int64 ``[N R + 1]``, where the graph has R types of edges: where the edges of each target and type
            begin. None where it has one type.
        x: float32 ``[E, D]``, mean features of the edges as they enter; None where edges have none.
    """

    targets: Tensor
    sources: Tensor
    offsets: Tensor
    weight: Tensor
    in_weight: Tensor
    leading: bool = False
    by_relation: Tensor | None = None
    x: Tensor | None = None

    @property
    def num_targets(self) -> int:
        """N."""
        return self.targets.shape[0]

    def own(self, rows: Tensor) -> Tensor:
        """The targets' own rows among those of the sources: ``[N, ...]`` of ``[S, ...]``."""
        return rows[: self.num_targets] if self.leading else rows.index_select(0, self.targets)

    @cached_property
    def of_types(self) -> Block:
        """The same edges into N R targets: each target once for each type of edges, R times in a row."""
        if self.by_relation is None:
            return self
        types = (self.by_relation.shape[0] - 1) // max(self.num_targets, 1)
        targets = self.targets.repeat_interleave(types)
        return Block(targets, self.sources, self.by_relation, self.weight, self.in_weight, x=self.x)

    @cached_property
    def target_of_edge(self) -> Tensor:
        """int64 ``[E]``: which target each edge points to."""
        positions = torch.arange(self.num_targets, device=self.offsets.device)
        return torch.repeat_interleave(positions, self.offsets.diff(), output_size=self.sources.shape[0])

    def transposed(self, num_sources: int) -> BySource:
        """The edges sorted by source, S being ``num_sources``."""
        if num_sources not in self._transposed:
            self._transposed[num_sources] = by_source(self, num_sources)
        return self._transposed[num_sources]

    @cached_property
    def _transposed(self) -> dict[int, BySource]:
        return {}


def by_source(block: Block, num_sources: int) -> BySource:
    """Sort the edges of a block, S being ``num_sources``."""
    sources, weight = block.sources, block.weight
    if not has_loops(sources):
        ordered, order = torch.sort(sources, stable=True)
        offsets = torch.searchsorted(ordered, torch.arange(num_sources + 1, device=sources.device))
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
