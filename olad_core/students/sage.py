"""GraphSAGE with the mean aggregator (Hamilton et al., "Inductive Representation Learning on Large Graphs")."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from olad_core.students.aggregate import aggregate
from olad_core.students.block import Block
from olad_core.students.student import Student, linear


class SAGE(Student):
    """``h_i = relu(W_self h_i + W_neighbour mean_j h_j)``, twice.

    The maps of the first layer are applied before the mean, where the features are wide, so that layer 0
    is ``[x W_self | x W_neighbour]``; those of the second are applied after it.
    """

    architecture: ClassVar[str] = "sage"
    uses_degree: ClassVar[bool] = False

    def __init__(self, feature_width: int, width: int, class_capacity: int) -> None:
        super().__init__(feature_width, width, class_capacity)
        self.encoder = linear(feature_width, 2 * width)
        self.second = linear(2 * width, width)

    @property
    @override
    def layer_widths(self) -> tuple[int, ...]:
        return 2 * self.width, self.width, self.width

    @override
    def encode(self, x: Tensor) -> Tensor:
        encoded: Tensor = self.encoder(x)
        return encoded

    @override
    def layer(self, number: int, source: Tensor, block: Block) -> Tensor:
        if number == 1:
            own, neighbour = source[:, : self.width], source[:, self.width :]
            return torch.relu(own[block.targets] + aggregate(neighbour.contiguous(), block.mean_weight, block))
        both = torch.cat([source[block.targets], aggregate(source, block.mean_weight, block)], dim=1)
        return torch.relu(self.second(both))
