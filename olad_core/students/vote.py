"""Where students begin: near the vote of the labelled neighbours.

A known label is told in a column of its own, maps between layers begin near the identity, and the head reads every
class from its column again. So a student that has hardly learned says what most of the labels around a node say,
instead of nothing, and only has to learn where that is wrong (label propagation: Zhu & Ghahramani 2002; beginning at
the identity: Le et al. 2015).
"""

from __future__ import annotations

import torch
from torch import Tensor

TOLD = 2.0
"""What a label puts into its column; features, being scaled, put less than this into each."""
READ = 1.0
"""The logit that a class has for each one in its column."""


def add_diagonal(weight: Tensor, value: float, row: int = 0, column: int = 0) -> None:
    """Add to the entries ``(row + k, column + k)`` of a matrix, as far as it goes.

    >>> weight = torch.zeros(3, 2)
    >>> add_diagonal(weight, 2.0, row=1)
    >>> weight
    tensor([[0., 0.],
            [2., 0.],
            [0., 2.]])
    """
    with torch.no_grad():
        weight[row:, column:].diagonal().add_(value)
