"""One layer's worth of message passing: targets, their neighbours, and the weights between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Block:
    """Edges from S source rows to N target rows, sorted by target.

    The same block type serves exact inference, where sources are rows of the whole graph and no neighbour
    is left out, and training, where sources are the rows of a sample. Degrees are always those of the whole
    graph. In a sample the weights of a target's neighbours are scaled up by the share that was left out, so
    that sums over them are unbiased.

    Attributes:
        targets: int64 ``[N]``, each target's own row among the sources.
        sources: int64 ``[E]``, source row of each edge.
        offsets: int64 ``[N + 1]``, where the edges of each target begin.
        weight: float32 ``[E]``, edge weights.
        target_degree: float32 ``[N]``, weighted in-degree in the whole graph, the self-loop included.
        source_degree: float32 ``[E]``, the same for the source of each edge.
    """

    targets: Tensor
    sources: Tensor
    offsets: Tensor
    weight: Tensor
    target_degree: Tensor
    source_degree: Tensor

    @property
    def num_targets(self) -> int:
        """N."""
        return self.targets.shape[0]

    @cached_property
    def target_of_edge(self) -> Tensor:
        """int64 ``[E]``: which target each edge points to."""
        positions = torch.arange(self.num_targets, device=self.offsets.device)
        return torch.repeat_interleave(positions, self.offsets.diff(), output_size=self.sources.shape[0])

    @cached_property
    def symmetric_weight(self) -> Tensor:
        """float32 ``[E]``: ``w / sqrt(d_target * d_source)``, the normalisation of GCN (Kipf & Welling, eq. 2)."""
        # The roots first: the product of two degrees may not fit into float32.
        return self.weight / (self.target_degree.sqrt()[self.target_of_edge] * self.source_degree.sqrt())

    @cached_property
    def self_weight(self) -> Tensor:
        """float32 ``[N, 1]``: the weight ``1 / d`` of GCN's self-loop."""
        return self.target_degree.reciprocal().unsqueeze(1)

    @cached_property
    def mean_weight(self) -> Tensor:
        """float32 ``[E]``: weights that sum to one for each target, for a weighted mean."""
        total = self.weight.new_zeros(self.num_targets).index_add(0, self.target_of_edge, self.weight)
        return self.weight / total[self.target_of_edge]

    def transposed(self, num_sources: int) -> tuple[Tensor, Tensor]:
        """The edges sorted by source: their order ``[E]`` and where each source's begin ``[S + 1]``."""
        if num_sources not in self._transposed:
            order = torch.argsort(self.sources, stable=True)
            counts = torch.bincount(self.sources, minlength=num_sources)
            self._transposed[num_sources] = order, torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return self._transposed[num_sources]

    @cached_property
    def _transposed(self) -> dict[int, tuple[Tensor, Tensor]]:
        return {}
