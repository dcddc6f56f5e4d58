"""Initial weights: an untrained student predicts the majority of the labels around a node.

The encoder writes a known label to a column of its own. Maps between layers start near the identity. The head
(``olad_core/tasks/node_class/head.py``) reads each class from its column. Training then only corrects label
propagation where it is wrong (label propagation: Zhu & Ghahramani 2002; initialisation with the identity: Le et al.
2015).
"""

from __future__ import annotations

import torch
from torch import Tensor

LABEL_INPUT = 2.0
"""Initial encoding of a label in its column. Scaled features add less than this to a column."""


def add_diagonal(weight: Tensor, value: float, row: int = 0, column: int = 0) -> None:
    """Add to the entries ``(row + k, column + k)`` of a matrix, for all k within its shape.

    >>> weight = torch.zeros(3, 2)
    >>> add_diagonal(weight, 2.0, row=1)
    >>> weight
    tensor([[0., 0.],
            [2., 0.],
            [0., 2.]])
    """
    with torch.no_grad():
        weight[row:, column:].diagonal().add_(value)
