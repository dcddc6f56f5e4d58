"""GraphSAGE with the mean aggregator (Hamilton et al., "Inductive Representation Learning on Large Graphs")."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from olad_core.students.encoder import Encoder
from olad_core.students.initial_weights import add_diagonal
from olad_core.students.linear import Factors, LinearStudent
from olad_core.students.student import linear


class SAGE(LinearStudent):
    """``h_i = relu(W_self h_i + W_neighbour mean_j h_j)``, twice; the mean is weighted by the edges.

    Both maps of a layer are applied before the mean: in the first layer features may be wide, and in the second a
    change then reaches more rows than it maps again. What is mixed is ``[h W_self | h W_neighbour]``.
    """

    architecture: ClassVar[str] = "sage"
    uses_degree: ClassVar[bool] = False
    finish_reads_below: ClassVar[bool] = False

    def __init__(self, feature_width: int, width: int, class_capacity: int) -> None:
        super().__init__(feature_width, width, class_capacity)
        self.encoder = Encoder(feature_width, 2 * width, class_capacity, label_column=width)
        self.second = linear(2 * width, width)
        add_diagonal(self.second.weight, 1.0)
        add_diagonal(self.second.weight, 0.5, column=width)
        self.sent_from = width

    @property
    @override
    def layer_widths(self) -> tuple[int, ...]:
        return 2 * self.width, self.width, self.width

    @property
    @override
    def prepared_widths(self) -> tuple[int, ...]:
        return 2 * self.width, 2 * self.width

    @override
    def factors(self, in_weight: Tensor) -> Factors:
        return Factors.of_mean(in_weight, own=torch.ones_like(in_weight))

    @override
    def prepare(self, number: int, rows: Tensor) -> Tensor:
        if number == 1:
            return rows
        own, neighbour = self.second.weight.chunk(2, dim=1)
        return F.linear(rows, torch.cat([own, neighbour]))

    @override
    def finish(self, number: int, mixed: Tensor, below: Tensor, index: Tensor) -> Tensor:
        return torch.relu_(mixed if number == 1 else mixed + self.second.bias)
