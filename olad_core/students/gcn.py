"""Graph convolutional network (Kipf & Welling, "Semi-Supervised Classification with Graph Convolutional Networks")."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from olad_core.students.aggregate import aggregate
from olad_core.students.block import Block
from olad_core.students.student import Student, linear


def propagate(source: Tensor, block: Block) -> Tensor:
    """``D^-1/2 (A + I) D^-1/2 H`` for the block's targets."""
    return aggregate(source, block.symmetric_weight, block) + source[block.targets] * block.self_weight


class GCN(Student):
    """Two propagation steps: ``Z = A relu(A X W1) W2``, with ``A`` the normalised adjacency."""

    architecture: ClassVar[str] = "gcn"
    uses_degree: ClassVar[bool] = True

    def __init__(self, feature_width: int, width: int, class_capacity: int) -> None:
        super().__init__(feature_width, width, class_capacity)
        self.encoder = linear(feature_width, width)

    @property
    @override
    def layer_widths(self) -> tuple[int, ...]:
        return (self.width,) * 3

    @override
    def encode(self, x: Tensor) -> Tensor:
        encoded: Tensor = self.encoder(x)
        return encoded

    @override
    def layer(self, number: int, source: Tensor, block: Block) -> Tensor:
        rows = propagate(source, block)
        return torch.relu(rows) if number == 1 else rows
