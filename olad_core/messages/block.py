"""One layer's worth of message passing: targets, their neighbours, and the weights between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from olad_core.messages.by_source import BySource, by_source


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
    """

    targets: Tensor
    sources: Tensor
    offsets: Tensor
    weight: Tensor
    in_weight: Tensor
    leading: bool = False

    @property
    def num_targets(self) -> int:
        """N."""
        return self.targets.shape[0]

    def own(self, rows: Tensor) -> Tensor:
        """The targets' own rows among those of the sources: ``[N, ...]`` of ``[S, ...]``."""
        return rows[: self.num_targets] if self.leading else rows.index_select(0, self.targets)

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
