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

    def of_edges(self, x: Tensor, relation: Tensor, first: int) -> Tensor:
        """Columns of the terms of each edge, those from ``first`` on: ``[E, outputs - first]``.

        Args:
            x: ``[E, D]``.
            relation: ``[E]``, numbers of types.
            first: column.
        """
        types, features, outputs = self.maps.shape
        known = x[:, :features]
        all_types = known @ self.maps[:, : known.shape[1], first:].transpose(0, 1).flatten(1)
        by_type = all_types.view(len(x), types, outputs - first)
        own = relation.clamp_max(types - 1).view(-1, 1, 1).expand(-1, 1, outputs - first)
        return by_type.gather(1, own).squeeze(1) * (relation < types).unsqueeze(1)

    def of_heads(self, sums: Tensor, targets: int, width: int) -> Tensor:
        """The sums of the terms in the first columns, where each head has sums of its own: ``[N R', width]``.

        Args:
            sums: ``[N R', heads, D]``, R' being R, or 1 where there is one map.
            targets: N.
            width: number of these columns.
        """
        types, features, _ = self.maps.shape
        heads, found = sums.shape[1], max(1, len(sums) // max(targets, 1))
        by_type = sums.view(targets, found, heads, sums.shape[2])[:, :types, :, :features]
        maps = self.maps[: by_type.shape[1], : by_type.shape[3], :width]
        maps = maps.reshape(*maps.shape[:2], heads, width // heads)
        terms = torch.einsum("nrhd,rdhw->nrhw", by_type, maps).flatten(2)
        return F.pad(terms, (0, 0, 0, found - terms.shape[1])).flatten(0, 1)


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
