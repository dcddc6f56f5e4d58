"""GraphSAGE with the mean aggregator (Hamilton et al., "Inductive Representation Learning on Large Graphs")."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from olad_core.students.inputs import Encoder, Inputs
from olad_core.students.linear import LinearStudent
from olad_core.students.student import linear

LEAST_WEIGHT = 1e-30
"""The mean of no neighbours is zero: their sum is divided by this."""


class SAGE(LinearStudent):
    """``h_i = relu(W_self h_i + W_neighbour mean_j h_j)``, twice; the mean is weighted by the edges.

    The maps of the first layer are applied before the mean, where the features are wide, so that layer 0
    is ``[x W_self | x W_neighbour]``; those of the second are applied after it.
    """

    architecture: ClassVar[str] = "sage"
    uses_degree: ClassVar[bool] = False

    def __init__(self, feature_width: int, width: int, class_capacity: int) -> None:
        super().__init__(feature_width, width, class_capacity)
        self.encoder = Encoder(feature_width, 2 * width, class_capacity)
        self.second = linear(2 * width, width)

    @property
    @override
    def layer_widths(self) -> tuple[int, ...]:
        return 2 * self.width, self.width, self.width

    @property
    @override
    def message_widths(self) -> tuple[int, ...]:
        return self.width, self.width

    @override
    def encode(self, inputs: Inputs, factor: Tensor) -> Tensor:
        encoded: Tensor = self.encoder(inputs, factor)
        return encoded

    @override
    def message(self, number: int, rows: Tensor, in_weight: Tensor) -> Tensor:
        return rows[:, self.width :].contiguous() if number == 1 else rows

    @override
    def combine(self, number: int, own: Tensor, total: Tensor, in_weight: Tensor) -> Tensor:
        mean = total / in_weight.clamp_min(LEAST_WEIGHT).unsqueeze(1)
        if number == 1:
            return torch.relu(own[:, : self.width] + mean)
        return torch.relu(self.second(torch.cat([own, mean], dim=1)))
