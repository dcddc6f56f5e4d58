"""Feature vectors that are mostly zero, as they go into a student."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from olad_core.students.aggregate import aggregate
from olad_core.students.block import Block

MOST_ENCODED = 1e6
"""Encoded features are cut off here; usual ones, being scaled, are around one."""


@dataclass(frozen=True)
class SparseRows:
    """The non-zero entries of ``[N, F]`` features.

    Attributes:
        width: F.
        entries: the entries as edges from columns to rows, the values being their weights.
    """

    width: int
    entries: Block

    @property
    def shape(self) -> tuple[int, int]:
        """``(N, F)``."""
        return self.entries.num_targets, self.width

    def mean_squares(self) -> Tensor:
        """Mean of the squares of each row's entries, the zeros included: ``[N]``."""
        total = self.entries.weight.new_zeros(self.entries.num_targets)
        return total.index_add(0, self.entries.target_of_edge, self.entries.weight.square()) / self.width


Features = Tensor | SparseRows
"""Features ``[N, F]``; a graph without features has one column of zeros."""


def mean_squares(x: Features) -> Tensor:
    """Mean of the squares of each row's entries: ``[N]``."""
    return x.mean_squares() if isinstance(x, SparseRows) else x.square().mean(dim=1)


class Encoder(nn.Module):
    """A linear map of features that may be sparse, with Glorot weights.

    Columns are scaled by scaling rows of the weight, which is smaller than the features are.

    Args:
        feature_width: F; 0 for a graph without features.
        width: of the result.
    """

    def __init__(self, feature_width: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(max(feature_width, 1), width))
        self.bias = nn.Parameter(torch.zeros(width))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Features, factor: Tensor) -> Tensor:
        """``x diag(factor) W + b`` for a ``factor`` of ``[F]`` or a single number: ``[N, width]``."""
        weight = self.weight * (factor.unsqueeze(1) if factor.ndim else factor)
        if isinstance(x, SparseRows):
            encoded = aggregate(weight, x.entries.weight, x.entries) + self.bias
        else:
            encoded = torch.addmm(self.bias, x, weight)
        # One node with features near the end of float32 must not turn those around it into no numbers.
        return encoded.nan_to_num(0.0, MOST_ENCODED, -MOST_ENCODED).clamp(-MOST_ENCODED, MOST_ENCODED)
