"""What a student makes of the features of edges."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from olad_core.messages.block import Block

NOISE = 0.1
"""Standard deviation of the initial weights, times the root of the number of features."""


class EdgeMaps(nn.Module):
    """A map of the features of an edge for each type of edges: a term of the message along it.

    Args:
        features: D, the number of features of an edge.
        outputs: width of the term.
        relations: number of types.
    """

    def __init__(self, features: int, outputs: int, relations: int) -> None:
        super().__init__()
        self.maps = nn.Parameter(torch.randn(relations, features, outputs) * (NOISE * features**-0.5))

    def of_sums(self, sums: Tensor, targets: int) -> Tensor:
        """The sum of the terms of all edges of each target: ``[N, outputs]``.

        Args:
            sums: ``[N R, D]``, weighted sums of features for each target and type. Types and features that were
                declared after the student was made are passed over.
            targets: N.
        """
        types, features, _ = self.maps.shape
        by_type = sums.view(targets, -1, sums.shape[1]) if targets else sums.view(0, types, sums.shape[1])
        known = by_type[:, :types, :features]
        return known.flatten(1) @ self.maps[: known.shape[1], : known.shape[2]].flatten(0, 1)

    def of_edges(self, x: Tensor, relation: Tensor) -> Tensor:
        """The term of each edge: ``[E, outputs]``, of ``[E, D]`` features and ``[E]`` numbers of types."""
        types, features, outputs = self.maps.shape
        terms = x.new_zeros(len(x), outputs)
        for number in range(types):
            places = torch.nonzero(relation == number).squeeze(1)
            if len(places):
                known = x[places, :features]
                terms = terms.index_copy(0, places, known @ self.maps[number, : known.shape[1]])
        return terms


def sum_features(block: Block, weight: Tensor) -> Tensor:
    """Weighted sums of the features of edges for each target and type: ``[N R, D]``.

    Args:
        block: whose edges have features.
        weight: ``[E]``.
    """
    assert block.x is not None, "edges have features"
    offsets = block.offsets if block.by_relation is None else block.by_relation
    each = torch.arange(len(block.x), device=block.x.device)
    sums: Tensor = F.embedding_bag(
        each, block.x.to(weight.dtype), offsets, mode="sum", per_sample_weights=weight, include_last_offset=True
    )
    return sums
