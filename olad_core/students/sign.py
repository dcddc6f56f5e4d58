"""SIGN (Rossi et al. 2020, "SIGN: Scalable Inception Graph Neural Networks"), with two hops."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from olad_core.students.encoder import Encoder
from olad_core.students.initial_weights import add_diagonal
from olad_core.students.linear import Factors, LinearStudent
from olad_core.students.student import linear


class SIGN(LinearStudent):
    """``relu(W [A h | h | A A h] + b)`` with ``h = x W0``, ``A`` being the mean over neighbours, weighted by the edges.

    Each hop has weights of its own, and nothing is between the hops, so neighbours may count against a class. Inputs
    are mapped before they are propagated: both are linear, and the width is mostly smaller than the features are.
    Layer 1 is ``[A h | h]``, of which neighbours read the first half.
    """

    architecture: ClassVar[str] = "sign"
    uses_degree: ClassVar[bool] = False

    def __init__(self, feature_width: int, width: int, class_capacity: int) -> None:
        super().__init__(feature_width, width, class_capacity)
        self.encoder = Encoder(feature_width, width, class_capacity)
        self.second = linear(3 * width, width)
        for hop, share in enumerate((1.0, 1.0, 0.5)):
            add_diagonal(self.second.weight, share, column=hop * width)

    @property
    @override
    def layer_widths(self) -> tuple[int, ...]:
        return self.width, 2 * self.width, self.width

    @override
    def factors(self, in_weight: Tensor) -> Factors:
        return Factors.of_mean(in_weight, own=torch.zeros_like(in_weight))

    @override
    def finish(self, number: int, mixed: Tensor, below: Tensor, index: Tensor) -> Tensor:
        if number == 1:
            return torch.cat([mixed, below[index]], dim=1)
        return torch.relu_(self.second(torch.cat([below[index], mixed], dim=1)))
